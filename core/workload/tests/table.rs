//! Each row of `tables/autoscale.txt` is one look of the autoscaler; rows of a block follow one another.
//! A reader can check every one against the rules in `src/scale`.
//!
//! `MAINSTAY_BLESS=1 cargo test -p mainstay-workload --test table` writes the outputs anew.
//!
//! A block begins with a sentence and `[min..max]`. A row: `x3` sets the present count; `+15s` lets time
//! pass; `cpu/70 90 90 -` is the use of each instance beside the target (`-` not measured, `90u` not
//! ready, `90n` ready since 5 s); `queue/100=250` is a total; `lag!` cannot be read; `hand=4@2h` is set by
//! a person; `8h` sets the time of the day (Thursday, UTC).

use mainstay_atoms::{Actor, Moment, Schedule, Wall};
use mainstay_workload::{
    Bounds, Floor, Gauge, Member, Override, SHRINK_WINDOW, ScaleRules, Use, WARMING, Window, scale,
};
use std::fs;
use std::path::Path;

const ARROW: &str = " → ";
/// Thursday, 26 November 2026, 00:00 UTC.
const THURSDAY: u64 = 1_795_651_200_000;

struct Scene {
    rules: ScaleRules,
    current: u32,
    window: Window,
    now: u64,
    wall: u64,
}

impl Scene {
    fn new(settings: &str) -> Self {
        let mut parts = settings.split(", ");
        let bounds = parts.next().and_then(|bounds| bounds.split_once(".."));
        let (least, most) = bounds.expect("[min..max]");
        let floors = parts.map(|floor| {
            let (least, hours) = floor
                .split_once(" from 8h for ")
                .expect("4 from 8h for 10h");
            Floor {
                begins: Schedule::new("0 8 * * 1-5", "UTC").unwrap(),
                lasts: mainstay_atoms::span::parse(hours).unwrap(),
                least: least.parse().unwrap(),
            }
        });
        Self {
            rules: ScaleRules {
                bounds: Bounds::new(least.parse().unwrap(), most.parse().unwrap()).unwrap(),
                floors: floors.collect(),
                hand: None,
                settle: SHRINK_WINDOW,
            },
            current: 0,
            window: Window::default(),
            now: 10_000_000,
            wall: THURSDAY,
        }
    }

    fn step(&mut self, row: &str) -> String {
        let mut gauges: Vec<(String, Gauge)> = Vec::new();
        for word in row.split_whitespace() {
            self.word(word, &mut gauges);
        }
        let (now, wall) = (Moment(self.now), Wall(self.wall));
        let scaled = scale(&self.rules, self.current, &gauges, &self.window, now, wall);
        self.current = scaled.wanted;
        self.window = scaled.window;
        format!("{}: {}", scaled.wanted, scaled.why)
    }

    fn word(&mut self, word: &str, gauges: &mut Vec<(String, Gauge)>) {
        let span = |text: &str| mainstay_atoms::span::parse(text).expect("a duration");
        if let Some(count) = word.strip_prefix('x') {
            self.current = count.parse().expect("a count");
            self.window = Window::default();
        } else if let Some(time) = word.strip_prefix('+') {
            let ms = u64::try_from(span(time).as_millis()).unwrap();
            (self.now, self.wall) = (self.now + ms, self.wall + ms);
        } else if let Some(hand) = word.strip_prefix("hand=") {
            let (instances, time) = hand.split_once('@').expect("4@2h");
            self.rules.hand = Some(Override {
                instances: instances.parse().unwrap(),
                until: Wall(self.wall + u64::try_from(span(time).as_millis()).unwrap()),
                by: Actor("ann".into()),
            });
        } else if let Some(name) = word.strip_suffix('!') {
            let why = "connection refused".into();
            gauges.push((name.into(), Gauge::Unread { why }));
        } else if let Some((name, target)) = word.split_once('/') {
            gauges.push(gauge(name, target));
        } else if word.ends_with('h') {
            self.wall = THURSDAY + u64::try_from(span(word).as_millis()).unwrap();
        } else {
            let Some((_, Gauge::Each { members, .. })) = gauges.last_mut() else {
                panic!("`{word}`");
            };
            members.push(member(word, Moment(self.now)));
        }
    }
}

fn gauge(name: &str, target: &str) -> (String, Gauge) {
    let gauge = match target.split_once('=') {
        Some((per, value)) => Gauge::Total {
            per: per.parse().unwrap(),
            value: value.parse().unwrap(),
        },
        None => Gauge::Each {
            target: target.parse().unwrap(),
            warm_up: WARMING,
            members: Vec::new(),
        },
    };
    (name.to_owned(), gauge)
}

fn member(word: &str, now: Moment) -> Member {
    let number = word.trim_end_matches(['u', 'n']);
    let used = match number {
        "-" => Use::Missing,
        number => Use::Known(number.parse().expect("a use")),
    };
    let ready_since = match word.chars().last() {
        Some('u') => None,
        Some('n') => Some(Moment(now.0 - 5000)),
        _ => Some(Moment(now.0 - 600_000)),
    };
    Member { used, ready_since }
}

#[test]
fn the_autoscaler_does_as_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/autoscale.txt");
    let text = fs::read_to_string(&path).expect("the table can be read");
    let (mut scene, mut rows, mut whole, mut wrong) = (None, 0, String::new(), Vec::new());
    for line in text.lines() {
        let row = line
            .split_once(ARROW)
            .map_or(line, |(input, _)| input)
            .trim();
        let written = if row.is_empty() {
            String::new()
        } else if let Some(title) = row.strip_prefix("# ") {
            let settings = title.split_once(" [").expect("[min..max]").1;
            scene = Some(Scene::new(settings.trim_end_matches(']')));
            row.to_owned()
        } else {
            rows += 1;
            let scene = scene.as_mut().expect("a block begins with a title");
            format!("{row:<44}{ARROW}{}", scene.step(row))
        };
        if written != line {
            wrong.push(format!("written: {line}\nfound:   {written}"));
        }
        whole.push_str(&written);
        whole.push('\n');
    }
    if std::env::var_os("MAINSTAY_BLESS").is_some() {
        fs::write(&path, whole).expect("the table can be written");
    } else {
        assert!(
            wrong.is_empty(),
            "{}\nMAINSTAY_BLESS=1 accepts",
            wrong.join("\n")
        );
    }
    assert!(rows >= 60, "{rows} rows");
}
