//! Rules about what users see at the gateway. Series of instances that left are folded under the route `past`, whose
//! counters jump when that happens: they are left out.

use super::{Need, Ready};

const ERRORS: &str = "sum by (service) (rate(gateway_requests_total{route!=\"past\", service!=\"\", code=~\"5..\"}[5m])) / sum by (service) (rate(gateway_requests_total{route!=\"past\", service!=\"\"}[5m])) > $limit";

const OK: &str = "gateway_requests_total{route=\"r\",service=\"web\",instance=\"i\",release=\"v1\",code=\"200\"}";
const BAD: &str = "gateway_requests_total{route=\"r\",service=\"web\",instance=\"i\",release=\"v1\",code=\"502\"}";

pub(super) const RULES: &[Ready] = &[
    Ready::new("error-rate", Need::Gateway, ERRORS, 0.01)
        .minutes(5)
        .answers(&[
            "S: error rate > 1 %",
            "N: API error rate, moderate > 1 %, warning",
            "O: API error rate > 1 %, CRITICAL, page on-call (preset `severity: critical`, `channel: on-call`)",
        ])
        .says(
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.service }} fail",
            "See what fails: `mainstay logs gateway -f 'code=5*'` and `mainstay logs SERVICE -f level=error`. If it began with a release, `mainstay rollback` takes seconds.",
        )
        .trial(10, &[(OK, "0+98x20"), (BAD, "0+2x20")], &[(OK, "0+995x20"), (BAD, "0+5x20")]),
    Ready::new("error-rate-high", Need::Gateway, ERRORS, 0.05)
        .minutes(2)
        .critical("")
        .answers(&["N: API error rate, high > 5 %, critical"])
        .says(
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.service }} fail",
            "Roll back if a release preceded this: `mainstay rollback`. Else look at its stores: `mainstay status`, `mainstay why SERVICE`.",
        )
        .trial(10, &[(OK, "0+90x20"), (BAD, "0+10x20")], &[(OK, "0+98x20"), (BAD, "0+2x20")]),
    Ready::new(
        "error-burst",
        Need::Gateway,
        "sum by (service) (increase(gateway_requests_total{route!=\"past\", service!=\"\", code=~\"5..\"}[2m])) > $limit",
        100.0,
    )
    .says(
        "{{ $value | humanize }} requests to {{ $labels.service }} failed within two minutes",
        "A burst after a quiet time is a crash or a store that went away: `mainstay why SERVICE`, `mainstay logs SERVICE --since 5m`.",
    )
    .trial(5, &[(BAD, "0 0 0 200 400 600 800")], &[(BAD, "0+10x10")]),
    Ready::new(
        "latency",
        Need::Gateway,
        "histogram_quantile(0.95, sum by (service, le) (rate(gateway_request_duration_seconds_bucket{route!=\"past\", service!=\"\"}[5m]))) > $limit",
        2.0,
    )
    .minutes(5)
    .answers(&["S: response time, p95 > 2 s", "D: API latency, p95 > 2 s for 5 min, technical"])
    .says(
        "one request in twenty to {{ $labels.service }} takes longer than {{ $value | humanizeDuration }}",
        "Look at slow statements (`mainstay top postgres`), at the processors (`mainstay top`) and at what changed: the release before this alert stands in the message.",
    )
    .trial(
        15,
        &[
            ("gateway_request_duration_seconds_bucket{route=\"r\",service=\"web\",release=\"v1\",le=\"2\"}", "0+80x20"),
            ("gateway_request_duration_seconds_bucket{route=\"r\",service=\"web\",release=\"v1\",le=\"5\"}", "0+100x20"),
            ("gateway_request_duration_seconds_bucket{route=\"r\",service=\"web\",release=\"v1\",le=\"+Inf\"}", "0+100x20"),
        ],
        &[
            ("gateway_request_duration_seconds_bucket{route=\"r\",service=\"web\",release=\"v1\",le=\"2\"}", "0+99x20"),
            ("gateway_request_duration_seconds_bucket{route=\"r\",service=\"web\",release=\"v1\",le=\"5\"}", "0+100x20"),
            ("gateway_request_duration_seconds_bucket{route=\"r\",service=\"web\",release=\"v1\",le=\"+Inf\"}", "0+100x20"),
        ],
    ),
    Ready::new("traffic-gone", Need::Gateway, "sum by (service) (rate(gateway_requests_total{route!=\"past\", service!=\"\"}[10m])) <= $limit and sum by (service) (rate(gateway_requests_total{route!=\"past\", service!=\"\"}[10m] offset 1h)) > 0.1", 0.0)
        .minutes(10)
        .says(
            "nobody has asked {{ $labels.service }} for anything for ten minutes",
            "Is it reachable from outside? Check DNS, the firewall and the certificate: `mainstay check`.",
        )
        .trial(85, &[(OK, "0+60x30 1800x60")], &[(OK, "0+60x100")]),
    Ready::new("gateway-refuses", Need::Gateway, "sum by (reason) (increase(gateway_failures_total{reason!=\"paused\"}[5m])) > $limit", 100.0)
        .minutes(2)
        .says(
            "the gateway failed {{ $value | humanize }} requests within five minutes: {{ $labels.reason }}",
            "`mainstay why` names the instance or limit behind this reason.",
        )
        .trial(10, &[("gateway_failures_total{reason=\"no_instance\"}", "0+50x20")], &[("gateway_failures_total{reason=\"no_instance\"}", "0+1x20"), ("gateway_failures_total{reason=\"paused\"}", "0+50x20")]),
];
