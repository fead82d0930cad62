//! Questions about series: queries, labels, metadata, targets.

use super::{Api, Asked, Ready};
use crate::answer::{self, ApiFault};
use crate::clock;
use crate::form::{Form, duration_ms, time_ms};
use crate::query;
use mainstay_metrics::{Labels, MatchOp, Matcher};
use mainstay_promql::{Kind, Options, Settings, When, parse};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Most points of a series in one answer, as in the field.
const POINTS_MAX: i64 = 11_000;

/// What the parameters of a query say.
struct Question {
    text: String,
    settings: Settings,
    deadline: Instant,
    limit: Option<usize>,
}

fn time_of(form: &Form, name: &str) -> Result<Option<i64>, ApiFault> {
    let Some(text) = form.get(name) else {
        return Ok(None);
    };
    let found = time_ms(text);
    let found = found.ok_or_else(|| {
        let why = format!("cannot parse {text:?} to a valid timestamp");
        ApiFault::parameter(name, why)
    })?;
    Ok(Some(found))
}

fn duration_of(form: &Form, name: &str) -> Result<Option<i64>, ApiFault> {
    let Some(text) = form.get(name) else {
        return Ok(None);
    };
    let found = duration_ms(text);
    let found = found.ok_or_else(|| {
        let why = format!("cannot parse {text:?} to a valid duration");
        ApiFault::parameter(name, why)
    })?;
    Ok(Some(found))
}

fn limit_of(form: &Form) -> Result<Option<usize>, ApiFault> {
    let Some(text) = form.get("limit") else {
        return Ok(None);
    };
    let limit: usize = text
        .parse()
        .map_err(|_| ApiFault::parameter("limit", "limit must be non-negative"))?;
    Ok((limit > 0).then_some(limit))
}

/// The range of a question about labels; all time where it names none.
pub(super) fn range_of(form: &Form) -> Result<(i64, i64), ApiFault> {
    let start = time_of(form, "start")?.unwrap_or(i64::MIN + 1);
    let end = time_of(form, "end")?.unwrap_or(i64::MAX);
    if end < start {
        return Err(ApiFault::bad(
            "end timestamp must not be before start timestamp",
        ));
    }
    Ok((start - 1, end))
}

/// Lists of conditions, as `match[]` writes them.
fn matches_of(form: &Form) -> Result<Vec<Vec<Matcher>>, ApiFault> {
    form.all("match[]")
        .map(|text| {
            let expr = parse(text, Options::default())
                .map_err(|fault| ApiFault::parameter("match[]", fault))?;
            match &expr.bare().kind {
                Kind::Select(selector) => Ok(selector.matchers.clone()),
                _ => Err(ApiFault::parameter("match[]", "it is no series selector")),
            }
        })
        .collect()
}

/// Lists of conditions of who asks for samples themselves; where it names none, everything is meant.
pub(super) fn wanted(form: &Form) -> Result<Vec<Vec<Matcher>>, ApiFault> {
    let mut lists = matches_of(form)?;
    if lists.is_empty() {
        let any = Matcher::new("__name__", MatchOp::NotEqual, "");
        lists.push(vec![any.map_err(|fault| ApiFault::bad(fault.to_string()))?]);
    }
    Ok(lists)
}

impl Api {
    fn question(&self, form: &Form) -> Result<Question, ApiFault> {
        let limits = self.process.config().limits;
        let mut settings = query::settings(&limits);
        if let Some(lookback) = duration_of(form, "lookback_delta")? {
            settings.lookback_ms = lookback.max(1);
        }
        let timeout = duration_of(form, "timeout")?.map_or(limits.query_timeout_ms, |timeout| {
            timeout.max(0).unsigned_abs().min(limits.query_timeout_ms)
        });
        Ok(Question {
            text: form.get("query").unwrap_or_default().to_owned(),
            settings,
            deadline: Instant::now() + Duration::from_millis(timeout),
            limit: limit_of(form)?,
        })
    }

