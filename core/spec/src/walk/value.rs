//! Single values: a scalar and its row of the table → the checked type.

use super::Walk;
use super::fields::Field;
use crate::kind::{CORES, Kind, MEMORY_BYTES, SIGNALS};
use crate::nearest::short;
use crate::node::{Content, Node, Scalar, Span};
use crate::path::Path;
use crate::platform::Amount;
use crate::shape::Shape;
use mainstay_atoms::{Bytes, Millicores, Range, Share, span};
use std::time::Duration;

/// A number as the file may write it: plain decimal digits, no zero before others, which some read
/// as octal.
fn digits(scalar: &Scalar) -> Option<&str> {
    let number = scalar.text.strip_prefix('-').unwrap_or(&scalar.text);
    let plain = scalar.plain && !number.is_empty() && (number == "0" || !number.starts_with('0'));
    (plain && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(&scalar.text)
}

/// The kind of a field that holds one value.
fn kind_of(field: &Field<'_, '_>) -> Kind {
    match field.key.shape {
        Shape::Value(kind) | Shape::Either(kind, _) => kind,
        Shape::Map(_) | Shape::Names(_) => {
            unreachable!("the walker reads values where the table has values")
        }
    }
}

/// An example of a field, ready to be pasted.
fn example(field: &Field<'_, '_>) -> String {
    format!(
        "write for example `{}: {}`",
        field.key.name, field.key.example
    )
}

/// The token to show for a value: a map or list that spans lines is shown by its key.
fn token(field: &Field<'_, '_>, node: &Node) -> Span {
    let block = match &node.content {
        Content::Scalar(scalar) => scalar.text.is_empty(),
        Content::Map(map) => !map.flow,
        Content::List(_) => {
            node.span.column <= field.entry.key.span.column
                || node.span.line != field.entry.key.span.line
        }
    };
    if block {
        field.entry.key.span
    } else {
        node.span
    }
}

impl Walk<'_> {
    /// A value of another type than the key takes.
    pub(super) fn wrong_type(&mut self, field: &Field<'_, '_>, node: &Node, hint: Option<String>) {
        let message = format!("`{}` takes {}", field.key.name, field.key.shape.phrase());
        let token = token(field, node);
        self.add("wrong_type", token, &field.path, message, |fault| {
            fault
                .label(format!("this is {}", node.kind()))
                .hint(hint.unwrap_or_else(|| example(field)))
        });
    }

    /// A value with another unit than the key takes.
    fn wrong_unit(&mut self, field: &Field<'_, '_>, label: &str, meant: Option<String>) {
        let node = field.value();
        let message = format!("`{}` takes {}", field.key.name, kind_of(field).phrase());
        let hint = meant.map_or_else(|| example(field), |text| format!("did you mean `{text}`?"));
        self.add("wrong_unit", node.span, &field.path, message, |fault| {
            fault.label(label).hint(hint)
        });
    }

    /// A value beyond the ends of its range.
    pub(super) fn out_of_range(&mut self, field: &Field<'_, '_>, large: bool, hint: String) {
        let node = field.value();
        let text = node.scalar().map_or("", |scalar| &scalar.text);
        let message = format!("`{}` takes {}", field.key.name, kind_of(field).phrase());
        let label = format!(
            "{} is too {}",
            short(text),
            if large { "large" } else { "small" }
        );
        self.add("out_of_range", node.span, &field.path, message, |fault| {
            fault.label(label).hint(hint)
        });
    }

    /// The scalar of a field.
    pub(super) fn scalar<'t>(&mut self, field: &Field<'t, '_>) -> Option<&'t Scalar> {
        let scalar = field.value().scalar();
        if scalar.is_none() {
            self.wrong_type(field, field.value(), None);
        }
        scalar
    }

    /// A whole number within its range.
    pub(super) fn whole(&mut self, field: &Field<'_, '_>) -> Option<u64> {
        let Kind::Whole { least, most } = kind_of(field) else {
            unreachable!("the table has a whole number here");
        };
        let scalar = self.scalar(field)?;
        let Some(text) = digits(scalar) else {
            let number = scalar.text.parse::<u64>().ok();
            let hint = number
                .filter(|number| (least..=most).contains(number))
                .map(|number| format!("write `{}: {number}`", field.key.name));
            self.wrong_type(field, field.value(), hint);
            return None;
        };
        let number = text.parse::<u64>();
        match number {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            number => {
                let small = text.starts_with('-') || number.is_ok_and(|number| number < least);
                let hint = format!("choose a number from {least} to {most}");
                self.out_of_range(field, !small, hint);
                None
            }
        }
    }

    /// A duration within its range.
    pub(super) fn duration(&mut self, field: &Field<'_, '_>) -> Option<Duration> {
        let Kind::Span { least, most } = kind_of(field) else {
            unreachable!("the table has a duration here");
        };
        let text = &self.scalar(field)?.text;
        let Ok(duration) = span::parse(text) else {
            match unit::duration(text) {
                Some(meant) => {
                    self.wrong_unit(field, "the unit is one of d, h, m, s, ms", Some(meant));
                }
                None => self.wrong_type(field, field.value(), None),
            }
            return None;
        };
        let [least, most] = [least, most].map(Duration::from_millis);
        if (least..=most).contains(&duration) {
            return Some(duration);
        }
        let hint = format!(
            "choose from {} to {}",
            span::format(least),
            span::format(most)
        );
        self.out_of_range(field, duration > most, hint);
        None
    }

    /// Memory, one value or a range.
    pub(super) fn memory(&mut self, field: &Field<'_, '_>) -> Option<Range<Bytes>> {
        let text = &self.scalar(field)?.text;
        let Ok(range) = text.parse::<Range<Bytes>>() else {
            let label = "the unit is one of Ki, Mi, Gi, Ti, k, M, G, T";
            self.disordered_or_unit(field, text, label, unit::memory);
            return None;
        };
        let (least, most) = (Bytes(MEMORY_BYTES.0), Bytes(MEMORY_BYTES.1));
        if range.request >= least && range.limit <= most {
            return Some(range);
        }
        let bare = text.bytes().all(|byte| byte.is_ascii_digit());
        if bare && range.request < least {
            self.wrong_unit(
                field,
                "without a unit these are bytes",
                Some(format!("{text}Mi")),
            );
        } else {
            let hint = format!("choose from {least} to {most}");
            self.out_of_range(field, range.limit > most, hint);
        }
        None
    }

    /// Processor cores, one value or a range.
    pub(super) fn cores(&mut self, field: &Field<'_, '_>) -> Option<Range<Millicores>> {
        let text = &self.scalar(field)?.text;
        let Ok(range) = text.parse::<Range<Millicores>>() else {
            let label = "the unit is m, or none for whole cores";
            self.disordered_or_unit(field, text, label, unit::cores);
            return None;
        };
        let (least, most) = CORES;
        if range.request.0 >= least && range.limit.0 <= most {
            return Some(range);
        }
        let large = range.limit.0 > most;
        let hint = if large && !text.contains('m') {
            format!("did you mean `{text}m`? `1` is a whole core")
        } else {
            "choose from `10m` to `1024`".into()
        };
        self.out_of_range(field, large, hint);
        None
    }

    /// A range whose ends are swapped, or a unit that is none.
    fn disordered_or_unit(
        &mut self,
        field: &Field<'_, '_>,
        text: &str,
        label: &str,
        mend: fn(&str) -> Option<String>,
    ) {
        if let Some((request, limit)) = text.split_once("..") {
            let mended = |end: &str| mend(end).unwrap_or_else(|| end.to_owned());
            let swapped = mended(request) == request
                && mended(limit) == limit
                && !request.is_empty()
                && !limit.is_empty();
            let meant = if swapped {
                format!("{limit}..{request}")
            } else {
                format!("{}..{}", mended(request), mended(limit))
            };
            self.wrong_unit(
                field,
                "a range is `request..limit`, the smaller first",
                Some(meant),
            );
            return;
        }
        match mend(text) {
            Some(meant) => self.wrong_unit(field, label, Some(meant)),
            None => self.wrong_type(field, field.value(), None),
        }
    }

    /// A count of at most 1000, or a share of at most 100 %.
    pub(super) fn amount(&mut self, field: &Field<'_, '_>) -> Option<Amount> {
        let scalar = self.scalar(field)?;
        if let Some(text) = digits(scalar) {
            if let Ok(count @ 0..=1000) = text.parse::<u32>() {
                return Some(Amount::Count(count));
            }
            let hint = "choose a count from 0 to 1000, or a share such as `25%`";
            self.out_of_range(field, !text.starts_with('-'), hint.into());
            return None;
        }
        if let Ok(share) = scalar.text.parse::<Share>() {
            return Some(Amount::Share(share));
        }
        let number = scalar
            .text
            .strip_suffix('%')
            .and_then(|text| text.parse::<f64>().ok());
        match number {
            Some(number) if !(0.0..=100.0).contains(&number) => {
                self.out_of_range(
                    field,
                    number > 0.0,
                    "choose a share from `0%` to `100%`".into(),
                );
            }
            _ => match unit::share(&scalar.text) {
                Some(meant) => self.wrong_unit(field, "a share ends with %", Some(meant)),
                None => self.wrong_type(field, field.value(), None),
            },
        }
        None
    }

    /// The name of a signal, without `SIG`.
    pub(super) fn signal(&mut self, field: &Field<'_, '_>) -> Option<String> {
        let text = &self.scalar(field)?.text;
        let name = text.strip_prefix("SIG").unwrap_or(text);
        if SIGNALS.contains(&name) {
            return Some(name.to_owned());
        }
        let upper = text.to_ascii_uppercase();
        let hint = self.did_you_mean(
            upper.strip_prefix("SIG").unwrap_or(&upper),
            SIGNALS.into_iter(),
        );
        self.wrong_type(field, field.value(), hint);
        None
    }

    /// `true`.
    pub(super) fn truth(&mut self, field: &Field<'_, '_>) -> Option<()> {
        let scalar = self.scalar(field)?;
        if scalar.plain && scalar.text == "true" {
            return Some(());
        }
        let name = field.key.name;
        self.wrong_type(
            field,
            field.value(),
            Some(format!("write `{name}: true`, or take the key away")),
        );
        None
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, field: &Field<'_, '_>) -> Option<bool> {
        let scalar = self.scalar(field)?;
        match scalar.text.as_str() {
            "true" if scalar.plain => Some(true),
            "false" if scalar.plain => Some(false),
            text => {
                let meant = match text.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "on" => Some("true"),
                    "false" | "no" | "off" => Some("false"),
                    _ => None,
                };
                let hint = meant.map(|meant| format!("write `{}: {meant}`", field.key.name));
                self.wrong_type(field, field.value(), hint);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word(&mut self, field: &Field<'_, '_>) -> Option<String> {
        let Kind::Word(words) = kind_of(field) else {
            unreachable!("the table has a word here");
        };
        let text = &self.scalar(field)?.text;
        if words.contains(&text.as_str()) {
            return Some(text.clone());
        }
        let hint = self.did_you_mean(text, words.iter().copied());
        self.wrong_type(field, field.value(), hint);
        None
    }

    /// Bytes, one value.
    pub(super) fn bytes(&mut self, field: &Field<'_, '_>) -> Option<Bytes> {
        let text = &self.scalar(field)?.text;
        let Ok(bytes) = text.parse::<Bytes>() else {
            match unit::memory(text) {
                Some(meant) => {
                    self.wrong_unit(
                        field,
                        "the unit is one of Ki, Mi, Gi, Ti, k, M, G, T",
                        Some(meant),
                    );
                }
                None => self.wrong_type(field, field.value(), None),
            }
            return None;
        };
        let (least, most) = (Bytes(MEMORY_BYTES.0), Bytes(MEMORY_BYTES.1));
        if (least..=most).contains(&bytes) {
            return Some(bytes);
        }
        if bytes < least && text.bytes().all(|byte| byte.is_ascii_digit()) {
            self.wrong_unit(
                field,
                "without a unit these are bytes",
                Some(format!("{text}Mi")),
            );
        } else {
            let hint = format!("choose from {least} to {most}");
            self.out_of_range(field, bytes > most, hint);
        }
        None
    }

    /// The name of a secret: capital letters, digits and underscores.
    pub(super) fn secret_name(&mut self, field: &Field<'_, '_>) -> Option<String> {
        let text = &self.scalar(field)?.text;
        let fits = text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.len() <= 63
            && text
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if fits {
            return Some(text.clone());
        }
        // What stands here may be the secret itself, so it is not shown.
        self.wrong_type(field, field.value(), Some("name the secret, such as `DB_URL`, and give its value by `mainstay secret set DB_URL`".into()));
        None
    }

    /// Names of a database's extensions.
    pub(super) fn extensions(&mut self, field: &Field<'_, '_>) -> Option<Vec<String>> {
        let names = self.names(field);
        let mut extensions = Some(Vec::with_capacity(names.len()));
        for (name, at) in names {
            let fits = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && name.len() <= 63
                && name.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
                });
            match (fits, &mut extensions) {
                (true, Some(extensions)) => extensions.push(name.to_owned()),
                (true, None) => {}
                (false, _) => {
                    let message = format!("`{}` cannot be the name of an extension", short(name));
                    self.add("invalid_name", at, &field.path, message, |fault| {
                        fault.hint("use its name as the server has it, such as `citext`")
                    });
                    extensions = None;
                }
            }
        }
        extensions
    }

    /// Refuses a zero byte, which no process can be given.
    pub(super) fn without_zero(&mut self, text: &str, node: &Node, path: &Path<'_>) -> bool {
        let fits = !text.contains('\0');
        if !fits {
            let message = "a zero byte cannot be handed to a process".to_owned();
            self.add("wrong_value", node.span, path, message, |fault| {
                fault.hint("take `\\0` out of the text")
            });
        }
        fits
    }
}

