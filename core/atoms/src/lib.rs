//! The nouns that every ring shares: names, ids, generations, sizes, times, probes.
//!
//! Each type here is checked when it is made, so a value that exists is valid. Units are part of
//! the type: [`Bytes`], [`Millicores`], [`Moment`] (monotonic) and [`Wall`] (civil time) never mix.
//! Durations are [`std::time::Duration`]; [`span`] reads and writes them as people do (`30s`), and [`histogram`]
//! places one in a bucket.
//!
//! What this crate never does: read a clock, a file, the network or the environment. It serialises
//! (serde) because its values stand unchanged in plans, ledger entries and the API.

mod chosen;
mod digest;
pub mod histogram;
mod id;
mod launch;
mod name;
mod probe;
mod quantity;
mod schedule;
mod smoke;
pub mod span;
mod time;
mod url;

pub use chosen::Chosen;
pub use digest::{Digest, DigestFault};
pub use id::{Actor, Epoch, Generation, IdFault, InstanceId, PlanId, ReleaseNumber};
pub use launch::{Cause, JobRun, Launch, Role, Server, Size, Stop, Told};
pub use name::{
    EnvironmentName, HostName, MachineName, NameFault, PlatformName, RouteName, ServiceName,
};
pub use probe::{Check, Probe};
pub use quantity::{Bytes, Millicores, QuantityFault, Range, Share};
pub use schedule::{Schedule, ScheduleFault, civil};
pub use smoke::{SMOKE_BYTES, Smoke};
pub use span::SpanFault;
pub use time::{Fact, Moment, Wall};
pub use url::{Authority, Url, UrlFault};
