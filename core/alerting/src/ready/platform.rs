//! Rules about the platform itself: services, releases, jobs, backups, access, and what watches all of it.

use super::{Need, Ready};

pub(super) const RULES: &[Ready] = &[
    Ready::new("heartbeat", Need::Always, "vector(1) > $limit", 0.0)
        .says(
            "alerts work",
            "This alert always fires. Send it to a service outside of this machine that calls you when it stops coming.",
        )
        .trial(1, &[("x", "1x5")], &[]),
    Ready::new(
        "service-down",
        Need::Service,
        "mainstay_service_instances_ready <= $limit and mainstay_service_instances_wanted > 0",
        0.0,
    )
    .minutes(1)
    .critical("")
    .answers(&["N: service downtime: service down, any, critical"])
    .says(
        "no instance of {{ $labels.service }} is ready",
        "`mainstay why SERVICE` says what each instance waits for. If a release preceded this: `mainstay rollback`.",
    )
    .trial(
        5,
        &[("mainstay_service_instances_ready{service=\"web\"}", "0x10"), ("mainstay_service_instances_wanted{service=\"web\"}", "2x10")],
        &[("mainstay_service_instances_ready{service=\"web\"}", "0x10"), ("mainstay_service_instances_wanted{service=\"web\"}", "0x10")],
    ),
    Ready::new(
        "instances-missing",
        Need::Service,
        "mainstay_service_instances_wanted - mainstay_service_instances_ready > $limit",
        0.0,
    )
    .minutes(10)
    .says(
        "{{ $value }} instances of {{ $labels.service }} are missing",
        "`mainstay why SERVICE` says what they wait for.",
    )
    .trial(
        15,
        &[("mainstay_service_instances_ready{service=\"web\"}", "1x20"), ("mainstay_service_instances_wanted{service=\"web\"}", "2x20")],
        &[("mainstay_service_instances_ready{service=\"web\"}", "2x20"), ("mainstay_service_instances_wanted{service=\"web\"}", "2x20")],
    ),
    Ready::new("crash-loop", Need::Service, "sum by (service) (increase(mainstay_service_restarts_total[10m])) > $limit", 3.0)
        .says(
            "instances of {{ $labels.service }} ended {{ $value | humanize }} times within ten minutes",
            "The last lines before each end: `mainstay logs SERVICE --since 15m`. `mainstay why SERVICE` names the exit status.",
        )
        .trial(15, &[("mainstay_service_restarts_total{service=\"web\"}", "0+1x20")], &[("mainstay_service_restarts_total{service=\"web\"}", "5x20")]),
    Ready::new("instance-memory", Need::Service, "container_memory_working_set_bytes / (container_spec_memory_limit_bytes > 0) > $limit", 0.9)
        .minutes(5)
        .says(
            "an instance of {{ $labels.service }} uses {{ $value | humanizePercentage }} of its memory",
            "At its limit it is ended. Raise `memory:` or look for a leak in the newest release.",
        )
        .trial(
            10,
            &[("container_memory_working_set_bytes{service=\"web\"}", "95x10"), ("container_spec_memory_limit_bytes{service=\"web\"}", "100x10")],
            &[("container_memory_working_set_bytes{service=\"web\"}", "50x10"), ("container_spec_memory_limit_bytes{service=\"web\"}", "100x10")],
        ),
    Ready::new("deploy-failed", Need::Always, "increase(mainstay_releases_total{outcome=\"failed\"}[15m]) > $limit", 0.0)
        .critical("")
        .answers(&["S: deployment failures: any failed deploy"])
        .says(
            "a release of {{ $labels.platform }} failed",
            "`mainstay releases` says at which step, `mainstay why` why. What served before serves still.",
        )
        .trial(5, &[("mainstay_releases_total{outcome=\"failed\"}", "0 0 1x10")], &[("mainstay_releases_total{outcome=\"failed\"}", "4x10")]),
    Ready::new("ledger-halted", Need::Always, "mainstay_ledger_halted > $limit", 0.0)
        .critical("")
        .answers(&["O: ledger inconsistency: hash mismatch, any, CRITICAL, halt, alert engineers (Mainstay's own ledger)"])
        .says(
            "the ledger does not agree with its anchors: nothing is changed any more",
            "Traffic goes on. `mainstay ledger verify` says what differs; keep a copy of the state folder before anything else. `mainstay ledger resume` accepts a named loss.",
        )
        .trial(1, &[("mainstay_ledger_halted", "1x5")], &[("mainstay_ledger_halted", "0x5")]),
    Ready::new("control-plane-away", Need::Always, "absent_over_time(mainstay_ledger_halted[$limitm])", 5.0)
        .minutes(2)
        .critical("")
        .says(
            "the control plane has not been seen for minutes",
            "Traffic does not depend on it. Start it: `systemctl start mainstay` or `mainstay up`; its log says why it ended.",
        )
        .trial(10, &[("x", "1x20")], &[("mainstay_ledger_halted", "0x20")]),
    Ready::new("job-failed", Need::Job, "increase(mainstay_job_runs_total{outcome=\"failed\"}[15m]) > $limit", 0.0)
        .says(
            "job {{ $labels.job_name }} failed",
            "Its output: `mainstay logs JOB`. Run it again by hand: `mainstay run JOB`.",
        )
        .trial(5, &[("mainstay_job_runs_total{job_name=\"report\",outcome=\"failed\"}", "0 0 1x10")], &[("mainstay_job_runs_total{job_name=\"report\",outcome=\"failed\"}", "1x10")]),
    Ready::new("job-late", Need::Job, "time() - mainstay_job_next_run_timestamp_seconds > $limit", 600.0)
        .minutes(5)
        .says(
            "job {{ $labels.job_name }} should have run {{ $value | humanizeDuration }} ago",
            "`mainstay why JOB` says what it waits for: a deploy, the run before it, or a machine without room.",
        )
        .trial(30, &[("mainstay_job_next_run_timestamp_seconds{job_name=\"report\"}", "60x40")], &[("mainstay_job_next_run_timestamp_seconds{job_name=\"report\"}", "3000x40")]),
    Ready::new("queue-deep", Need::Named, "$depth > $limit", 1000.0)
        .minutes(10)
        .metrics(&[("depth", "how many messages wait")])
        .says(
            "{{ $value | humanize }} messages wait",
            "Do the workers run (`mainstay status`)? Do they fail (`mainstay logs WORKER -f level=error`)? Then scale them.",
        )
        .trial(15, &[("depth{queue=\"mail\"}", "5000x20")], &[("depth{queue=\"mail\"}", "10x20")]),
    Ready::new("backup-old", Need::Backup, "time() - max by (store) (mainstay_backup_last_success_timestamp_seconds) > $limit * 3600", 26.0)
        .minutes(10)
        .critical("")
        .says(
            "the last good backup of {{ $labels.store }} is {{ $value | humanizeDuration }} old",
            "`mainstay backup status` says why. Make one now: `mainstay backup run STORE`.",
        )
        .trial(1600, &[("mainstay_backup_last_success_timestamp_seconds{store=\"db\"}", "0x1700")], &[("mainstay_backup_last_success_timestamp_seconds{store=\"db\"}", "0+60x1700")]),
    Ready::new("backup-unproven", Need::Backup, "time() - max by (store) (mainstay_backup_last_drill_timestamp_seconds) > $limit * 86400", 100.0)
        .minutes(60)
        .says(
            "no backup of {{ $labels.store }} has been restored for {{ $value | humanizeDuration }}",
            "A backup that was never restored is none: `mainstay backup drill STORE`.",
        )
        .trial(70, &[("mainstay_backup_last_drill_timestamp_seconds{store=\"db\"}", "-9000000x80")], &[("mainstay_backup_last_drill_timestamp_seconds{store=\"db\"}", "-1000000x80")]),
    Ready::new("logins-failing", Need::Always, "sum by (door) (increase(mainstay_access_refused_total[10m])) > $limit", 20.0)
        .says(
            "{{ $value | humanize }} requests at {{ $labels.door }} were refused for their token within ten minutes",
            "Somebody guesses, or a program shows a token that is no longer good: `mainstay token list` names those of the API, `mainstay signals url` lends one for signals. A guess from elsewhere reaches only what the file opens: `signals: { port }`.",
        )
        .trial(15, &[("mainstay_access_refused_total{door=\"api\"}", "0+5x20")], &[("mainstay_access_refused_total{door=\"api\"}", "9x20")]),
    Ready::new("target-down", Need::Metrics, "up == $limit", 0.0)
        .minutes(5)
        .says(
            "metrics of {{ $labels.job }} at {{ $labels.instance }} cannot be read",
            "`mainstay targets` says what the target answered. While it is away, rules about it see nothing.",
        )
        .trial(10, &[("up{job=\"web\",instance=\"a:1\"}", "0x10")], &[("up{job=\"web\",instance=\"a:1\"}", "1x10")]),
    Ready::new("series-capped", Need::Metrics, "increase(signals_series_refused_total[10m]) > $limit", 0.0)
        .says(
            "{{ $value | humanize }} series were refused within ten minutes: something makes more than it may",
            "A label holds ids or addresses. `mainstay query 'topk(5, signals_service_series)'` names the service; take the label away.",
        )
        .trial(5, &[("signals_series_refused_total", "0 0 9x10")], &[("signals_series_refused_total", "9x10")]),
    Ready::new("rules-failing", Need::Always, "increase(signals_rule_evaluation_failures_total[10m]) > $limit", 0.0)
        .minutes(5)
        .critical("")
        .says(
            "rules cannot be evaluated",
            "While one fails it neither fires nor ends anything. `mainstay alerts rules` shows which and why.",
        )
        .trial(10, &[("signals_rule_evaluation_failures_total", "0+1x20")], &[("signals_rule_evaluation_failures_total", "0x20")]),
    Ready::new("remote-behind", Need::Always, "signals_remote_behind_seconds > $limit", 900.0)
        .minutes(5)
        .says(
            "remote {{ $labels.remote }} is {{ $value | humanizeDuration }} behind",
            "Nothing is lost as long as samples are kept here (`signals: { keep, disk }`). `mainstay signals remotes` says what the other side answers.",
        )
        .trial(10, &[("signals_remote_behind_seconds{remote=\"far\"}", "1000x20")], &[("signals_remote_behind_seconds{remote=\"far\"}", "12x20")]),
    Ready::new(
        "remote-losing",
        Need::Always,
        "sum by (remote) (increase({__name__=~\"signals_remote_(lost|refused)_samples_total\"}[15m])) > $limit",
        0.0,
    )
    .says(
        "{{ $value | humanize }} samples for {{ $labels.remote }} were refused by it, or let go before it took them",
        "`mainstay signals remotes` says which, and why. What is let go too early needs more room: `signals: { keep, disk }`.",
    )
    .trial(
        5,
        &[("signals_remote_lost_samples_total{remote=\"far\"}", "0 0 9x10"), ("signals_remote_refused_samples_total{remote=\"far\"}", "3x12")],
        &[("signals_remote_lost_samples_total{remote=\"far\"}", "9x12"), ("signals_remote_refused_samples_total{remote=\"far\"}", "3x12")],
    ),
];