/// What a text with a wrong unit was meant to be.
mod unit {
    use mainstay_atoms::{Bytes, Millicores, span};

    /// A number and the word behind it, in small letters.
    fn parts(text: &str) -> Option<(&str, String)> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, word) = text.split_at(end);
        let fits = number.parse::<f64>().is_ok() && number.len() < 16 && word.len() < 32;
        fits.then(|| (number, word.trim().to_lowercase()))
    }

    pub(super) fn duration(text: &str) -> Option<String> {
        let (number, word) = parts(text)?;
        let factor = match word.as_str() {
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1_000.0,
            "ms" | "msec" | "millis" | "milliseconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            "w" | "week" | "weeks" => 604_800_000.0,
            _ => return None,
        };
        let ms = number.parse::<f64>().ok()? * factor;
        let ms = format!("{ms:.0}").parse().ok()?;
        let meant = span::format(std::time::Duration::from_millis(ms));
        span::parse(&meant).ok().map(|_| meant)
    }

    pub(super) fn memory(text: &str) -> Option<String> {
        let (number, word) = parts(text)?;
        let unit = match word.as_str() {
            "k" | "kb" | "ki" | "kib" => "Ki",
            "m" | "mb" | "mi" | "mib" | "meg" | "megabytes" => "Mi",
            "g" | "gb" | "gi" | "gib" | "gig" | "gigabytes" => "Gi",
            "t" | "tb" | "ti" | "tib" => "Ti",
            _ => return None,
        };
        let meant = format!("{number}{unit}");
        (meant != text && meant.parse::<Bytes>().is_ok()).then_some(meant)
    }

    pub(super) fn cores(text: &str) -> Option<String> {
        let (number, word) = parts(text)?;
        let unit = match word.as_str() {
            "m" | "mc" | "mcpu" | "milli" | "millicores" | "millicpu" => "m",
            "c" | "cpu" | "cpus" | "core" | "cores" | "vcpu" => "",
            _ => return None,
        };
        let meant = format!("{number}{unit}");
        (meant != text && meant.parse::<Millicores>().is_ok()).then_some(meant)
    }

    pub(super) fn share(text: &str) -> Option<String> {
        let (number, word) = parts(text)?;
        let number: f64 = number.parse().ok()?;
        match word.as_str() {
            "%" | "percent" | "pct" | "per cent" => Some(format!("{number}%")),
            "" if number > 0.0 && number < 1.0 => Some(format!("{:.0}%", number * 100.0)),
            "" => Some(format!("{number:.0}")),
            _ => None,
        }
    }
}
