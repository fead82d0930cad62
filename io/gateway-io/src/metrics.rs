//! The counters of all workers, merged when they are read.

use crate::series::{Asker, Key, Ledger, Series};
use crate::wire::{Latency, ReleaseLatency};
use mainstay_routing::histogram;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

type Codes = BTreeMap<(Key, u16), u64>;

/// What remains of series whose instance, service or route left the table.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    past: BTreeMap<Key, (Latency, BTreeMap<u16, u64>)>,
}

/// The label of whatever is gone.
const PAST: &str = "past";

impl Metrics {
    /// Folds the series of everyone who is neither in the table nor draining.
    pub(crate) fn fold(
        &mut self,
        ledgers: &[Arc<Ledger>],
        live: &BTreeSet<(String, u64)>,
        services: &BTreeSet<String>,
    ) {
        for ledger in ledgers {
            let gone = |key: &Key| !live.contains(&(key.instance.clone(), key.generation));
            for (key, series) in ledger.take(gone) {
                let service = if services.contains(&key.service) {
                    key.service
                } else {
                    PAST.into()
                };
                let folded = Key {
                    route: PAST.into(),
                    service,
                    instance: PAST.into(),
                    generation: 0,
                    release: PAST.into(),
                    asker: key.asker,
                };
                let (latency, codes) = self.past.entry(folded).or_default();
                add(latency, &series);
                for (code, count) in series.codes() {
                    *codes.entry(code).or_default() += count;
                }
            }
        }
    }

    fn merge(&self, ledgers: &[Arc<Ledger>]) -> (Codes, BTreeMap<Key, Latency>) {
        let (mut codes, mut latencies) = (Codes::new(), BTreeMap::<Key, Latency>::new());
        for (key, (latency, counts)) in &self.past {
            latencies.insert(key.clone(), latency.clone());
            codes.extend(
                counts
                    .iter()
                    .map(|(code, count)| ((key.clone(), *code), *count)),
            );
        }
        for (mut key, series) in ledgers.iter().flat_map(|ledger| ledger.all()) {
            key.generation = 0;
            add(latencies.entry(key.clone()).or_default(), &series);
            for (code, count) in series.codes() {
                *codes.entry((key.clone(), code)).or_default() += count;
            }
        }
        (codes, latencies)
    }

    /// Per instance and release, over all routes.
    pub(crate) fn by_release(&self, ledgers: &[Arc<Ledger>]) -> Vec<ReleaseLatency> {
        let mut found: BTreeMap<(String, String, String), ReleaseLatency> = BTreeMap::new();
        let (codes, latencies) = self.merge(ledgers);
        for (key, latency) in latencies {
            let place = (
                key.service.clone(),
                key.release.clone(),
                key.instance.clone(),
            );
            let one = found.entry(place).or_insert_with(|| ReleaseLatency {
                service: key.service.clone(),
                release: key.release.clone(),
                instance: key.instance.clone(),
                latency: Latency::default(),
                codes: Vec::new(),
                copies: 0,
            });
            if key.asker == Asker::Mirror {
                one.copies += latency.counts.iter().sum::<u64>();
            }
            one.latency.sum_us += latency.sum_us;
            for (sum, count) in one.latency.counts.iter_mut().zip(latency.counts) {
                *sum += count;
            }
            let mine = codes.iter().filter(|((other, _), _)| *other == key);
            for ((_, code), count) in mine {
                match one.codes.iter_mut().find(|(known, _)| known == code) {
                    Some((_, sum)) => *sum += count,
                    None => one.codes.push((*code, *count)),
                }
            }
            one.codes.sort_unstable();
        }
        found.into_values().collect()
    }

