//! Rule files in the field's format: every mistake of a file in one run, each at its place.

use crate::document::{Place, parse};
use crate::fault::FileFault;
use crate::reader::{Fields, Pair, Reader, Value};
use crate::rule::{Alerting, Query, Rule, RuleGroup, RuleKind};
use crate::template::Template;
use mainstay_metrics::label::NAME;
use std::collections::{BTreeMap, BTreeSet};

/// Reads a rule file.
pub fn read_rules(file: &str, text: &str) -> Result<Vec<RuleGroup>, Vec<FileFault>> {
    let Some(root) = parse(file, text).map_err(|fault| vec![fault])? else {
        return Ok(Vec::new());
    };
    let mut reader = Reader::new(file);
    let root = Value {
        node: &root,
        path: String::new(),
    };
    let fields = reader.map(&root, &["groups"]);
    let mut groups = Vec::new();
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let listed = fields.get("groups").map(|value| reader.list(&value));
    for value in listed.unwrap_or_default() {
        let group = group(&mut reader, file, &value);
        if let Some(first) = names.insert(group.name.clone(), value.place()) {
            let message = format!(
                "group `{}` is there already, in line {}",
                group.name, first.line
            );
            reader.fault(value.place(), &value.path, message);
        }
        groups.push(group);
    }
    duplicates(&mut reader, &groups);
    cycles(&mut reader, &groups);
    reader.end(groups)
}

fn group(reader: &mut Reader, file: &str, value: &Value<'_>) -> RuleGroup {
    let known = [
        "name",
        "interval",
        "query_offset",
        "limit",
        "labels",
        "rules",
    ];
    let fields = reader.map(value, &known);
    let name = reader.text_of(&fields, "name");
    if name.is_empty() {
        reader.fault(fields.place, &fields.path, "a group needs a `name`");
    }
    let interval_ms = positive(reader, &fields, "interval");
    let query_offset_ms = reader.duration_of(&fields, "query_offset");
    let limit = reader.count_of(&fields, "limit").unwrap_or(0);
    let common = reader.pairs_of(&fields, "labels");
    let common = labels(reader, &common, false);
    let listed = fields.get("rules").map(|value| reader.list(&value));
    let rules = listed.unwrap_or_default();
    let rules = rules
        .iter()
        .filter_map(|value| rule(reader, value, &common));
    RuleGroup {
        file: file.to_owned(),
        name,
        interval_ms,
        query_offset_ms,
        limit,
        rules: rules.collect(),
    }
}

