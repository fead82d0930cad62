//! Objectives: what share of requests must go well, and alerts when the error budget burns too fast.
//!
//! Windows and burn rates are those of the Site Reliability Workbook, chapter 5 ("multiwindow, multi-burn-rate
//! alerts"), scaled to the objective's own window.

use crate::document::Place;
use crate::rule::{Alerting, Query, Rule, RuleGroup, RuleKind};
use crate::span;
use crate::template::Template;
use mainstay_metrics::label::quoted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The alert that tells of it.
pub const BUDGET_BURNS: &str = "BudgetBurns";

/// The window where none is given, in milliseconds: thirty days.
pub const WINDOW_MS: i64 = 30 * 86_400_000;

/// One objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// What it is known by: `web-availability`.
    pub name: String,
    /// The service behind the gateway.
    pub service: String,
    /// The share that must go well, between 0 and 1.
    pub target: f64,
    /// Over how long, in milliseconds.
    pub window_ms: i64,
    /// What "well" means.
    pub kind: ObjectiveKind,
    /// Whether maintenance is left out.
    pub except_maintenance: bool,
}

/// The objectives of one service, as its `slo` says them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SloFile {
    /// The service behind the gateway.
    pub service: String,
    /// `99.9% over 30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<String>,
    /// `95% < 300ms over 7d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<String>,
}

impl SloFile {
    /// The objectives, or what is wrong and under which key.
    pub fn read(&self) -> Result<Vec<Objective>, (&'static str, ObjectiveFault)> {
        let keys = [
            ("availability", &self.availability),
            ("latency", &self.latency),
        ];
        let given = keys
            .iter()
            .filter_map(|(key, text)| Some((*key, text.as_ref()?)));
        given
            .map(|(key, text)| self.one(key, text).map_err(|fault| (key, fault)))
            .collect()
    }

    fn one(&self, key: &str, text: &str) -> Result<Objective, ObjectiveFault> {
        let name = format!("{}-{key}", self.service);
        let objective = Objective::parse(&name, &self.service, text)?;
        let why = match (key, objective.kind) {
            ("latency", ObjectiveKind::Availability) => "a limit is missing: `95% < 300ms`",
            ("availability", ObjectiveKind::Latency(_)) => "a limit belongs under `latency`",
            _ => return Ok(objective),
        };
        Err(ObjectiveFault {
            found: text.chars().take(80).collect(),
            why: why.to_owned(),
        })
    }
}

/// What it means that a request goes well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ObjectiveKind {
    /// It is not answered with 5xx.
    Availability,
    /// It takes at most so many seconds.
    Latency(f64),
}

/// Why a text is not an objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an objective such as `99.9% over 30d` or `95% < 300ms over 7d`: {why}")]
pub struct ObjectiveFault {
    /// What was found.
    pub found: String,
    /// What is wrong.
    pub why: String,
}

impl Objective {
    /// Reads `99.9% over 30d` (of availability) or `95% < 300ms` (of latency).
    pub fn parse(name: &str, service: &str, text: &str) -> Result<Self, ObjectiveFault> {
        let fault = |why: &str| ObjectiveFault {
            found: text.chars().take(80).collect(),
            why: why.to_owned(),
        };
        let (objective, window) = match text.split_once(" over ") {
            Some((objective, window)) => (objective, Some(window.trim())),
            None => (text, None),
        };
        let window_ms = window.map_or(Ok(WINDOW_MS), span::parse);
        let window_ms = window_ms.map_err(|_| fault("the window is not a duration"))?;
        if !(86_400_000..=400 * 86_400_000).contains(&window_ms) {
            return Err(fault("the window must be from a day to 400 days"));
        }
        let (share, limit) = match objective.split_once('<') {
            Some((share, limit)) => (share, Some(limit.trim())),
            None => (objective, None),
        };
        let share = share
            .trim()
            .strip_suffix('%')
            .and_then(|share| share.trim().parse::<f64>().ok());
        let share = share.filter(|share| *share > 0.0 && *share < 100.0);
        let target = share.ok_or_else(|| fault("the share must lie between 0% and 100%"))? / 100.0;
        let kind = match limit {
            None => ObjectiveKind::Availability,
            Some(limit) => {
                let limit = span::parse(limit).map_err(|_| fault("the limit is not a duration"))?;
                if limit == 0 {
                    return Err(fault("the limit must be above zero"));
                }
                ObjectiveKind::Latency(limit as f64 / 1000.0)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            service: service.to_owned(),
            target,
            window_ms,
            kind,
            except_maintenance: false,
        })
    }