    /// Prometheus text exposition 0.0.4.
    pub(crate) fn text(&self, ledgers: &[Arc<Ledger>], in_flight: &[(String, u64, u64)]) -> String {
        let (codes, latencies) = self.merge(ledgers);
        let mut text = Exposition::default();
        text.kind("gateway_requests_total", "counter");
        text.requests("gateway_requests_total", &codes, Asker::Client);
        text.own(ledgers);
        let name = "gateway_request_duration_seconds";
        text.durations(name, &latencies, Asker::Client);
        text.kind("gateway_mirrored_requests_total", "counter");
        text.requests("gateway_mirrored_requests_total", &codes, Asker::Mirror);
        let name = "gateway_mirrored_request_duration_seconds";
        text.durations(name, &latencies, Asker::Mirror);
        text.dropped(ledgers);
        text.kind("gateway_failures_total", "counter");
        let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in ledgers.iter().flat_map(|ledger| ledger.failures()) {
            *failures.entry(reason).or_default() += count;
        }
        for (reason, count) in failures {
            text.line("gateway_failures_total", &[("reason", reason)], &count);
        }
        text.kind("gateway_connections", "gauge");
        let connections: u64 = ledgers.iter().map(|ledger| ledger.connections.get()).sum();
        text.line("gateway_connections", &[], &connections);
        text.kind("gateway_inflight", "gauge");
        for (instance, requests, streams) in in_flight {
            let labels = |kind| [("instance", instance.as_str()), ("kind", kind)];
            text.line("gateway_inflight", &labels("request"), requests);
            text.line("gateway_inflight", &labels("stream"), streams);
        }
        text.0
    }
}