    async fn evaluate(&self, question: Question, when: When) -> Result<Ready, ApiFault> {
        let store = self.process.store.clone();
        let answered = self.process.pool.run(move || {
            let Question { text, limit, .. } = &question;
            let expr = parse(text, Options::default())
                .map_err(|fault| ApiFault::parameter("query", fault))?;
            let asked = query::ask(
                &store,
                text,
                &expr,
                when,
                &question.settings,
                question.deadline,
            );
            let (outcome, remarks) = asked.map_err(ApiFault::from)?;
            let at_ms = match when {
                When::Instant(at_ms) => at_ms,
                When::Range { end_ms, .. } => end_ms,
            };
            Ok(Ready::json(answer::outcome(
                outcome, text, at_ms, remarks, *limit,
            )))
        });
        answered
            .await
            .map_err(|busy| ApiFault::unavailable(busy.to_string()))?
    }

    pub(super) async fn query(&self, asked: Asked) -> Result<Ready, ApiFault> {
        let at_ms = time_of(&asked.form, "time")?.unwrap_or_else(clock::wall_ms);
        let question = self.question(&asked.form)?;
        self.evaluate(question, When::Instant(at_ms)).await
    }

    pub(super) async fn query_range(&self, asked: Asked) -> Result<Ready, ApiFault> {
        let form = &asked.form;
        let needed = |name: &str, found: Option<i64>| {
            found.ok_or_else(|| {
                let kind = if name == "step" {
                    "duration"
                } else {
                    "timestamp"
                };
                ApiFault::parameter(name, format!("cannot parse \"\" to a valid {kind}"))
            })
        };
        let start_ms = needed("start", time_of(form, "start")?)?;
        let end_ms = needed("end", time_of(form, "end")?)?;
        if end_ms < start_ms {
            return Err(ApiFault::parameter(
                "end",
                "end timestamp must not be before start time",
            ));
        }
        let step_ms = needed("step", duration_of(form, "step")?)?;
        if step_ms <= 0 {
            return Err(ApiFault::parameter(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        if end_ms.saturating_sub(start_ms) / step_ms > POINTS_MAX {
            return Err(ApiFault::bad(
                "exceeded maximum resolution of 11,000 points per timeseries. \
                 Try decreasing the query resolution (?step=XX)",
            ));
        }
        let question = self.question(form)?;
        let when = When::Range {
            start_ms,
            end_ms,
            step_ms,
        };
        self.evaluate(question, when).await
    }

    /// Labels of series that fulfil the conditions of a question.
    async fn found(
        &self,
        lists: Vec<Vec<Matcher>>,
        range: (i64, i64),
    ) -> Result<BTreeSet<Labels>, ApiFault> {
        let store = self.process.store.clone();
        let found = self
            .process
            .pool
            .run(move || store.view().series(&lists, range.0, range.1));
        found
            .await
            .map_err(|busy| ApiFault::unavailable(busy.to_string()))
    }

    pub(super) async fn series(&self, asked: Asked) -> Result<Ready, ApiFault> {
        let lists = matches_of(&asked.form)?;
        if lists.is_empty() {
            return Err(ApiFault::bad("no match[] parameter provided"));
        }
        let limit = limit_of(&asked.form)?.unwrap_or(usize::MAX);
        let found = self.found(lists, range_of(&asked.form)?).await?;
        let mut out = String::from("[");
        for (place, one) in found.iter().take(limit).enumerate() {
            if place > 0 {
                out.push(',');
            }
            answer::labels(&mut out, one);
        }
        out.push(']');
        Ok(Ready::json(answer::success(&out)))
    }

    fn listed(found: &BTreeSet<String>, limit: Option<usize>) -> Ready {
        let mut out = String::new();
        let some = found.iter().take(limit.unwrap_or(usize::MAX));
        answer::list(&mut out, some.map(String::as_str));
        Ready::json(answer::success(&out))
    }

    pub(super) async fn label_names(&self, asked: Asked) -> Result<Ready, ApiFault> {
        let lists = matches_of(&asked.form)?;
        let (range, limit) = (range_of(&asked.form)?, limit_of(&asked.form)?);
        let found = if lists.is_empty() {
            let store = self.process.store.clone();
            let names = self
                .process
                .pool
                .run(move || store.view().label_names(range.0, range.1));
            names
                .await
                .map_err(|busy| ApiFault::unavailable(busy.to_string()))?
        } else {
            let series = self.found(lists, range).await?;
            let labels = series.iter().flat_map(Labels::iter);
            labels.map(|label| label.name.to_string()).collect()
        };
        Ok(Self::listed(&found, limit))
    }

    pub(super) async fn label_values(&self, asked: Asked, name: String) -> Result<Ready, ApiFault> {
        if name.is_empty() {
            return Err(ApiFault::bad("invalid label name: \"\""));
        }
        let lists = matches_of(&asked.form)?;
        let (range, limit) = (range_of(&asked.form)?, limit_of(&asked.form)?);
        let found = if lists.is_empty() {
            let store = self.process.store.clone();
            let values = self
                .process
                .pool
                .run(move || store.view().label_values(&name, range.0, range.1));
            values
                .await
                .map_err(|busy| ApiFault::unavailable(busy.to_string()))?
        } else {
            let series = self.found(lists, range).await?;
            let values = series.iter().filter_map(|labels| labels.find(&name));
            values.map(|label| label.value.to_string()).collect()
        };
        Ok(Self::listed(&found, limit))
    }

    pub(super) fn metadata(&self, asked: &Asked) -> Ready {
        let all = self.process.metadata.all(asked.form.get("metric"));
        let limit = asked.form.get("limit").and_then(|text| text.parse().ok());
        let mut out = String::from("{");
        for (place, (metric, meta)) in all.iter().take(limit.unwrap_or(usize::MAX)).enumerate() {
            if place > 0 {
                out.push(',');
            }
            answer::text(&mut out, metric);
            out.push_str(":[{\"type\":");
            let kind = if meta.kind.is_empty() {
                "unknown"
            } else {
                &meta.kind
            };
            answer::text(&mut out, kind);
            out.push_str(",\"help\":");
            answer::text(&mut out, &meta.help);
            out.push_str(",\"unit\":");
            answer::text(&mut out, &meta.unit);
            out.push_str("}]");
        }
        out.push('}');
        Ready::json(answer::success(&out))
    }

    pub(super) fn targets(&self, asked: &Asked) -> Ready {
        let mut out = String::from("{\"activeTargets\":[");
        if asked
            .form
            .get("state")
            .is_none_or(|state| state != "dropped")
        {
            let tasks = self
                .process
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for (place, task) in tasks.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                let standing = task.standing.lock().unwrap_or_else(PoisonError::into_inner);
                target(&mut out, &task.target, &standing);
            }
        }
        out.push_str("],\"droppedTargets\":[],\"droppedTargetCounts\":{}}");
        Ready::json(answer::success(&out))
    }
}

fn target(out: &mut String, target: &crate::config::Target, standing: &crate::scrape::Standing) {
    let mut labels = Labels::default().edit();
    for (name, value) in &target.labels {
        labels.set(name, value);
    }
    labels.set("job", &target.job);
    labels.set("instance", &target.instance());
    if !target.service.is_empty() {
        labels.set("service", &target.service);
    }
    out.push_str("{\"discoveredLabels\":{},\"labels\":");
    answer::labels(out, &labels.build());
    out.push_str(",\"scrapePool\":");
    answer::text(out, &target.job);
    for name in ["scrapeUrl", "globalUrl"] {
        // Writing to a text cannot fail.
        write!(out, ",\"{name}\":").ok();
        answer::text(out, &target.url());
    }
    out.push_str(",\"lastError\":");
    answer::text(out, standing.fault.as_deref().unwrap_or_default());
    let health = match (&standing.at_ms, &standing.fault) {
        (None, _) => "unknown",
        (_, None) => "up",
        (_, Some(_)) => "down",
    };
    let scraped = crate::api::alert::rfc3339(standing.at_ms.unwrap_or(-62_135_596_800_000));
    write!(
        out,
        ",\"lastScrape\":\"{scraped}\",\"lastScrapeDuration\":{},\"health\":\"{health}\",\
         \"scrapeInterval\":\"{}ms\",\"scrapeTimeout\":\"{}ms\"}}",
        standing.took.as_secs_f64(),
        target.every_ms,
        target.timeout_ms
    )
    .ok();
}