    /// The share that may go wrong.
    pub fn budget(&self) -> f64 {
        1.0 - self.target
    }

    /// The long windows of its alerts in milliseconds, each with the burn rate above which one tells of it.
    pub(crate) fn burns(&self) -> impl Iterator<Item = (i64, f64)> {
        let window_ms = self.window_ms;
        let own = BURNS.iter().filter(move |burn| burn.long_ms < window_ms);
        own.map(move |burn| (burn.long_ms, burn.rate(window_ms)))
    }

    /// Requests that go wrong and all requests, each as a rate a second.
    fn rates(&self, edges: &[f64]) -> (String, String) {
        let service = quoted(self.service.as_bytes());
        let all =
            format!("sum(rate(gateway_requests_total{{route!=\"past\", service={service}}}[2m]))");
        let bad = match self.kind {
            ObjectiveKind::Availability => {
                format!(
                    "sum(rate(gateway_requests_total{{route!=\"past\", service={service}, code=~\"5..\"}}[2m]))"
                )
            }
            ObjectiveKind::Latency(limit) => {
                let bucket = |edge: &str| {
                    format!(
                        "sum(rate(gateway_request_duration_seconds_bucket{{route!=\"past\", service={service}, le=\"{edge}\"}}[2m]))"
                    )
                };
                format!("({} - ({}))", bucket("+Inf"), within(limit, edges, &bucket))
            }
        };
        let all = match self.kind {
            ObjectiveKind::Availability => all,
            ObjectiveKind::Latency(_) => {
                format!(
                    "sum(rate(gateway_request_duration_seconds_bucket{{route!=\"past\", service={service}, le=\"+Inf\"}}[2m]))"
                )
            }
        };
        (format!("(({bad}) or 0 * ({all}))"), all)
    }
}

/// Requests within a limit. Between two edges of the histogram they are taken to be spread evenly, as the field's
/// quantiles do.
fn within(limit: f64, edges: &[f64], bucket: &dyn Fn(&str) -> String) -> String {
    if let Some(edge) = edges.iter().find(|edge| (**edge - limit).abs() < 1e-9) {
        return bucket(&edge.to_string());
    }
    let below = edges
        .iter()
        .copied()
        .filter(|edge| *edge < limit)
        .fold(None, |_, edge| Some(edge));
    let above = edges.iter().copied().find(|edge| *edge > limit);
    match (below, above) {
        (Some(below), Some(above)) => {
            let part = (limit - below) / (above - below);
            let (low, high) = (bucket(&below.to_string()), bucket(&above.to_string()));
            format!("{low} + ({high} - {low}) * {part}")
        }
        (None, Some(above)) => format!("{} * {}", bucket(&above.to_string()), limit / above),
        (below, None) => below.map_or_else(|| bucket("+Inf"), |below| bucket(&below.to_string())),
    }
}

/// One pair of windows: the long one says that it matters, the short one that it goes on.
struct Burn {
    long_ms: i64,
    short_ms: i64,
    /// The share of the budget that is gone after the long window.
    spent: f64,
    severity: &'static str,
}

