//! What can be measured, and in which unit.

use mainstay_atoms::{Bytes, ReleaseNumber, ServiceName, Share, span};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Something measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of requests that the release answered with 5xx, or that got no answer.
    ErrorRate,
    /// Share of requests answered with 4xx.
    ClientErrorRate,
    /// Requests a second.
    Requests,
    /// The latency below which so many thousandths of the requests stayed.
    Latency(u16),
    /// Ends of processes by themselves since the step began.
    Restarts,
    /// Processor use of an instance, as a share of its limit; the mean of all.
    Cpu,
    /// Memory in use of an instance; the mean of all.
    Memory,
    /// A query, evaluated by the signals engine.
    Promql(String),
    /// A number in the JSON that an address answers.
    Http {
        /// The address; one that begins with `/` is of an instance of the release.
        url: String,
        /// Where in the JSON: `$.data.value`.
        path: String,
    },
    /// The exit code of a job of the file.
    Job(String),
}

/// What stands between a metric's parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// The name of a service, or no parentheses.
    Service,
    /// One text.
    Text,
    /// One text, and another that may be left out.
    TextAndPath,
    /// The name of a job.
    Name,
}

/// The unit that a limit is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `1%`
    Share,
    /// `400ms`
    Time,
    /// `50/s`
    Rate,
    /// `3`
    Count,
    /// `512Mi`
    Bytes,
    /// `0.9`
    Number,
}

impl Unit {
    /// A value in base units, for people.
    pub(crate) fn shown(self, value: f64) -> String {
        match self {
            Self::Share => format!("{:.1} %", value * 100.0),
            Self::Time => format!("{:.0} ms", value * 1000.0),
            Self::Rate => format!("{value:.2}/s"),
            Self::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Self::Count | Self::Number => format!("{value}"),
        }
    }

    /// How a limit of this unit is written, to follow `takes`.
    pub(super) fn phrase(self) -> &'static str {
        match self {
            Self::Share => "a share such as `1%`",
            Self::Time => "a duration such as `400ms`",
            Self::Rate => "a rate such as `50/s`",
            Self::Count => "a whole number such as `3`",
            Self::Bytes => "a size such as `512Mi`",
            Self::Number => "a number without a unit, such as `0.9`",
        }
    }
}

/// Names that a condition may begin with.
pub(super) const NAMES: [&str; 15] = [
    "error_rate",
    "client_error_rate",
    "requests",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
    "p999",
    "restarts",
    "cpu",
    "memory",
    "promql",
    "http",
    "job",
];

