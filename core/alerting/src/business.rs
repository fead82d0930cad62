//! Short forms for business rules: `rate_of(m)`, `ratio_of(a, b)`, `age_of(m)`, `anomaly_of(m)`, `sql_of(name)`,
//! written out as queries.

/// Why a short form is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` {why}")]
pub struct BusinessFault {
    /// The short form.
    pub name: String,
    /// What is wrong.
    pub why: String,
}

/// The window of rates where none is given: as long as four scrapes and as short as a person waits.
const WINDOW: &str = "5m";
/// The series of queries that the file asks of a database.
const SQL: &str = "mainstay_query_value";
/// Deepest nesting that is written out.
const DEPTH_MAX: usize = 8;

/// Writes all short forms of an expression out.
pub fn written_out(text: &str) -> Result<String, BusinessFault> {
    expand(text, 0)
}

fn expand(text: &str, depth: usize) -> Result<String, BusinessFault> {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if matches!(letter, '"' | '\'' | '`') {
            let length = quoted(rest, letter);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if !(letter.is_ascii_alphabetic() || letter == '_') {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        }
        let end = rest.find(|one: char| !(one.is_ascii_alphanumeric() || one == '_' || one == ':'));
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let is_short = matches!(
            name,
            "rate_of" | "ratio_of" | "age_of" | "anomaly_of" | "sql_of"
        );
        if !is_short || !after.trim_start().starts_with('(') {
            out.push_str(name);
            rest = after;
            continue;
        }
        let fault = |why: &str| BusinessFault {
            name: name.to_owned(),
            why: why.to_owned(),
        };
        if depth >= DEPTH_MAX {
            return Err(fault("is nested too deep"));
        }
        let open = after.len() - after.trim_start().len();
        let (arguments, length) =
            arguments(&after[open..]).ok_or_else(|| fault("is never closed"))?;
        let mut written = Vec::new();
        for argument in arguments {
            written.push(expand(argument.trim(), depth + 1)?);
        }
        let query = query(name, &written).ok_or_else(|| fault("does not take these values"))?;
        out.push_str(&query);
        rest = &after[open + length..];
    }
    Ok(out)
}

/// How long the quoted text is that begins here.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (place, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            letter if letter == quote => return place + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The values in parentheses, and how long they were.
fn arguments(text: &str) -> Option<(Vec<&str>, usize)> {
    let (mut found, mut from, mut open, mut at) = (Vec::new(), 1, 0_usize, 0);
    while let Some(letter) = text[at..].chars().next() {
        match letter {
            '"' | '\'' | '`' => {
                at += quoted(&text[at..], letter);
                continue;
            }
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => {
                open = open.checked_sub(1)?;
                if open == 0 {
                    found.push(&text[from..at]);
                    return Some((found, at + 1));
                }
            }
            ',' if open == 1 => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += letter.len_utf8();
    }
    None
}

fn query(name: &str, values: &[String]) -> Option<String> {
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    if values.iter().any(|value| value.is_empty()) {
        return None;
    }
    Some(match (name, values.as_slice()) {
        ("rate_of", [metric]) => format!("sum(rate({metric}[{WINDOW}]))"),
        ("rate_of", [metric, window]) => format!("sum(rate({metric}[{window}]))"),
        ("ratio_of", [part, whole]) => ratio(part, whole, WINDOW),
        ("ratio_of", [part, whole, window]) => ratio(part, whole, window),
        ("age_of", [metric]) => format!("(time() - max({metric}))"),
        ("anomaly_of", [metric]) => anomaly(metric),
        ("sql_of", [name]) => {
            let name = name.trim_matches(['"', '\'', '`']);
            format!(
                "{SQL}{{query={}}}",
                mainstay_metrics::label::quoted(name.as_bytes())
            )
        }
        _ => return None,
    })
}

/// A part of which nothing happened is no part: it counts as zero as long as the whole is there.
fn ratio(part: &str, whole: &str, window: &str) -> String {
    let rate = |metric: &str| format!("sum(rate({metric}[{window}]))");
    let (part, whole) = (rate(part), rate(whole));
    format!("((({part}) or 0 * ({whole})) / ({whole} > 0))")
}

/// How far the last quarter of an hour is from the same hour of the four weeks before, in robust standard
/// deviations: the median instead of the mean, and the median deviation (× 1.4826) instead of the standard one,
/// which is never taken for less than a twentieth of the median. Rousseeuw and Croux, 1993.
fn anomaly(metric: &str) -> String {
    let weeks = (1..=4).map(|week| {
        format!("label_replace(avg_over_time({metric}[1h] offset {week}w), \"week\", \"{week}\", \"\", \"\")")
    });
    let past = format!("({})", weeks.collect::<Vec<_>>().join(" or "));
    let median = format!("quantile without (week) (0.5, {past})");
    let deviation = format!(
        "quantile without (week) (0.5, abs({past} - ignoring (week) group_left () {median}))"
    );
    let least = format!("0.05 * abs({median})");
    let scale = format!("((1.4826 * {deviation} > {least}) or {least})");
    format!("(abs(avg_over_time({metric}[15m]) - {median}) / ({scale} > 0))")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Query;

    #[test]
    fn short_forms_become_queries() {
        for (text, expected) in [
            (
                "rate_of(orders_total) > 5",
                "sum(rate(orders_total[5m])) > 5",
            ),
            (
                "rate_of(o{a=\"x,)\"}, 1h) > 5",
                "sum(rate(o{a=\"x,)\"}[1h])) > 5",
            ),
            ("age_of(last_run) > 3600", "(time() - max(last_run)) > 3600"),
            (
                "sql_of(\"unpaid\") > 0",
                "mainstay_query_value{query=\"unpaid\"} > 0",
            ),
            ("x{y=\"rate_of(z)\"}", "x{y=\"rate_of(z)\"}"),
            ("rate_of", "rate_of"),
        ] {
            assert_eq!(written_out(text).as_deref(), Ok(expected), "{text}");
            assert!(Query::parse(expected).is_ok(), "{expected}");
        }
        for text in [
            "ratio_of(a, b{c=\"d\"}) > 0.05",
            "ratio_of(a, b, 10m) > 0.05",
            "anomaly_of(bookings{region=\"eu\"}) > 4",
        ] {
            let query = written_out(text).unwrap();
            assert!(Query::parse(&query).is_ok(), "{query}");
        }
    }

    #[test]
    fn what_is_no_short_form_is_refused() {
        let deep = format!("{}x{}", "rate_of(".repeat(20), ")".repeat(20));
        for text in [
            "rate_of(a",
            "rate_of()",
            "ratio_of(a)",
            "age_of(a, b)",
            "rate_of(a))(",
            &deep,
        ] {
            let refused = written_out(text).map_or(true, |query| Query::parse(&query).is_err());
            assert!(refused, "{text}");
        }
    }
}
