//! Whose turn a request is: which side of a release on trial answers it, and why.

use crate::fields::Fields;
use crate::name::Name;
use crate::pool::Pool;
use crate::request::Request;
use mainstay_atoms::ReleaseNumber;
use mainstay_routing::{Place, Side, Split, cookie};

/// Who may answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Any instance.
    Any,
    /// Those of a side, and the others when nobody of it can.
    Side(Side),
    /// Those of a release, and nobody else.
    Only(ReleaseNumber),
}

/// The place that a client was given with its request, for it to come back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    place: Place,
    /// The client came by TLS, as far as the gateway can tell.
    secure: bool,
}

/// Decides it, once for all attempts. A chosen request takes no place of the others, and gets none.
pub(crate) fn decide(
    pool: &Pool,
    only: Option<ReleaseNumber>,
    request: &Request,
) -> (Turn, Option<Given>) {
    if let Some(release) = only {
        return (Turn::Only(release), None);
    }
    let Some(split) = &pool.split else {
        return (Turn::Any, None);
    };
    if is_chosen(split, &request.fields) {
        return (Turn::Side(Side::Canary), None);
    }
    if !split.sticky {
        return (Turn::Side(split.at(pool.next_place())), None);
    }
    let side = |place: Place| Turn::Side(split.at(place.position(split.release)));
    if let Some(place) = known(&request.fields, &pool.cookie) {
        return (side(place), None);
    }
    let place = Place::at(pool.next_place(), split.release);
    let secure = is_secure(request);
    (side(place), Some(Given { place, secure }))
}

impl Given {
    /// The value of the `Set-Cookie` that gives it: for the whole host, out of the reach of scripts, until the
    /// browser is closed (RFC 6265, 4.1).
    pub(crate) fn cookie(self, pool: &Pool) -> Box<str> {
        let secure = if self.secure { "; Secure" } else { "" };
        let (name, place) = (&pool.cookie, self.place);
        format!("{name}={place}; Path=/; HttpOnly; SameSite=Lax{secure}").into()
    }
}

fn is_chosen(split: &Split, fields: &Fields) -> bool {
    let has_field = |name: &str, value: &str| {
        let is = |text: &[u8]| text.eq_ignore_ascii_case(name.as_bytes());
        let mut named = fields.iter().filter(|field| is(field.name));
        named.any(|field| field.value == value.as_bytes())
    };
    let has_cookie = |name: &str, value: &str| {
        let wanted = (name.as_bytes(), value.as_bytes());
        cookies(fields).any(|pair| pair == wanted)
    };
    split.chooses(has_field, has_cookie)
}

/// The place that a client came with: the first that is one.
fn known(fields: &Fields, name: &str) -> Option<Place> {
    let mut ours = cookies(fields).filter(|(other, _)| *other == name.as_bytes());
    ours.find_map(|(_, value)| Place::parse(value))
}

fn cookies(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.all(Name::Cookie).flat_map(cookie::pairs)
}

/// Whether the client came by TLS, which ends before the gateway: whoever ended it says so, or the client itself.
/// One that says so without TLS keeps its cookie from itself, and from nobody else.
fn is_secure(request: &Request) -> bool {
    let https = |value: &[u8]| value.eq_ignore_ascii_case(b"https");
    let scheme = request.target.scheme_str();
    let told = |name: &[u8]| name.eq_ignore_ascii_case(b"x-forwarded-proto");
    let mut fields = request.fields.iter();
    scheme.is_some_and(|scheme| https(scheme.as_bytes()))
        || fields.any(|field| told(field.name) && https(field.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_atoms::Share;
    use mainstay_routing::Chosen;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut request = http::Request::get("/");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        Fields::Map(request.body(()).unwrap().into_parts().0.headers)
    }

    #[test]
    fn the_first_place_that_is_one_counts() {
        for (lines, expected) in [
            (
                &[("cookie", "a=b; mainstay-web=00ff")][..],
                Some(Place(255)),
            ),
            (
                &[("cookie", "a=b"), ("cookie", "mainstay-web=0001")],
                Some(Place(1)),
            ),
            (
                &[(
                    "cookie",
                    "mainstay-web=xyz; mainstay-web=0002; mainstay-web=0003",
                )],
                Some(Place(2)),
            ),
            (
                &[(
                    "cookie",
                    "mainstay-webs=0002; mainstay-api=0003; Mainstay-web=0004",
                )],
                None,
            ),
            (&[("cookie", "mainstay-web")], None),
            (&[("cookie", "mainstay-web=\"0002\"")], None),
            (&[("cookies", "mainstay-web=0002")], None),
            (&[], None),
        ] {
            assert_eq!(known(&fields(lines), "mainstay-web"), expected, "{lines:?}");
        }
    }

    #[test]
    fn one_field_or_cookie_with_exactly_that_value_chooses() {
        let text = |text: &str| text.to_owned();
        let split = Split {
            release: ReleaseNumber(2),
            canary: Share(0),
            baseline: Share(0),
            fresh_above: 1,
            sticky: false,
            chosen: vec![
                Chosen::Header {
                    name: text("x-beta"),
                    value: text("yes"),
                },
                Chosen::Cookie {
                    name: text("beta"),
                    value: text("1"),
                },
            ],
            mirror: Share(0),
        };
        for (lines, expected) in [
            (&[("x-beta", "yes")][..], true),
            (&[("x-beta", "no"), ("x-beta", "yes")], true),
            (&[("cookie", "a=b;beta=1")], true),
            (&[("x-beta", "Yes")], false),
            (&[("x-beta", "yes, no")], false),
            (
                &[("cookie", "beta=11; Beta=1; x-beta=yes"), ("beta", "1")],
                false,
            ),
        ] {
            assert_eq!(is_chosen(&split, &fields(lines)), expected, "{lines:?}");
        }
    }
}