impl Metric {
    /// The metric of a name, where its arguments do not matter yet.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "error_rate" => Self::ErrorRate,
            "client_error_rate" => Self::ClientErrorRate,
            "requests" => Self::Requests,
            "restarts" => Self::Restarts,
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "promql" => Self::Promql(String::new()),
            "http" => Self::Http {
                url: String::new(),
                path: String::new(),
            },
            "job" => Self::Job(String::new()),
            _ => return quantile(name).map(Self::Latency),
        })
    }

    /// What its parentheses hold.
    pub fn argument(&self) -> Argument {
        match self {
            Self::Promql(_) => Argument::Text,
            Self::Http { .. } => Argument::TextAndPath,
            Self::Job(_) => Argument::Name,
            _ => Argument::Service,
        }
    }

    /// The unit of its limits.
    pub fn unit(&self) -> Unit {
        match self {
            Self::ErrorRate | Self::ClientErrorRate | Self::Cpu => Unit::Share,
            Self::Requests => Unit::Rate,
            Self::Latency(_) => Unit::Time,
            Self::Restarts => Unit::Count,
            Self::Memory => Unit::Bytes,
            Self::Promql(_) | Self::Http { .. } | Self::Job(_) => Unit::Number,
        }
    }

    /// Each sample is one request, so that few of them say little.
    pub fn by_request(&self) -> bool {
        matches!(
            self,
            Self::ErrorRate | Self::ClientErrorRate | Self::Latency(_)
        )
    }

    /// A share of requests, to which the exact tests of counts apply.
    pub fn counted(&self) -> bool {
        matches!(self, Self::ErrorRate | Self::ClientErrorRate)
    }

    /// Somebody else is asked for it.
    pub fn is_provided(&self) -> bool {
        matches!(self, Self::Promql(_) | Self::Http { .. } | Self::Job(_))
    }

    /// The question about one release: in a query and in an address `$service` and `$release` (`v42`) stand for
    /// what is judged, and an address that begins with `/` is asked of `instance` (`127.0.0.1:3000`).
    #[must_use]
    pub fn about(&self, service: &ServiceName, release: ReleaseNumber, instance: &str) -> Self {
        let named = |text: &str| {
            let text = text.replace("$service", service.as_str());
            text.replace("$release", &release.to_string())
        };
        match self {
            Self::Promql(query) => Self::Promql(named(query)),
            Self::Http { url, path } => {
                let own = url.starts_with('/');
                let url = named(url);
                let url = if own {
                    format!("http://{instance}{url}")
                } else {
                    url
                };
                Self::Http {
                    url,
                    path: path.clone(),
                }
            }
            other => other.clone(),
        }
    }

    /// There is a baseline to compare it with: a provider outside answers for no release.
    pub(super) fn has_baseline(&self) -> bool {
        self.argument() == Argument::Service
    }

    pub(super) fn written(
        &self,
        of: Option<&ServiceName>,
        out: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        match self {
            Self::Promql(query) => return write!(out, "promql({})", Quoted(query)),
            Self::Http { url, path } => {
                return write!(out, "http({}, {})", Quoted(url), Quoted(path));
            }
            Self::Job(name) => return write!(out, "job({name})"),
            Self::ErrorRate => out.write_str("error_rate")?,
            Self::ClientErrorRate => out.write_str("client_error_rate")?,
            Self::Requests => out.write_str("requests")?,
            Self::Latency(per_mille) if per_mille.is_multiple_of(10) => {
                write!(out, "p{}", per_mille / 10)?;
            }
            Self::Latency(per_mille) => write!(out, "p{per_mille}")?,
            Self::Restarts => out.write_str("restarts")?,
            Self::Cpu => out.write_str("cpu")?,
            Self::Memory => out.write_str("memory")?,
        }
        match of {
            Some(service) => write!(out, "({service})"),
            None => Ok(()),
        }
    }
}

/// `p95` is 950 thousandths, `p999` is 999: two digits are hundredths, three are thousandths.
fn quantile(name: &str) -> Option<u16> {
    let digits = name.strip_prefix('p')?;
    let number: u16 = digits.parse().ok()?;
    match digits.len() {
        2 if (1..=99).contains(&number) => Some(number * 10),
        3 if number > 0 && !number.is_multiple_of(10) => Some(number),
        _ => None,
    }
}

struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        write!(out, "\"{text}\"")
    }
}

/// A fixed limit in its unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A share of all.
    Share(Share),
    /// A duration.
    Time(Duration),
    /// Thousandths of one a second.
    Rate(u64),
    /// A whole number.
    Count(u64),
    /// A size.
    Bytes(Bytes),
    /// Millionths of one.
    Number(i64),
}

impl Level {
    /// As a number in base units: a fraction, seconds, one a second, bytes.
    #[expect(
        clippy::cast_precision_loss,
        reason = "limits are written with far fewer than 53 bits"
    )]
    pub fn value(&self) -> f64 {
        match self {
            Self::Share(share) => share.0 as f64 / 10_000.0,
            Self::Time(time) => time.as_secs_f64(),
            Self::Rate(milli) => *milli as f64 / 1000.0,
            Self::Count(count) => *count as f64,
            Self::Bytes(bytes) => bytes.0 as f64,
            Self::Number(micro) => *micro as f64 / 1e6,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(out, "{share}"),
            Self::Time(time) => out.write_str(&span::format(*time)),
            Self::Rate(_) => write!(out, "{}/s", self.value()),
            Self::Count(count) => write!(out, "{count}"),
            Self::Bytes(bytes) => write!(out, "{bytes}"),
            Self::Number(_) => write!(out, "{}", self.value()),
        }
    }
}
