//! Rules about the business: over metrics that the file names, as they are called differently everywhere.

use super::{Need, Ready};

pub(super) const RULES: &[Ready] = &[
    Ready::new(
        "booking-slow",
        Need::Named,
        "histogram_quantile(0.95, sum by (le) (rate($duration[10m]))) > $limit",
        30.0,
    )
    .minutes(5)
    .critical("pagerduty")
    .answers(&["V: booking engine delays: booking step latency, critical, PagerDuty"])
    .metrics(&[("duration", "the buckets of a histogram of how long a booking step takes, in seconds")])
    .says(
        "one booking step in twenty takes longer than {{ $value | humanizeDuration }}",
        "Which step: break the histogram down by its label. Look at its queue, its store, and the release before.",
    )
    .trial(
        20,
        &[("duration{le=\"30\"}", "0+10x30"), ("duration{le=\"120\"}", "0+100x30"), ("duration{le=\"+Inf\"}", "0+100x30")],
        &[("duration{le=\"30\"}", "0+99x30"), ("duration{le=\"120\"}", "0+100x30"), ("duration{le=\"+Inf\"}", "0+100x30")],
    ),
    Ready::new("booking-stuck", Need::Named, "age_of($oldest) > $limit", 900.0)
        .minutes(5)
        .critical("pagerduty")
        .answers(&["V: booking engine delays: booking step age, critical, PagerDuty"])
        .metrics(&[("oldest", "when the oldest open booking step began, in seconds since 1970")])
        .says(
            "a booking has been waiting for {{ $value | humanizeDuration }}",
            "Find it in the table of open steps; the worker's log names what it waits for.",
        )
        .trial(30, &[("oldest", "60x40")], &[("oldest", "0+60x40")]),
    Ready::new("dispute-rate", Need::Named, "ratio_of($disputes, $bookings, 1d) > $limit", 0.02)
        .minutes(30)
        .critical("pagerduty")
        .answers(&["V: high dispute rate: disputes / bookings, critical, PagerDuty"])
        .metrics(&[("disputes", "a counter of disputes"), ("bookings", "a counter of bookings")])
        .says(
            "{{ $value | humanizePercentage }} of the bookings of a day are disputed",
            "Group the disputes by seller, region and release: one of them stands out.",
        )
        .trial(90, &[("disputes", "0+5x100"), ("bookings", "0+100x100")], &[("disputes", "0+1x100"), ("bookings", "0+100x100")]),
    Ready::new("fraud-patterns", Need::Named, "rate_of($hits, 15m) * 900 > $limit", 10.0)
        .critical("pagerduty")
        .answers(&["V: fraud patterns: risk-engine hits, critical, PagerDuty"])
        .metrics(&[("hits", "a counter of what the risk engine finds")])
        .says(
            "the risk engine found {{ $value | humanize }} things within a quarter of an hour",
            "Look at what they have in common; pause the route if money leaves: `mainstay pause ROUTE`.",
        )
        .trial(30, &[("hits", "0+2x40")], &[("hits", "0x40")]),
    Ready::new("booking-anomaly", Need::Named, "anomaly_of($bookings) > $limit", 5.0)
        .minutes(30)
        .answers(&["V: booking anomalies, monitored (§4.4)"])
        .metrics(&[("bookings", "a gauge or recorded rate of bookings")])
        .says(
            "bookings are {{ $value | humanize }} deviations from the same hour of the weeks before",
            "Is it a holiday, a campaign, or a broken step? Compare each step's counter with last week's.",
        )
        .trial(40_620, &[("bookings", "100+1x1 100x330 101x341 500x6")], &[("bookings", "100+1x1 100x330 101x341 102x6")]).hourly(),
    Ready::new("attempts-anomalous", Need::Named, "anomaly_of($attempts) > $limit", 6.0)
        .minutes(15)
        .answers(&["V: anomalous attempts, tracked (§10.2)"])
        .metrics(&[("attempts", "a gauge or recorded rate of attempts, such as logins or sign-ups")])
        .says(
            "attempts are {{ $value | humanize }} deviations from the same hour of the weeks before",
            "Look at addresses and agents of the attempts; set a limit on the route.",
        )
        .trial(40_620, &[("attempts", "100+1x1 100x330 101x341 500x6")], &[("attempts", "100+1x1 100x330 101x341 102x6")]).hourly(),
    Ready::new("transaction-failures", Need::Named, "ratio_of($failed, $all) > $limit", 0.05)
        .minutes(2)
        .critical("pagerduty")
        .answers(&["D: transaction failure rate: failed / all > 5 % for 2 min, business; email, Slack #security-alerts, PagerDuty for critical"])
        .metrics(&[("failed", "a counter of failed transactions"), ("all", "a counter of all transactions")])
        .says(
            "{{ $value | humanizePercentage }} of the transactions fail",
            "By provider and kind: which fail? Switch the provider over, then tell its support.",
        )
        .trial(10, &[("failed", "0+6x20"), ("all", "0+100x20")], &[("failed", "0+4x20"), ("all", "0+100x20")]),
    Ready::new("activity-low", Need::Named, "max_over_time($users[1d]) < $limit", 100.0)
        .minutes(60)
        .answers(&["D: low user activity: daily active users < 100, daily, business"])
        .metrics(&[("users", "a gauge of daily active users")])
        .says(
            "{{ $value }} users were active within a day",
            "Can people log in (`mainstay check`)? Is it counted right since the last release?",
        )
        .trial(1500, &[("users", "50x1600")], &[("users", "150x1600")]),
    Ready::new("provider-down", Need::Named, "$provider == $limit", 0.0)
        .minutes(1)
        .answers(&["D: provider down: health check failed (gauge 0), any, 1 min, technical"])
        .metrics(&[("provider", "a gauge by provider: 1 when its health check passes, else 0")])
        .says(
            "provider {{ $labels.provider }} is down",
            "See its status page; switch to another one, or pause what needs it.",
        )
        .trial(5, &[("provider{provider=\"bank\"}", "0x10")], &[("provider{provider=\"bank\"}", "1x10")]),
    Ready::new("proof-slow", Need::Named, "histogram_quantile(0.95, sum by (le) (rate($duration[5m]))) > $limit", 5.0)
        .minutes(5)
        .answers(&["O: proof processor latency: per proof > 5 s, WARNING, check AI service health"])
        .metrics(&[("duration", "the buckets of a histogram of how long a proof takes, in seconds")])
        .says(
            "one proof in twenty takes longer than {{ $value | humanizeDuration }}",
            "Check the model service: `mainstay why verification-ai`, its queue and its processors.",
        )
        .trial(
            15,
            &[("duration{le=\"5\"}", "0+10x20"), ("duration{le=\"10\"}", "0+100x20"), ("duration{le=\"+Inf\"}", "0+100x20")],
            &[("duration{le=\"5\"}", "0+99x20"), ("duration{le=\"10\"}", "0+100x20"), ("duration{le=\"+Inf\"}", "0+100x20")],
        ),
    Ready::new("wallet-update-failed", Need::Named, "sum(increase($failures[10m])) > $limit", 0.0)
        .critical("")
        .answers(&["O: player wallet update failed: any failure, CRITICAL, investigate ledger sync"])
        .metrics(&[("failures", "a counter of failed wallet updates")])
        .says(
            "{{ $value | humanize }} wallet updates failed",
            "Compare wallets with the ledger before anything is repeated; halt the ledger if they differ.",
        )
        .trial(5, &[("failures", "0 0 1x10")], &[("failures", "3x10")]),
    Ready::new("rpc-errors", Need::Named, "ratio_of($errors, $calls) > $limit", 0.05)
        .minutes(5)
        .metrics(&[("errors", "a counter of failed calls to a node"), ("calls", "a counter of all calls")])
        .says(
            "{{ $value | humanizePercentage }} of the calls to nodes fail",
            "Which provider: by its label. Add another one to the pool.",
        )
        .trial(15, &[("errors", "0+10x20"), ("calls", "0+100x20")], &[("errors", "0+1x20"), ("calls", "0+100x20")]),
    Ready::new("error-logs", Need::Log, "sum by (service) (rate(mainstay_log_lines_total{level=\"error\"}[5m])) * 60 > $limit", 30.0)
        .minutes(5)
        .answers(&["V: error logs, monitored (§4.4)"])
        .waits("logs")
        .says(
            "{{ $labels.service }} writes {{ $value | humanize }} errors a minute",
            "`mainstay logs SERVICE -f level=error --since 10m`.",
        )
        .trial(15, &[("mainstay_log_lines_total{service=\"web\",level=\"error\"}", "0+60x20")], &[("mainstay_log_lines_total{service=\"web\",level=\"error\"}", "0+1x20")]),
    Ready::new("quota-used", Need::Cost, "mainstay_cost_quota_used_ratio > $limit", 0.8)
        .minutes(60)
        .answers(&["D: cost / free-tier usage: share of quota"])
        .waits("costs")
        .says(
            "{{ $value | humanizePercentage }} of the quota of {{ $labels.provider }} is used",
            "`mainstay cost` says what uses it and when it ends.",
        )
        .trial(70, &[("mainstay_cost_quota_used_ratio{provider=\"a\"}", "0.9x80")], &[("mainstay_cost_quota_used_ratio{provider=\"a\"}", "0.5x80")]),
];
