//! The kinds of values: how each is called and what the schema says of it.

use mainstay_atoms::span;
use serde_json::{Value, json};
use std::time::Duration;

/// The kind of one value, with its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The language's version.
    Version,
    /// A name of the user's: letters, digits, hyphens.
    Label,
    /// The name of a service of the file.
    Service,
    /// Names of services of the file.
    Services,
    /// A whole number.
    Whole { least: u64, most: u64 },
    /// A duration; both ends in milliseconds.
    Span { least: u64, most: u64 },
    /// Bytes, one value or `request..limit`.
    Memory,
    /// Cores, one value or `request..limit`.
    Cores,
    /// A count or a share.
    Amount,
    /// A program and its arguments.
    Words,
    /// Paths below the file's folder.
    Paths,
    /// The path of a URL.
    UrlPath,
    /// Text as it stands.
    Text,
    /// `true`.
    True,
    /// A signal's name.
    Signal,
    /// The word `rolling` or `recreate`.
    Way,
    /// `true` or `false`.
    Truth,
    /// A text of a form.
    Like(&'static Like),
    /// Names of people.
    People,
    /// Names of checks of the file.
    CheckNames,
    /// What is said of alerts, in a form of its own.
    Alerts,
    /// What is said of checks, in a form of its own.
    Checks,
    /// A share.
    Share,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Bytes, one value.
    Size,
    /// A cron expression.
    Cron,
    /// A time zone.
    Zone,
    /// The name of a secret.
    Secret,
    /// `STORE.VARIABLE`.
    Injection,
    /// Names of jobs of the file.
    Jobs,
    /// Names of a database's extensions.
    Extensions,
    /// Rising shares of the traffic, or a preset's name.
    Steps,
    /// Conditions that a release is judged by.
    Conditions,
}

/// A form of text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Like {
    /// In words, to follow `takes`.
    pub(crate) phrase: &'static str,
    /// As a pattern of the schema.
    pub(crate) pattern: &'static str,
}

/// A host name.
pub(crate) const HOST: Like = Like {
    phrase: "a host name such as `preview.shop.example`",
    pattern: "^[a-z0-9-]+(\\.[a-z0-9-]+)*$",
};

/// Where the status page is answered.
pub(crate) const PAGE_PLACE: Like = Like {
    phrase: "a path such as `/status`, or a host and a path such as `shop.example/status`",
    pattern: "^([a-z0-9-]+(\\.[a-z0-9-]+)*)?(/[A-Za-z0-9._~!$&'()+,;=:@-]+)+$",
};

/// A field of a request's head with its value.
pub(crate) const HEADER: Like = Like {
    phrase: "a field and its value, such as `x-canary=always`",
    pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+=[^ ].*$",
};

/// A cookie with its value.
pub(crate) const COOKIE: Like = Like {
    phrase: "a cookie and its value, such as `beta=1`",
    pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+=[^ ;,\"]*$",
};

/// A day or minute of civil time.
pub(crate) const CIVIL: Like = Like {
    phrase: "a day such as `2026-12-24`, or a minute such as `2026-12-24 18:00`",
    pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2})?$",
};

/// Where samples are sent to.
pub(crate) const URL: Like = Like {
    phrase: "an address such as `https://metrics.example/api/v1/write`",
    pattern: "^https?://[^@#/? ]+([/?][^# ]*)?$",
};

/// Requests in a time.
pub(crate) const RATE: Like = Like {
    phrase: "requests a second or a minute, such as `50/s` or `300/m`",
    pattern: "^[0-9]{1,9}(\\.[0-9]{1,3})?/[sm]$",
};

/// A key of Redis.
pub(crate) const QUEUE: Like = Like {
    phrase: "a store and a key of it, such as `cache.orders`",
    pattern: "^\\S+$",
};

/// What an extension of PostgreSQL may be called here: what is needed of quoting is excluded.
pub(crate) const EXTENSION: &str = "^[a-z_][a-z0-9_-]{0,62}$";

/// Signals that a service may be stopped with: those whose default ends a process (POSIX).
pub(crate) const SIGNALS: [&str; 6] = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"];

/// Least and most bytes of memory that a size may name: below it no program starts, above it no
/// machine is sold.
pub(crate) const MEMORY_BYTES: (u64, u64) = (1 << 20, 64 << 40);
/// Least and most thousandths of a core: the kernel's shortest quota is 1 ms of 100 ms.
pub(crate) const CORES: (u64, u64) = (10, 1_024_000);

/// What a person may be called: a login name, or the name of a token.
const PERSON: &str = "^[A-Za-z_][A-Za-z0-9_.@-]{0,63}$";

const LABEL: &str = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
pub(crate) const SPAN: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

