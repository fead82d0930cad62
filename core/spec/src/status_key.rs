//! Keys of what is said to the outside.

use crate::key::{CheckNames, PagePlace};
use crate::shape::{Keyed as _, keys};

keys! {
    /// The signed page on which the platform says to whoever asks from outside how it is.
    StatusPageKeys = "`status_page`" {
        /// Where the gateway answers it: a path at every host, or a host and a path at that one.
        at: PagePlace, default "", example "/status";
        /// Checks of the file that it tells of, beside the services that have routes.
        checks: Option<CheckNames>, default "[]", example "[home]";
    }
}
