//! Rules about checks from outside and certificates; names of metrics are those of `blackbox_exporter`.

use super::{Need, Ready};

pub(super) const RULES: &[Ready] = &[
    Ready::new("check-failing", Need::Check, "probe_success == $limit", 0.0)
        .minutes(2)
        .critical("on-call")
        .answers(&["S: uptime / synthetic flow fails: external probe, on-call, escalate to CTO"])
        .says(
            "check {{ $labels.check }} of {{ $labels.instance }} fails",
            "`mainstay alerts checks` says why. It fails only from outside? DNS, firewall, certificate. Also from inside? `mainstay why SERVICE`.",
        )
        .trial(5, &[("probe_success{check=\"home\",instance=\"https://a\"}", "0x10")], &[("probe_success{check=\"home\",instance=\"https://a\"}", "1x10")]),
    Ready::new("check-flapping", Need::Check, "changes(probe_success[30m]) > $limit", 6.0)
        .says(
            "check {{ $labels.check }} of {{ $labels.instance }} comes and goes",
            "An instance that fails now and then, or a network with loss: `mainstay logs gateway -f 'code=5*'`.",
        )
        .trial(20, &[("probe_success{check=\"home\"}", "1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1")], &[("probe_success{check=\"home\"}", "1x30")]),
    Ready::new("check-slow", Need::Check, "avg_over_time(probe_duration_seconds[10m]) > $limit", 3.0)
        .minutes(5)
        .says(
            "check {{ $labels.check }} takes {{ $value | humanizeDuration }}",
            "Compare with the gateway's own figures (`mainstay top gateway`): the difference is the network's.",
        )
        .trial(20, &[("probe_duration_seconds{check=\"home\"}", "5x30")], &[("probe_duration_seconds{check=\"home\"}", "0.2x30")]),
    Ready::new("certificate-expiry", Need::Certificate, "(probe_ssl_earliest_cert_expiry - time()) / 86400 < $limit", 30.0)
        .minutes(60)
        .answers(&["S: certificate expiry: days left < 30 d"])
        .says(
            "the certificate of {{ $labels.instance }} ends in {{ $value | humanize }} days",
            "It should have been renewed by itself: `mainstay certificates` says what the authority answered. Check that port 80 is reachable and DNS points here.",
        )
        .trial(70, &[("probe_ssl_earliest_cert_expiry{instance=\"a\"}", "2500000x80")], &[("probe_ssl_earliest_cert_expiry{instance=\"a\"}", "7500000x80")]),
    Ready::new("certificate-ending", Need::Certificate, "(probe_ssl_earliest_cert_expiry - time()) / 86400 < $limit", 3.0)
        .minutes(5)
        .critical("")
        .says(
            "the certificate of {{ $labels.instance }} ends in {{ $value | humanize }} days",
            "Renew it by hand now: `mainstay certificates renew NAME`.",
        )
        .trial(10, &[("probe_ssl_earliest_cert_expiry{instance=\"a\"}", "200000x20")], &[("probe_ssl_earliest_cert_expiry{instance=\"a\"}", "2500000x20")]),
];