impl Burn {
    /// How many times faster than evenly the budget of an objective goes at this burn.
    fn rate(&self, window_ms: i64) -> f64 {
        self.spent * window_ms as f64 / self.long_ms as f64
    }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

const BURNS: [Burn; 4] = [
    Burn {
        long_ms: HOUR_MS,
        short_ms: 5 * MINUTE_MS,
        spent: 0.02,
        severity: "critical",
    },
    Burn {
        long_ms: 6 * HOUR_MS,
        short_ms: 30 * MINUTE_MS,
        spent: 0.05,
        severity: "critical",
    },
    Burn {
        long_ms: 24 * HOUR_MS,
        short_ms: 2 * HOUR_MS,
        spent: 0.1,
        severity: "warning",
    },
    Burn {
        long_ms: 72 * HOUR_MS,
        short_ms: 6 * HOUR_MS,
        spent: 0.1,
        severity: "warning",
    },
];

/// The rules of objectives; `edges` are the upper bounds of the gateway's latency histogram, in seconds, rising.
pub fn rules_of(objectives: &[Objective], edges: &[f64]) -> Result<Vec<RuleGroup>, ObjectiveFault> {
    objectives
        .iter()
        .map(|objective| group(objective, edges))
        .collect()
}

fn group(objective: &Objective, edges: &[f64]) -> Result<RuleGroup, ObjectiveFault> {
    let mut rules = Vec::new();
    let (bad, all) = objective.rates(edges);
    let outside = if objective.except_maintenance {
        " unless on () (mainstay_maintenance > 0)"
    } else {
        ""
    };
    rules.push(record(
        objective,
        "slo:bad:rate",
        &format!("{bad}{outside}"),
    )?);
    rules.push(record(
        objective,
        "slo:all:rate",
        &format!("{all}{outside}"),
    )?);
    let slo = format!("slo={}", quoted(objective.name.as_bytes()));
    let mut windows: Vec<i64> = BURNS
        .iter()
        .flat_map(|burn| [burn.long_ms, burn.short_ms])
        .collect();
    windows.push(objective.window_ms);
    windows.sort_unstable();
    windows.dedup();
    for window in windows {
        let length = span::format(window);
        let ratio = format!(
            "sum_over_time(slo:bad:rate{{{slo}}}[{length}]) / (sum_over_time(slo:all:rate{{{slo}}}[{length}]) > 0)"
        );
        rules.push(record(objective, &ratio_name(window), &ratio)?);
    }
    let spent = format!(
        "1 - {}{{{slo}}} / {}",
        ratio_name(objective.window_ms),
        objective.budget()
    );
    rules.push(record(objective, LEFT, &spent)?);
    for burn in BURNS
        .iter()
        .filter(|burn| burn.long_ms < objective.window_ms)
    {
        rules.push(alert(objective, burn, &slo)?);
    }
    Ok(RuleGroup {
        file: "mainstay".into(),
        name: format!("slo-{}", objective.name),
        interval_ms: Some(MINUTE_MS),
        query_offset_ms: None,
        limit: 0,
        rules,
    })
}

/// The series of what is left of an error budget.
pub(crate) const LEFT: &str = "slo:budget:remaining";

/// The series of the share that went wrong within a window.
pub(crate) fn ratio_name(window_ms: i64) -> String {
    format!("slo:bad_ratio:{}", span::format(window_ms))
}

fn labels(objective: &Objective) -> BTreeMap<String, Template> {
    BTreeMap::from([
        ("slo".to_owned(), Template::literal(&objective.name)),
        ("service".to_owned(), Template::literal(&objective.service)),
    ])
}

fn query(objective: &Objective, text: &str) -> Result<Query, ObjectiveFault> {
    Query::parse(text).map_err(|fault| ObjectiveFault {
        found: objective.name.clone(),
        why: fault.to_string(),
    })
}

fn record(objective: &Objective, name: &str, text: &str) -> Result<Rule, ObjectiveFault> {
    Ok(Rule {
        kind: RuleKind::Recording(name.to_owned()),
        query: query(objective, text)?,
        labels: labels(objective),
        place: Place::default(),
    })
}

fn alert(objective: &Objective, burn: &Burn, slo: &str) -> Result<Rule, ObjectiveFault> {
    let rate = burn.rate(objective.window_ms);
    let limit = rate * objective.budget();
    let (long, short) = (ratio_name(burn.long_ms), ratio_name(burn.short_ms));
    let text = format!("{long}{{{slo}}} > {limit} and {short}{{{slo}}} > {limit}");
    let mut labels = labels(objective);
    labels.insert("severity".into(), Template::literal(burn.severity));
    labels.insert(
        "window".into(),
        Template::literal(&span::format(burn.long_ms)),
    );
    let summary = format!(
        "{} burns its error budget {rate:.1} times too fast: {{{{ $value | humanizePercentage }}}} went wrong within {}",
        objective.name,
        span::format(burn.long_ms)
    );
    let summary = Template::of_rule(&summary).map_err(|fault| ObjectiveFault {
        found: objective.name.clone(),
        why: fault.to_string(),
    })?;
    let runbook = "If a release preceded this, roll it back: `mainstay rollback`. `slo:budget:remaining` says what is left.";
    Ok(Rule {
        kind: RuleKind::Alerting(Alerting {
            alert: BUDGET_BURNS.into(),
            for_ms: 0,
            keep_firing_for_ms: 0,
            annotations: BTreeMap::from([
                ("summary".to_owned(), summary),
                ("runbook".to_owned(), Template::literal(runbook)),
            ]),
        }),
        query: query(objective, &text)?,
        labels,
        place: Place::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule_test::run_rule_tests;
    use crate::rule_test_file::read_rule_tests;

    const EDGES: [f64; 6] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

    #[test]
    fn objectives_are_read() {
        let objective = Objective::parse("a", "web", "99.9% over 30d").unwrap();
        assert!((objective.budget() - 0.001).abs() < 1e-12);
        assert_eq!(
            (objective.window_ms, objective.kind),
            (WINDOW_MS, ObjectiveKind::Availability)
        );
        let objective = Objective::parse("a", "web", "95% < 300ms").unwrap();
        assert_eq!(objective.kind, ObjectiveKind::Latency(0.3));
        for text in [
            "",
            "99.9",
            "100%",
            "0%",
            "99% over 1h",
            "99% over x",
            "99% < 0s",
            "99% < fast",
            "99% < 1s over 9y",
        ] {
            assert!(Objective::parse("a", "web", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_service_says_its_objectives_under_two_keys() {
        let slo = |availability: &str, latency: &str| SloFile {
            service: "web".into(),
            availability: Some(availability.into()),
            latency: Some(latency.into()),
        };
        let read = slo("99.9% over 30d", "95% < 300ms").read().unwrap();
        let names: Vec<&str> = read.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["web-availability", "web-latency"]);
        let (key, fault) = slo("99.9%", "95%").read().unwrap_err();
        assert_eq!(key, "latency");
        assert!(fault.to_string().contains("limit is missing"), "{fault}");
        let (key, fault) = slo("95% < 1s", "95% < 1s").read().unwrap_err();
        assert_eq!(key, "availability");
        assert!(fault.to_string().contains("under `latency`"), "{fault}");
    }

    /// Requests a minute, of which so many fail, and whether the budget burns after so many minutes.
    fn play(bad: &str, good: &str, minutes: i64, expected: &str) {
        let mut objective = Objective::parse("web-up", "web", "99.9% over 30d").unwrap();
        objective.except_maintenance = true;
        let groups = rules_of(&[objective], &EDGES).unwrap();
        let series = |code: &str, values: &str| {
            format!(
                "{{series: 'gateway_requests_total{{route=\"r\",service=\"web\",code=\"{code}\"}}', values: '{values}'}}"
            )
        };
        let text = format!(
            "tests:\n- input_series: [{}, {}]\n  promql_expr_test:\n  - expr: count by (severity, window) (ALERTS{{alertname=\"BudgetBurns\"}})\n    eval_time: {minutes}m\n    exp_samples: {expected}\n",
            series("500", bad),
            series("200", good)
        );
        let tests = read_rule_tests("t", &text).unwrap();
        for report in run_rule_tests(&tests, &groups, &|| false) {
            assert!(report.failures.is_empty(), "{}", report.failures[0].text);
        }
    }

    #[test]
    fn a_fast_burn_pages_and_a_slow_one_does_not() {
        // 14.4 times 0.1 % for an hour is the first page; 5 % of errors burn all windows that are full enough.
        let page = "[{labels: '{severity=\"critical\", window=\"1h\"}', value: 1}, {labels: '{severity=\"critical\", window=\"6h\"}', value: 1}, {labels: '{severity=\"warning\", window=\"1d\"}', value: 1}, {labels: '{severity=\"warning\", window=\"3d\"}', value: 1}]";
        play("0+50x90", "0+950x90", 75, page);
        // At 0.05 % half of the budget is left at the end of the month.
        play("0+1x300", "0+2000x300", 290, "[]");
        // After it stopped, the short window ends the page.
        play(
            "0+50x60 3000x30",
            "0+950x90",
            75,
            "[{labels: '{severity=\"warning\", window=\"1d\"}', value: 1}, {labels: '{severity=\"critical\", window=\"6h\"}', value: 1}, {labels: '{severity=\"warning\", window=\"3d\"}', value: 1}]",
        );
    }

    #[test]
    fn a_limit_between_two_edges_is_interpolated() {
        let bucket = |edge: &str| format!("b{edge}");
        assert_eq!(within(0.2, &EDGES, &bucket), "b0.2");
        assert_eq!(within(0.05, &EDGES, &bucket), "b0.1 * 0.5");
        assert!(within(0.3, &EDGES, &bucket).starts_with("b0.2 + (b0.5 - b0.2) * 0.333"));
        assert_eq!(within(9.0, &EDGES, &bucket), "b5");
        let objective = Objective::parse("fast", "web", "95% < 300ms over 7d").unwrap();
        assert!(rules_of(&[objective], &EDGES).is_ok());
    }
}