/// A duration above zero.
fn positive(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<i64> {
    let duration = reader.duration_of(fields, key)?;
    // Zero is as good as absent, as in the field's files.
    (duration > 0).then_some(duration)
}

fn rule(
    reader: &mut Reader,
    value: &Value<'_>,
    common: &BTreeMap<String, Template>,
) -> Option<Rule> {
    let known = [
        "record",
        "alert",
        "expr",
        "for",
        "keep_firing_for",
        "labels",
        "annotations",
    ];
    let before = reader.count();
    let fields = reader.map(value, &known);
    let record = reader.text_of(&fields, "record");
    let alert = reader.text_of(&fields, "alert");
    let query = query(reader, &fields);
    let kind = match (record.is_empty(), alert.is_empty()) {
        (false, true) => recording(reader, &fields, record),
        (true, false) => Some(alerting(reader, &fields, alert)),
        (true, true) => {
            reader.fault(
                fields.place,
                &fields.path,
                "a rule needs `record` or `alert`",
            );
            None
        }
        (false, false) => {
            let message = "a rule has either `record` or `alert`, found both";
            reader.fault(fields.place, &fields.path, message);
            None
        }
    };
    let own = reader.pairs_of(&fields, "labels");
    let expands = matches!(kind, Some(RuleKind::Alerting(_)));
    let own = labels(reader, &own, expands);
    let mut labels = common.clone();
    labels.extend(own);
    if reader.count() > before {
        return None;
    }
    Some(Rule {
        kind: kind?,
        query: query?,
        labels,
        place: fields.place,
    })
}

fn query(reader: &mut Reader, fields: &Fields<'_>) -> Option<Query> {
    let Some(value) = fields.get("expr") else {
        reader.fault(fields.place, &fields.path, "a rule needs an `expr`");
        return None;
    };
    let text = reader.text(&value);
    match Query::parse(&text) {
        Ok(query) => Some(query),
        Err(fault) => {
            let message = format!("could not parse expression: {fault}");
            reader.fault(value.place(), &value.path, message);
            None
        }
    }
}

fn recording(reader: &mut Reader, fields: &Fields<'_>, name: String) -> Option<RuleKind> {
    for key in ["for", "keep_firing_for", "annotations"] {
        if let Some(value) = fields.get(key) {
            let message = format!("a recording rule has no `{key}`");
            reader.fault(value.place(), &value.path, message);
        }
    }
    if name.contains(['{', '}']) {
        let place = fields
            .get("record")
            .map_or(fields.place, |value| value.place());
        let message = format!("`{name}` is not a metric's name; a selector belongs into `expr`");
        reader.fault(place, &fields.path, message);
        return None;
    }
    Some(RuleKind::Recording(name))
}

fn alerting(reader: &mut Reader, fields: &Fields<'_>, alert: String) -> RuleKind {
    let for_ms = reader.duration_of(fields, "for").unwrap_or(0);
    let keep_firing_for_ms = reader.duration_of(fields, "keep_firing_for").unwrap_or(0);
    let pairs = reader.pairs_of(fields, "annotations");
    let mut annotations = BTreeMap::new();
    for pair in &pairs {
        label_name(reader, pair, "an annotation");
        if let Some(template) = template(reader, pair) {
            annotations.insert(pair.name.clone(), template);
        }
    }
    RuleKind::Alerting(Alerting {
        alert,
        for_ms,
        keep_firing_for_ms,
        annotations,
    })
}

fn labels(reader: &mut Reader, pairs: &[Pair], expands: bool) -> BTreeMap<String, Template> {
    let mut labels = BTreeMap::new();
    for pair in pairs {
        label_name(reader, pair, "a label");
        let found = if expands {
            template(reader, pair)
        } else {
            Some(Template::literal(&pair.value))
        };
        if let Some(template) = found {
            labels.insert(pair.name.clone(), template);
        }
    }
    labels
}

fn label_name(reader: &mut Reader, pair: &Pair, what: &str) {
    if pair.name.is_empty() || pair.name == NAME {
        let message = format!("`{}` cannot be {what}'s name", pair.name);
        reader.fault(pair.name_place, &pair.path, message);
    }
}

fn template(reader: &mut Reader, pair: &Pair) -> Option<Template> {
    match Template::of_rule(&pair.value) {
        Ok(template) => Some(template),
        Err(fault) => {
            let message = format!("broken template: {fault}");
            reader.fault(pair.place, &pair.path, message);
            None
        }
    }
}

/// Two rules whose results would be the same series, or which say the same twice.
fn duplicates(reader: &mut Reader, groups: &[RuleGroup]) {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for rule in groups.iter().flat_map(|group| &group.rules) {
        let key = match rule.kind {
            RuleKind::Recording(_) => rule.key(),
            RuleKind::Alerting(_) => format!("{} {}", rule.key(), rule.query.text),
        };
        if let Some(first) = seen.get(&key) {
            let what = match rule.kind {
                RuleKind::Recording(_) => "name and labels",
                RuleKind::Alerting(_) => "name, labels and expression",
            };
            let message = format!(
                "rule `{}` is there already with the same {what}, in line {}",
                rule.name(),
                first.line
            );
            reader.hinted(
                rule.place,
                "",
                message,
                "take one of the two away, or give them different `labels`",
            );
        } else {
            seen.insert(key, rule.place);
        }
    }
}

/// Recording rules that need one another at the same time have no order in which they could run.
fn cycles(reader: &mut Reader, groups: &[RuleGroup]) {
    let mut needs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let rules = || groups.iter().flat_map(|group| &group.rules);
    for rule in rules() {
        if let RuleKind::Recording(name) = &rule.kind {
            needs
                .entry(name)
                .or_default()
                .extend(rule.query.reads_now());
        }
    }
    needs.retain(|_, names| !names.is_empty());
    let mut told = BTreeSet::new();
    for rule in rules() {
        let RuleKind::Recording(name) = &rule.kind else {
            continue;
        };
        let Some(path) = way_back(name, &needs).filter(|_| !told.contains(name.as_str())) else {
            continue;
        };
        told.extend(path.iter().cloned());
        let message = format!("rule `{name}` needs itself: {}", path.join(" → "));
        let hint = "take one of these names out of an `expr`, or read the past with `offset`";
        reader.hinted(rule.place, "", message, hint);
    }
}

/// The names on the way from a rule back to itself.
fn way_back(start: &str, needs: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut from: BTreeMap<String, String> = BTreeMap::new();
    let mut open = vec![start.to_owned()];
    while let Some(name) = open.pop() {
        for next in needs.get(name.as_str()).into_iter().flatten() {
            if next == start {
                let mut path = vec![start.to_owned()];
                let mut at = name.clone();
                while at != start {
                    path.push(at.clone());
                    at = from.get(&at)?.clone();
                }
                path.push(start.to_owned());
                path.reverse();
                return Some(path);
            }
            if needs.contains_key(next.as_str()) && !from.contains_key(next) {
                from.insert(next.clone(), name.clone());
                open.push(next.clone());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_with_all_its_keys() {
        let text = "groups:\n- name: g\n  interval: 30s\n  query_offset: 1m\n  limit: 5\n  labels: {team: a, x: y}\n  rules:\n  - record: a:b\n    expr: sum(a)\n    labels: {x: z}\n  - alert: A\n    expr: a:b > 1\n    for: 1m\n    keep_firing_for: 2m\n    annotations: {summary: '{{ $value }}'}\n";
        let groups = read_rules("f", text).unwrap();
        let group = &groups[0];
        assert_eq!(
            (group.interval_ms, group.query_offset_ms, group.limit),
            (Some(30_000), Some(60_000), 5)
        );
        assert_eq!(group.rules[0].key(), "record a:b{team=\"a\", x=\"z\"}");
        let RuleKind::Alerting(alerting) = &group.rules[1].kind else {
            panic!("an alert");
        };
        assert_eq!(
            (alerting.for_ms, alerting.keep_firing_for_ms),
            (60_000, 120_000)
        );
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        for (rule, line, needle, why) in [
            (
                "{record: a, expr: 'sum('}",
                4,
                "'sum('",
                "could not parse expression",
            ),
            (
                "{record: a, alert: b, expr: x}",
                4,
                "{record: a, alert",
                "found both",
            ),
            ("{expr: x}", 4, "{expr: x}", "needs `record` or `alert`"),
            ("{record: a}", 4, "{record: a}", "needs an `expr`"),
            ("{record: a, expr: x, for: 1m}", 4, "1m", "has no `for`"),
            (
                "{record: 'a{b}', expr: x}",
                4,
                "'a{b}'",
                "not a metric's name",
            ),
            ("{alert: a, expr: x, for: 1z}", 4, "1z", "not a duration"),
            (
                "{alert: a, expr: x, labels: {__name__: b}}",
                4,
                "__name__",
                "label's name",
            ),
            (
                "{alert: a, expr: x, annotations: {s: '{{ $x }}'}}",
                4,
                "'{{ $x }}'",
                "broken template",
            ),
            (
                "{alert: a, expr: x, nope: 1}",
                4,
                "nope",
                "unknown key `nope`",
            ),
            (
                "{alert: a, expr: x}\n  - {alert: a, expr: x}",
                5,
                "{alert: a, expr: x}",
                "there already",
            ),
            (
                "{record: a, expr: x}\n  - {record: a, expr: y}",
                5,
                "{record: a, expr: y}",
                "there already",
            ),
            (
                "{record: a, expr: b}\n  - {record: b, expr: 'sum(rate(a[5m]))'}",
                4,
                "{record: a, expr: b}",
                "a → b → a",
            ),
            (
                "{record: a, expr: a + 1}",
                4,
                "{record: a, expr: a",
                "a → a",
            ),
        ] {
            let text = format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
            let faults = read_rules("f", &text).unwrap_err();
            let fault = &faults[0];
            assert!(fault.to_string().contains(why), "{rule}: {fault}");
            let column = text.lines().nth(line - 1).unwrap().find(needle).unwrap() + 1;
            assert_eq!(
                (fault.place.line, fault.place.column),
                (line, column),
                "{fault}"
            );
        }
    }

    #[test]
    fn the_past_of_itself_may_be_read() {
        let text = "groups: [{name: g, rules: [{record: a, expr: 'b + (a offset 1m)'}]}]";
        assert!(read_rules("f", text).is_ok());
        assert!(read_rules("f", "").unwrap().is_empty());
        assert!(read_rules("f", "groups: [{name: g}, {name: g}]").is_err());
        assert!(read_rules("f", "rules: []").is_err());
        assert!(read_rules("f", "groups: [{rules: []}]").is_err());
    }
}
