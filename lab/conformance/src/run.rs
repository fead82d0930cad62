//! Plays a script.

use crate::pin::pin;
use crate::script::{Command, Eval, Expect, Expected, Load, Wanted, read};
use crate::{compare, convert};
use anyhow::Result;
use mainstay_metrics::{Labels, Memory, Sample, Value};
use mainstay_promql::{
    Annotation, Answer, AnswerSeries, Expr, Level, Options, Outcome, Settings, When, evaluate,
    parse,
};

/// What became of a script.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Cases that went as expected.
    pub passed: usize,
    /// All cases.
    pub cases: usize,
    /// Line, query and what was wrong, a failed case.
    pub faults: Vec<String>,
}

/// Plays a script. Fails when a line cannot be read.
pub fn run(text: &str) -> Result<Report> {
    let mut report = Report::default();
    let mut memory = Memory::default();
    for command in read(text)? {
        match command {
            Command::Clear => memory = Memory::default(),
            Command::Load(load) => store(&mut memory, load),
            Command::Eval(eval) => {
                report.cases += 1;
                match check(&memory, &eval) {
                    Ok(()) => report.passed += 1,
                    Err(fault) => report
                        .faults
                        .push(format!("{} {}\n    {fault}", eval.line, eval.query)),
                }
            }
        }
    }
    Ok(report)
}

fn store(memory: &mut Memory, load: Load) {
    let mut series = load.series;
    if load.converts {
        let native = convert::native(&series);
        series.extend(native);
    }
    // Of two lines for one series in a block the last wins.
    for place in (0..series.len()).rev() {
        if series[place + 1..]
            .iter()
            .any(|(labels, _)| *labels == series[place].0)
        {
            series[place].1.clear();
        }
    }
    for (labels, points) in series {
        for (place, point) in points.into_iter().enumerate() {
            if let Some(value) = point {
                let at_ms = load.interval_ms * place as i64;
                memory.append(&labels, Sample { at_ms, value });
            }
        }
    }
}

type Checked = Result<(), String>;

fn check(memory: &Memory, eval: &Eval) -> Checked {
    let expect = &eval.expect;
    let settings = Settings::default();
    let options = Options { experimental: true };
    let query = eval.query.as_str();
    let play = |expr: &Expr, when| {
        evaluate(memory, query, expr, when, &settings, &|| false).map_err(|fault| fault.to_string())
    };
    let parsed = parse(query, options).map_err(|fault| fault.to_string());
    let outcome = parsed.and_then(|expr| Ok((play(&expr, eval.when)?, expr)));
    let (outcome, expr) = match (outcome, &expect.fail) {
        (Err(found), Some(wanted)) if wanted.accepts(&found) => return Ok(()),
        (Err(found), Some(wanted)) => {
            return Err(format!("it fails with `{found}`, not with {wanted:?}"));
        }
        (Err(found), None) => return Err(format!("it fails: {found}")),
        (Ok(_), Some(_)) => return Err("it does not fail".into()),
        (Ok(outcome), None) => outcome,
    };
    remarks(expect, &outcome.annotations, query)?;
    match eval.when {
        When::Instant(at) => {
            instant(expect, &outcome, at)?;
            if repeats(expect, query) {
                let when = When::Range {
                    start_ms: at - 60_000,
                    end_ms: at + 60_000,
                    step_ms: 60_000,
                };
                let outcome =
                    play(&expr, when).map_err(|fault| format!("as a range it fails: {fault}"))?;
                let middle = middle(outcome.answer, at, expect.scalar.is_some());
                instant(
                    expect,
                    &Outcome {
                        answer: middle,
                        ..outcome
                    },
                    at,
                )
                .map_err(|fault| format!("as a range: {fault}"))?;
            }
            let mut pinned = expr.clone();
            if expect.range.is_none() && pin(&mut pinned, at) {
                for moved in elsewhere(at) {
                    let outcome = play(&pinned, When::Instant(moved))
                        .map_err(|fault| format!("pinned, at {moved} ms it fails: {fault}"))?;
                    instant(expect, &outcome, moved)
                        .map_err(|fault| format!("pinned, at {moved} ms: {fault}"))?;
                }
            }
            Ok(())
        }
        When::Range {
            start_ms,
            step_ms,
            end_ms,
        } => {
            let Answer::Matrix(found) = &outcome.answer else {
                return Err("a range query yields a matrix".into());
            };
            if !found.is_sorted_by(|one, two| one.labels < two.labels) {
                return Err("the series are not sorted".into());
            }
            matrix(&expect.series, found, start_ms, end_ms, step_ms)
        }
    }
}

/// Other times at which a pinned query must yield the same.
fn elsewhere(at: i64) -> Vec<i64> {
    if at == 0 {
        return vec![-1000, 0, 1000];
    }
    vec![-10 * at, 0, at / 5, at, 10 * at]
}

