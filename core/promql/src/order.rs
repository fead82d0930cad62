//! Orders of answers: by value, by label, by nature's order of digits in texts.

use crate::value::Series;
use std::cmp::Ordering;

/// By value at the only step, NaN last; histograms go. In a range query nothing is ordered.
pub(crate) fn by_value(series: Vec<Series>, descending: bool, instant: bool) -> Vec<Series> {
    if !instant {
        let floats = series.into_iter().map(|one| Series {
            column: one.column.map_floats(|_, value| value),
            ..one
        });
        return floats.filter(|one| !one.column.is_empty()).collect();
    }
    let mut floats: Vec<(f64, Series)> = series
        .into_iter()
        .filter_map(|one| Some((one.column.float(0)?, one)))
        .collect();
    floats.sort_by(|one, two| compare(one.0, two.0, descending));
    floats.into_iter().map(|(_, one)| one).collect()
}

/// Orders two values, NaN always last.
pub(crate) fn compare(one: f64, two: f64, descending: bool) -> Ordering {
    match (one.is_nan(), two.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => two.total_cmp(&one),
        (false, false) => one.total_cmp(&two),
    }
}

/// By the values of labels, then by all labels.
pub(crate) fn by_label(
    mut series: Vec<Series>,
    labels: &[String],
    descending: bool,
) -> Vec<Series> {
    series.sort_by(|one, two| {
        let by_labels = labels
            .iter()
            .map(|label| natural(one.labels.get(label), two.labels.get(label)));
        let order = by_labels
            .fold(Ordering::Equal, Ordering::then)
            .then_with(|| one.labels.cmp(&two.labels));
        if descending { order.reverse() } else { order }
    });
    series
}

/// Compares texts, runs of digits by their number.
fn natural(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.as_bytes(), two.as_bytes());
    loop {
        let (Some(first), Some(second)) = (one.first(), two.first()) else {
            return one.len().cmp(&two.len());
        };
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let (left, right) = (digits(one), digits(two));
            let order = significant(&one[..left]).cmp(&significant(&two[..right]));
            if order != Ordering::Equal {
                return order;
            }
            (one, two) = (&one[left..], &two[right..]);
        } else if first != second {
            return first.cmp(second);
        } else {
            (one, two) = (&one[1..], &two[1..]);
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Digits without leading zeros: longer is larger, then the first difference decides.
fn significant(text: &[u8]) -> (usize, &[u8]) {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    (text.len() - zeros, &text[zeros..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_numbers() {
        for (one, two) in [
            ("2", "10"),
            ("4m5", "4m600"),
            ("1.2.3", "1.11.3"),
            ("a", "b"),
            ("a", "a1"),
        ] {
            assert_eq!(natural(one, two), Ordering::Less, "{one} {two}");
        }
        assert_eq!(natural("01", "1"), Ordering::Equal);
    }
}
