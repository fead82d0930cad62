//! How objectives stand: what was attained, what is left of the error budget, how fast it goes.
//!
//! Read from the series that their rules record ([`crate::slo`]), so that it is what alerts are made of, too.

use crate::slo::{LEFT, Objective, ratio_name};

/// Asks for all that [`standing`] needs, of all objectives.
pub const QUERY: &str = "{__name__=~\"slo:(bad_ratio|budget):.+\"}";

/// One value of an answer: its labels with `__name__`, and the number.
pub type Seen = (Vec<(String, String)>, f64);

/// How one objective stands. What is not known is none: there were no requests, or nobody looked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The share that went well within the objective's window, of 1.
    pub attained: Option<f64>,
    /// The share of the error budget that is left; below 0 more is gone than there was.
    pub left: Option<f64>,
    /// How fast it goes.
    pub burns: Vec<Burn>,
}

/// How fast an error budget goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burn {
    /// Within so many milliseconds.
    pub window_ms: i64,
    /// 1 is as fast as it may go: then it is used up when the objective's window is over.
    pub rate: Option<f64>,
    /// Above this somebody is told.
    pub limit: f64,
}

/// How an objective stands by what was seen of all of them.
pub fn standing(objective: &Objective, seen: &[Seen]) -> Standing {
    let value = |series: &str| {
        let has = |labels: &[(String, String)], name: &str, wanted: &str| {
            let mut labels = labels.iter();
            labels.any(|(label, value)| label == name && value == wanted)
        };
        let mut own = seen.iter().filter(|(labels, _)| {
            has(labels, "__name__", series) && has(labels, "slo", &objective.name)
        });
        own.next()
            .map(|(_, value)| *value)
            .filter(|value| value.is_finite())
    };
    let bad = |window_ms: i64| value(&ratio_name(window_ms));
    let burns = objective.burns().map(|(window_ms, limit)| Burn {
        window_ms,
        rate: bad(window_ms).map(|bad| bad / objective.budget()),
        limit,
    });
    Standing {
        attained: bad(objective.window_ms).map(|bad| 1.0 - bad),
        left: value(LEFT),
        burns: burns.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, slo: &str, value: f64) -> Seen {
        let labels = [("__name__", name), ("slo", slo), ("service", "web")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        (labels.to_vec(), value)
    }

    #[test]
    fn an_objective_stands_by_its_own_series() {
        let objective = Objective::parse("web-availability", "web", "99.9% over 30d").unwrap();
        let all = [
            seen("slo:bad_ratio:30d", "api-availability", 0.5),
            seen("slo:bad_ratio:30d", "web-availability", 0.0004),
            seen("slo:budget:remaining", "web-availability", 0.6),
            seen("slo:bad_ratio:1h", "web-availability", 0.002),
            seen("slo:bad_ratio:6h", "web-availability", f64::NAN),
        ];
        let stands = standing(&objective, &all);
        assert_eq!((stands.attained, stands.left), (Some(0.9996), Some(0.6)));
        let rates: Vec<_> = stands
            .burns
            .iter()
            .map(|burn| burn.rate.map(f64::round))
            .collect();
        assert_eq!(rates, [Some(2.0), None, None, None]);
        let limits: Vec<_> = stands.burns.iter().map(|burn| burn.limit).collect();
        assert_eq!(limits[0].to_bits(), 14.4_f64.to_bits());
        // Windows longer than the objective's own say nothing of it.
        let day = Objective::parse("web-availability", "web", "99.9% over 1d").unwrap();
        assert_eq!(standing(&day, &all).burns.len(), 2);
        assert_eq!(standing(&day, &[]).attained, None);
    }
}