/// Whether a case is played as a range query too.
fn repeats(expect: &Expect, query: &str) -> bool {
    let bound = ["start()", "end()", "range()", "step()"]
        .iter()
        .any(|call| query.replace(' ', "").contains(call));
    !expect.ordered && expect.string.is_none() && expect.range.is_none() && !bound
}

/// The samples of one time of a range.
fn middle(answer: Answer, at: i64, scalar: bool) -> Answer {
    let Answer::Matrix(series) = answer else {
        return answer;
    };
    let at_time = |one: AnswerSeries| AnswerSeries {
        samples: one
            .samples
            .into_iter()
            .filter(|sample| sample.at_ms == at)
            .collect(),
        ..one
    };
    let series: Vec<_> = series
        .into_iter()
        .map(at_time)
        .filter(|one| !one.samples.is_empty())
        .collect();
    match series.first().map(|one| &one.samples[0].value) {
        Some(Value::Float(value)) if scalar => Answer::Scalar {
            at_ms: at,
            value: *value,
        },
        _ => Answer::Vector(series),
    }
}

fn remarks(expect: &Expect, annotations: &[Annotation], query: &str) -> Checked {
    for (level, wanted, none) in [
        (Level::Warning, &expect.warns, expect.no_warn),
        (Level::Info, &expect.infos, expect.no_info),
    ] {
        let found = annotations.iter().filter(|one| one.level == level);
        let found: Vec<String> = found.map(|one| one.message(query)).collect();
        if none && !found.is_empty() {
            return Err(format!("it says {found:?}"));
        }
        remark(wanted, &found)?;
    }
    Ok(())
}

fn remark(wanted: &[Wanted], found: &[String]) -> Checked {
    if wanted.is_empty() {
        return Ok(());
    }
    if let Some(missing) = wanted
        .iter()
        .find(|wanted| !found.iter().any(|text| wanted.accepts(text)))
    {
        return Err(format!("it does not say {missing:?} but {found:?}"));
    }
    if let Some(other) = found
        .iter()
        .find(|text| !wanted.iter().any(|wanted| wanted.accepts(text)))
    {
        return Err(format!("it also says {other:?}"));
    }
    Ok(())
}

fn instant(expect: &Expect, outcome: &Outcome, at: i64) -> Checked {
    match (&outcome.answer, &expect.string, expect.scalar) {
        (Answer::Text(found), Some(wanted), _) if found == wanted => Ok(()),
        (Answer::Scalar { value, .. }, _, Some(wanted)) if compare::floats(wanted, *value) => {
            Ok(())
        }
        (Answer::Vector(found), None, None) => vector(expect, found, at),
        (Answer::Matrix(found), None, None) => {
            let (start, end, step) = expect.range.ok_or("it yields a matrix")?;
            matrix(&expect.series, found, start, end, step)
        }
        (found, _, _) => Err(format!("it yields {found:?}")),
    }
}

fn vector(expect: &Expect, found: &[AnswerSeries], at: i64) -> Checked {
    if expect.ordered {
        let order = |series: Vec<String>| series.join("\n      ");
        let wanted: Vec<String> = expect
            .series
            .iter()
            .map(|(labels, _)| labels.to_string())
            .collect();
        let got: Vec<String> = found.iter().map(|one| one.labels.to_string()).collect();
        if wanted != got {
            return Err(format!("the order is\n      {}", order(got)));
        }
    }
    matrix(&expect.series, found, at, at, 1)
}

fn matrix(
    expected: &[Expected],
    found: &[AnswerSeries],
    start: i64,
    end: i64,
    step: i64,
) -> Checked {
    let mut seen: Vec<&Labels> = Vec::new();
    for one in found {
        if seen.contains(&&one.labels) {
            return Err(format!("{} comes twice", one.labels));
        }
        seen.push(&one.labels);
        let Some((_, points)) = expected.iter().find(|(labels, _)| *labels == one.labels) else {
            return Err(format!("{} {:?} is not expected", one.labels, one.samples));
        };
        let steps = usize::try_from((end - start) / step + 1).unwrap_or(0);
        if points.len() > steps {
            return Err(format!(
                "{} is expected to have {} points in {steps} steps",
                one.labels,
                points.len()
            ));
        }
        for place in 0..steps {
            let at = start + step * place as i64;
            let found = one
                .samples
                .iter()
                .find(|sample| sample.at_ms == at)
                .map(|sample| &sample.value);
            let wanted = points.get(place).and_then(Option::as_ref);
            let agree = match (wanted, found) {
                (Some((wanted, hint)), Some(found)) => compare::values(wanted, found, *hint),
                (None, None) => true,
                _ => false,
            };
            if !agree {
                return Err(format!(
                    "{} at {at} ms is {found:?}, not {wanted:?}",
                    one.labels
                ));
            }
        }
    }
    let missing = expected
        .iter()
        .find(|(labels, points)| !seen.contains(&labels) && points.iter().any(Option::is_some));
    match missing {
        Some((labels, _)) => Err(format!("{labels} is missing")),
        None => Ok(()),
    }
}
