//! The autoscaler under any measurements: bounds, growth and the window hold, and nothing flaps.

use mainstay_atoms::{Moment, Wall};
use mainstay_workload::{
    Bounds, GROWTH_PERIOD, Gauge, Member, Recommendation, SHRINK_WINDOW, ScaleRules, Use, WARMING,
    Window, recommend, scale,
};
use proptest::prelude::*;

fn rules(least: u32, most: u32) -> ScaleRules {
    ScaleRules {
        bounds: Bounds::new(least, most).unwrap(),
        floors: Vec::new(),
        hand: None,
        settle: SHRINK_WINDOW,
    }
}

fn queue(value: u64) -> Vec<(String, Gauge)> {
    vec![("queue".into(), Gauge::Total { per: 100, value })]
}

#[test]
fn bounds_that_cross_or_are_zero_are_refused() {
    assert!(Bounds::new(0, 3).is_err() && Bounds::new(4, 3).is_err());
    assert!(serde_json::from_str::<Bounds>("[5,2]").is_err());
}

proptest! {
    #[test]
    fn bounds_growth_and_window_hold_whatever_is_measured(
        looks in proptest::collection::vec((1_u64..120, 0_u64..6000), 1..200),
        least in 1_u32..4,
        most in 4_u32..60,
    ) {
        let rules = rules(least, most);
        let (mut now, mut current, mut window) = (0, least, Window::default());
        let mut past: Vec<(u64, u32, u32)> = Vec::new();
        for (seconds, value) in looks {
            now += seconds * 1000;
            let gauges = queue(value);
            let asked = match recommend(&gauges[0].1, current, Moment(now)) {
                Recommendation::Instances(asked) => asked,
                Recommendation::Unknown(why) => panic!("{why}"),
            };
            let scaled = scale(&rules, current, &gauges, &window, Moment(now), Wall(0));
            prop_assert!((least..=most).contains(&scaled.wanted));
            // Restarting the control plane from what was recorded changes nothing.
            let text = serde_json::to_string(&window).unwrap();
            let window_again: Window = serde_json::from_str(&text).unwrap();
            let again = scale(&rules, current, &gauges, &window_again, Moment(now), Wall(0));
            prop_assert_eq!(&again, &scaled);
            if scaled.wanted < current {
                // Nothing within five minutes asked for more than is left.
                for (at, asked, _) in &past {
                    let recent = now - at < SHRINK_WINDOW.as_secs() * 1000;
                    prop_assert!(!recent || (*asked).min(most) <= scaled.wanted);
                }
                prop_assert!(scaled.wanted >= asked.min(most));
            }
            past.push((now, asked, scaled.wanted));
            let period = GROWTH_PERIOD.as_secs() * 1000;
            let before = past.iter().rev().skip(1).find(|(at, ..)| now - at >= period);
            let base = before.map_or(least, |(_, _, wanted)| *wanted);
            let low = past.iter().filter(|(at, ..)| now - at < period).map(|(.., wanted)| *wanted);
            let base = low.min().unwrap_or(base).max(base);
            prop_assert!(scaled.wanted <= (base * 2).max(base + 4));
            current = scaled.wanted;
            window = scaled.window;
        }
    }

    #[test]
    fn a_flapping_metric_never_shrinks_within_the_window(
        high in 500_u64..2000, low in 0_u64..400, looks in 10_usize..60,
    ) {
        let rules = rules(1, 100);
        let (mut current, mut window) = (4, Window::default());
        let mut highest = 0;
        for look in 0..looks {
            let value = if look % 3 == 0 { high } else { low };
            let now = Moment(look as u64 * 15_000);
            let scaled = scale(&rules, current, &queue(value), &window, now, Wall(0));
            prop_assert!(scaled.wanted >= highest, "look {look}");
            (current, window) = (scaled.wanted, scaled.window);
            highest = highest.max(current);
        }
    }

    #[test]
    fn rolling_updates_at_constant_load_scale_nothing(
        instances in 1_usize..20, started in 0_usize..20, startup in 0_u64..1000,
    ) {
        // Some of the members were replaced just now and are busy starting, or not ready yet.
        let members = (0..instances).map(|at| Member {
            used: Use::Known(if at < started { startup } else { 70 }),
            ready_since: (at >= started).then_some(Moment(0)),
        });
        let gauge = Gauge::Each { target: 70, warm_up: WARMING, members: members.collect() };
        let current = u32::try_from(instances).unwrap();
        let scaled = scale(
            &rules(1, 100),
            current,
            &[("cpu".into(), gauge)],
            &Window::default(),
            Moment(1_000_000),
            Wall(0),
        );
        prop_assert_eq!(scaled.wanted, current);
    }

    #[test]
    fn more_load_never_asks_for_fewer(
        uses in proptest::collection::vec(proptest::option::of(0_u64..400), 1..12),
        aside in proptest::collection::vec(any::<bool>(), 12),
        more in 0_usize..12, by in 0_u64..400, current in 1_u32..20,
    ) {
        let gauge = |uses: &[Option<u64>]| {
            let members = uses.iter().zip(&aside).map(|(used, aside)| Member {
                used: used.map_or(Use::Missing, Use::Known),
                ready_since: (!aside).then_some(Moment(0)),
            });
            Gauge::Each { target: 70, warm_up: WARMING, members: members.collect() }
        };
        let asked = |uses: &[Option<u64>]| {
            match recommend(&gauge(uses), current, Moment(1_000_000)) {
                Recommendation::Instances(asked) => Some(asked),
                Recommendation::Unknown(_) => None,
            }
        };
        let mut busier = uses.clone();
        let place = more % uses.len();
        busier[place] = busier[place].map(|used| used + by);
        if let Some((before, after)) = asked(&uses).zip(asked(&busier)) {
            prop_assert!(after >= before, "{uses:?} asks for {before}, {busier:?} for {after}");
        }
    }

    #[test]
    fn any_numbers_are_survived(
        target in any::<u64>(), uses in proptest::collection::vec(any::<u64>(), 0..5), current in any::<u32>(),
    ) {
        let members = uses.iter().map(|used| Member {
            used: Use::Known(*used),
            ready_since: Some(Moment(0)),
        });
        let gauge = Gauge::Each { target, warm_up: WARMING, members: members.collect() };
        recommend(&gauge, current, Moment(u64::MAX));
        recommend(&Gauge::Total { per: target, value: 3 }, current, Moment(0));
    }
}
