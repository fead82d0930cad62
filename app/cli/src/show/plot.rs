//! Series over time, drawn with characters.

use crate::show::time;
use crate::terminal::utf8;

/// Rows and columns of the picture.
const ROWS: usize = 10;
const COLUMNS: usize = 60;

/// Series that are named; more are drawn and counted.
const NAMED: usize = 10;

/// One series: times in seconds since 1970, and values.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The picture, with a line for each series below: its mark, its last value and its greatest.
pub(crate) fn text(title: &str, lines: &[Line]) -> String {
    let points = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .filter(|(_, value)| value.is_finite())
    };
    let fold = |pick: fn(&(f64, f64)) -> f64, join: fn(f64, f64) -> f64, first: f64| {
        points().map(pick).fold(first, join)
    };
    let (from, until) = (
        fold(|point| point.0, f64::min, f64::INFINITY),
        fold(|point| point.0, f64::max, f64::NEG_INFINITY),
    );
    if points().next().is_none() {
        return "no data".into();
    }
    let low = fold(|point| point.1, f64::min, f64::INFINITY).min(0.0);
    let high = fold(|point| point.1, f64::max, f64::NEG_INFINITY);
    let high = if high > low { high } else { low + 1.0 };
    let mut cells = vec![vec![' '; COLUMNS]; ROWS];
    for (place, line) in lines.iter().enumerate() {
        for (at, value) in line.points.iter().filter(|(_, value)| value.is_finite()) {
            let column = part(*at, (from, until), COLUMNS);
            let row = ROWS - 1 - part(*value, (low, high), ROWS);
            cells[row][column] = mark(place);
        }
    }
    let (bar, corner) = if utf8() { ("┤", "└") } else { ("|", "+") };
    let mut text = vec![title.to_owned()];
    for (row, cells) in cells.iter().enumerate() {
        let label = match row {
            0 => figure(high),
            row if row == ROWS - 1 => figure(low),
            _ => String::new(),
        };
        let cells: String = cells.iter().collect();
        text.push(format!("{label:>10} {bar}{}", cells.trim_end()));
    }
    let ends = [from, until].map(time::of_day);
    text.push(format!("{:>10} {corner}{:<48}{:>12}", "", ends[0], ends[1]));
    for (place, line) in lines.iter().take(NAMED).enumerate() {
        let last = line.points.last().map_or(f64::NAN, |point| point.1);
        let most = line
            .points
            .iter()
            .map(|point| point.1)
            .fold(f64::NEG_INFINITY, f64::max);
        text.push(format!(
            "  {} {}  {} now, {} max",
            mark(place),
            line.name,
            figure(last),
            figure(most)
        ));
    }
    if lines.len() > NAMED {
        text.push(format!("  and {} more", lines.len() - NAMED));
    }
    text.join("\n")
}

fn mark(place: usize) -> char {
    let marks = ['*', '+', 'o', 'x', '#', '@', '%', '=', '~', '^'];
    marks[place % marks.len()]
}

/// Which of `count` equal parts between two ends a value lies in.
fn part(value: f64, (from, until): (f64, f64), count: usize) -> usize {
    let ends = (1..count).filter(|step| {
        let step = u32::try_from(*step).unwrap_or(u32::MAX);
        let steps = u32::try_from(count).unwrap_or(1);
        value >= from + (until - from) * f64::from(step) / f64::from(steps)
    });
    if until > from { ends.count() } else { 0 }
}

fn figure(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => value.to_string(),
        _ if size >= 1e9 => format!("{:.1}G", value / 1e9),
        _ if size >= 1e6 => format!("{:.1}M", value / 1e6),
        _ if size >= 1e4 => format!("{:.1}k", value / 1e3),
        _ if size >= 100.0 || value == 0.0 => format!("{value:.0}"),
        _ if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_rises_is_drawn_from_the_lower_left_to_the_upper_right() {
        let points = (0..60).map(|at| (f64::from(at), f64::from(at))).collect();
        let line = Line {
            name: "web".into(),
            points,
        };
        let text = text("a rate", &[line]);
        let rows: Vec<&str> = text.lines().collect();
        let (top, bottom) = (rows[1].find('*'), rows[ROWS].find('*'));
        assert!(top > bottom, "{text}");
        assert!(rows[1].starts_with("      59.0"), "{text}");
        assert!(text.contains("* web  59.0 now, 59.0 max"), "{text}");
        assert_eq!(super::text("nothing", &[]), "no data");
    }
}