impl Kind {
    /// In words, to follow `takes`: `a whole number from 0 to 1000`.
    pub(crate) fn phrase(self) -> String {
        match self {
            Self::Version => "the number `1`".into(),
            Self::Label => "a name of lower-case letters, digits and hyphens".into(),
            Self::Service => "the name of a service".into(),
            Self::Services => "a list of names of services and stores".into(),
            Self::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Self::Span { least, most } => {
                let [least, most] = [least, most].map(|ms| span::format(Duration::from_millis(ms)));
                format!("a duration from {least} to {most}")
            }
            Self::Memory => "a size such as `256Mi`, or a range such as `256Mi..512Mi`".into(),
            Self::Cores => "cores such as `0.5` or `500m`, or a range such as `100m..500m`".into(),
            Self::Amount => "a count such as `1`, or a share such as `25%`".into(),
            Self::Words => "a program with its arguments: a list of texts, or one line".into(),
            Self::Paths => "a path below the file's folder, or a list of them".into(),
            Self::UrlPath => "the path of a URL".into(),
            Self::Text => "a text, a number or a truth value".into(),
            Self::True => "`true`".into(),
            Self::Signal => format!("a signal: {}", SIGNALS.join(", ")),
            Self::Way => "`rolling` or `recreate`".into(),
            Self::Like(like) => like.phrase.into(),
            Self::People => "a list of names of people".into(),
            Self::Checks => "a map of checks by name".into(),
            Self::CheckNames => "a list of names of checks".into(),
            Self::Alerts => "a map of channels, routes, what is set for alerts and what they do".into(),
            Self::Share => "a share such as `10%`".into(),
            Self::Truth => "`true` or `false`".into(),
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Size => "a size such as `256Mi` or `20Gi`".into(),
            Self::Cron => "five fields of cron such as `0 6 * * *`, or `@daily`".into(),
            Self::Zone => "a time zone such as `UTC` or `Europe/Berlin`".into(),
            Self::Secret => "the name of a secret, such as `DB_URL`".into(),
            Self::Injection => "a store and its variable, such as `db.DATABASE_URL`".into(),
            Self::Jobs => "a list of job names".into(),
            Self::Extensions => "a list of extension names".into(),
            Self::Steps => {
                "rising shares of the traffic such as `[5%, 25%, 50%]`, or `5-25-50-100` or `10-25-50-100`".into()
            }
            Self::Conditions => {
                "conditions such as `error_rate > 1%`: a list of them, or one".into()
            }
        }
    }

    /// The JSON Schema of the value.
    pub(crate) fn json(self) -> Value {
        match self {
            Self::Version => json!({ "const": 1 }),
            Self::Label | Self::Service => json!({ "type": "string", "pattern": LABEL }),
            Self::Services | Self::Jobs | Self::CheckNames => json!({
                "type": "array", "uniqueItems": true,
                "items": { "type": "string", "pattern": LABEL },
            }),
            Self::Whole { least, most } => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            Self::Span { .. } => json!({ "type": "string", "minLength": 2, "pattern": SPAN }),
            Self::Memory => {
                let one = "[0-9]+(\\.[0-9]{1,3})?([kMGT]|[KMGT]i)?";
                json!({ "type": ["string", "integer"], "pattern": format!("^{one}(\\.\\.{one})?$") })
            }
            Self::Cores => {
                let one = "([0-9]+m|[0-9]+(\\.[0-9]{1,3})?)";
                json!({ "type": ["string", "number"], "pattern": format!("^{one}(\\.\\.{one})?$") })
            }
            Self::Amount => json!({ "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": 1000 },
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,2})?%$" },
            ]}),
            Self::Words => json!({ "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "minItems": 1, "items": { "type": ["string", "number", "boolean"] } },
            ]}),
            Self::Paths => json!({ "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": { "type": "string", "minLength": 1 } },
            ]}),
            Self::UrlPath => json!({ "type": "string", "pattern": "^/" }),
            Self::Text => json!({ "type": ["string", "number", "boolean"] }),
            Self::True => json!({ "const": true }),
            Self::Signal => {
                let long = SIGNALS.iter().map(|name| format!("SIG{name}"));
                let all: Vec<String> = SIGNALS.map(str::to_owned).into_iter().chain(long).collect();
                json!({ "enum": all })
            }
            Self::Way => json!({ "enum": ["rolling", "recreate"] }),
            Self::Like(like) => json!({ "type": "string", "pattern": like.pattern }),
            Self::People => json!({
                "type": "array", "minItems": 1, "uniqueItems": true,
                "items": { "type": "string", "pattern": PERSON },
            }),
            Self::Alerts => crate::alert::schema(),
            Self::Checks => json!({ "type": "object" }),
            Self::Share => json!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,2})?%$" }),
            Self::Truth => json!({ "type": "boolean" }),
            Self::Word(words) => json!({ "enum": words }),
            Self::Size => json!({
                "type": ["string", "integer"], "pattern": "^[0-9]+(\\.[0-9]{1,3})?([kMGT]|[KMGT]i)?$",
            }),
            Self::Cron | Self::Zone => json!({ "type": "string", "minLength": 3 }),
            Self::Secret => json!({ "type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,62}$" }),
            Self::Injection => {
                json!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*\\.[A-Z][A-Z0-9_]*$" })
            }
            Self::Extensions => json!({
                "type": "array", "uniqueItems": true,
                "items": { "type": "string", "pattern": EXTENSION },
            }),
            Self::Steps => json!({ "anyOf": [
                { "enum": ["5-25-50-100", "10-25-50-100"] },
                { "type": "array", "minItems": 1, "items": {
                    "type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,2})?%$",
                }},
            ]}),
            Self::Conditions => json!({ "anyOf": [
                { "type": "string", "minLength": 3 },
                { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 3 } },
            ]}),
        }
    }
}