fn add(latency: &mut Latency, series: &Series) {
    for (sum, count) in latency.counts.iter_mut().zip(series.buckets()) {
        *sum += count;
    }
    latency.sum_us += series.sum_us();
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn kind(&mut self, name: &str, kind: &str) {
        self.put(format_args!("# TYPE {name} {kind}\n"));
    }

    /// Answers that the gateway gave itself: no route, no instance, a refused head.
    fn own(&mut self, ledgers: &[Arc<Ledger>]) {
        let mut codes: BTreeMap<u16, u64> = BTreeMap::new();
        for (code, count) in ledgers.iter().flat_map(|ledger| ledger.own.codes()) {
            *codes.entry(code).or_default() += count;
        }
        for (code, count) in codes {
            let code = code.to_string();
            let labels = [
                ("route", ""),
                ("service", ""),
                ("instance", ""),
                ("release", ""),
                ("code", &*code),
            ];
            self.line("gateway_requests_total", &labels, &count);
        }
    }

    fn requests(&mut self, name: &str, codes: &Codes, asker: Asker) {
        for ((key, code), count) in codes.iter().filter(|((key, _), _)| key.asker == asker) {
            let labels = [
                ("route", key.route.as_str()),
                ("service", &key.service),
                ("instance", &key.instance),
                ("release", &key.release),
                ("code", &code.to_string()),
            ];
            self.line(name, &labels, count);
        }
    }

    /// Copies that were due and not sent.
    fn dropped(&mut self, ledgers: &[Arc<Ledger>]) {
        const NAME: &str = "gateway_mirror_dropped_total";
        self.kind(NAME, "counter");
        let full: u64 = ledgers.iter().map(|one| one.dropped.full.get()).sum();
        let nobody = ledgers.iter().map(|one| one.dropped.no_instance.get());
        for (reason, count) in [("full", full), ("no_instance", nobody.sum())] {
            self.line(NAME, &[("reason", reason)], &count);
        }
    }

    fn durations(&mut self, name: &str, latencies: &BTreeMap<Key, Latency>, asker: Asker) {
        self.kind(name, "histogram");
        let mut merged: BTreeMap<(&str, &str, &str), Latency> = BTreeMap::new();
        for (key, latency) in latencies.iter().filter(|(key, _)| key.asker == asker) {
            let sum = merged
                .entry((&key.route, &key.service, &key.release))
                .or_default();
            sum.sum_us += latency.sum_us;
            for (all, one) in sum.counts.iter_mut().zip(&latency.counts) {
                *all += one;
            }
        }
        for ((route, service, release), latency) in &merged {
            let labels = [
                ("route", *route),
                ("service", *service),
                ("release", *release),
            ];
            for edge in histogram::SHOWN {
                let below: u64 = latency.counts[..=histogram::bucket(edge)].iter().sum();
                let le = edge.as_secs_f64().to_string();
                let labels = [labels[0], labels[1], labels[2], ("le", &*le)];
                self.line(&format!("{name}_bucket"), &labels, &below);
            }
            let total: u64 = latency.counts.iter().sum();
            self.line(
                &format!("{name}_bucket"),
                &[labels[0], labels[1], labels[2], ("le", "+Inf")],
                &total,
            );
            let sum = Duration::from_micros(latency.sum_us).as_secs_f64();
            self.line(&format!("{name}_sum"), &labels, &sum);
            self.line(&format!("{name}_count"), &labels, &total);
        }
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &dyn std::fmt::Display) {
        self.put(format_args!("{name}"));
        for (place, (label, text)) in labels.iter().enumerate() {
            let open = if place == 0 { '{' } else { ',' };
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            self.put(format_args!("{open}{label}=\"{text}\""));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.put(format_args!("{close} {value}\n"));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0
            .write_fmt(text)
            .expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(instance: &str, route: &str) -> Key {
        Key {
            route: route.into(),
            service: "web".into(),
            instance: instance.into(),
            generation: 7,
            release: "v1".into(),
            asker: Asker::Client,
        }
    }

    #[test]
    fn copies_are_counted_apart_and_a_verdict_sees_them() {
        let ledgers: Vec<Arc<Ledger>> = vec![Arc::default()];
        let asked = ledgers[0].begin(key("web.v2.1", "a/"));
        asked.record(200, Duration::from_millis(1));
        let copied = ledgers[0].begin(Key {
            asker: Asker::Mirror,
            ..key("web.v2.1", "a/")
        });
        copied.record(200, Duration::from_millis(9));
        copied.record(504, Duration::from_secs(9));
        ledgers[0].dropped.full.add(3);
        let mut metrics = Metrics::default();
        let labels = r#"route="a/",service="web",instance="web.v2.1",release="v1""#;
        let text = metrics.text(&ledgers, &[]);
        for line in [
            format!("gateway_requests_total{{{labels},code=\"200\"}} 1\n"),
            format!("gateway_mirrored_requests_total{{{labels},code=\"200\"}} 1\n"),
            format!("gateway_mirrored_requests_total{{{labels},code=\"504\"}} 1\n"),
            "gateway_mirror_dropped_total{reason=\"full\"} 3\n".into(),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
        let count =
            |name: &str| format!("{name}_count{{route=\"a/\",service=\"web\",release=\"v1\"}}");
        for (name, wanted) in [
            ("gateway_request_duration_seconds", 1),
            ("gateway_mirrored_request_duration_seconds", 2),
        ] {
            assert!(
                text.contains(&format!("{} {wanted}\n", count(name))),
                "{text}"
            );
        }
        let one = &metrics.by_release(&ledgers)[0];
        assert_eq!((one.copies, &one.codes[..]), (2, &[(200, 2), (504, 1)][..]));
        metrics.fold(&ledgers, &BTreeSet::new(), &BTreeSet::new());
        assert_eq!(
            metrics.by_release(&ledgers)[0].instance,
            "web.v2.1",
            "under way"
        );
        drop((asked, copied));
        metrics.fold(&ledgers, &BTreeSet::new(), &BTreeSet::new());
        let one = &metrics.by_release(&ledgers)[0];
        assert_eq!((one.instance.as_str(), one.copies), ("past", 2));
    }

    #[test]
    fn workers_are_merged_and_those_who_left_are_folded() {
        let ledgers: Vec<Arc<Ledger>> = vec![Arc::default(), Arc::default()];
        for ledger in &ledgers {
            let series = ledger.begin(key("web.v1.1", "a/\"x\""));
            series.record(200, Duration::from_millis(1));
            series.record(500, Duration::from_millis(30));
        }
        let mut metrics = Metrics::default();
        let text = metrics.text(&ledgers, &[]);
        let line = r#"gateway_requests_total{route="a/\"x\"",service="web",instance="web.v1.1",release="v1",code="200"} 2"#;
        assert!(text.contains(line), "{text}");
        assert!(
            text.contains("le=\"0.001\"} 2\n") && text.contains("le=\"0.05\"} 4\n"),
            "{text}"
        );
        metrics.fold(
            &ledgers,
            &BTreeSet::new(),
            &BTreeSet::from(["web".to_owned()]),
        );
        let text = metrics.text(&ledgers, &[]);
        let line = r#"gateway_requests_total{route="past",service="web",instance="past",release="past",code="500"} 2"#;
        assert!(text.contains(line) && !text.contains("web.v1.1"), "{text}");
        let releases = metrics.by_release(&ledgers);
        assert_eq!(releases.len(), 1);
        let median = releases[0].latency.quantile(0.5).unwrap();
        assert!((950..=1050).contains(&median.as_micros()), "{median:?}");
    }

    #[test]
    fn codes_beyond_the_table_are_counted_together() {
        let series = Series::default();
        for code in 200..240 {
            series.record(code, Duration::ZERO);
        }
        assert_eq!(series.codes().map(|(_, count)| count).sum::<u64>(), 40);
        assert_eq!(series.codes().count(), CODES_SHOWN);
    }
    const CODES_SHOWN: usize = 16;
}
