//! Rules about chains and the ledger of applications. Their sources do not exist yet, and each says which it waits for.

use super::{Need, Ready};

pub(super) const RULES: &[Ready] = &[
    Ready::new("escrow-mismatch", Need::Chain, "abs(mainstay_reconciliation_difference) > $limit", 0.0)
        .critical("pagerduty")
        .answers(&["V: escrow mismatch: escrow ≠ database, any, critical, PagerDuty"])
        .waits("reconciliation of a chain with a database")
        .says(
            "escrow and database of {{ $labels.contract }} differ by {{ $value }}",
            "Both sides are compared at one finalised block. List the bookings that differ, pause payouts until each is explained.",
        )
        .trial(1, &[("mainstay_reconciliation_difference{contract=\"escrow\"}", "-1x5")], &[("mainstay_reconciliation_difference{contract=\"escrow\"}", "0x5")]),
    Ready::new("paymaster-balance", Need::Chain, "mainstay_paymaster_balance_hours < $limit", 24.0)
        .minutes(5)
        .critical("pagerduty")
        .answers(&["V: paymaster low balance: deposit, critical, PagerDuty"])
        .waits("paymaster")
        .says(
            "the deposit of {{ $labels.paymaster }} lasts for {{ $value | humanize }} hours",
            "Top it up, or switch sponsoring off for the largest users.",
        )
        .trial(10, &[("mainstay_paymaster_balance_hours{paymaster=\"p\"}", "3x10")], &[("mainstay_paymaster_balance_hours{paymaster=\"p\"}", "99x10")]),
    Ready::new("indexer-behind", Need::Chain, "mainstay_indexer_head_block - mainstay_indexer_cursor_block > $limit", 50.0)
        .minutes(5)
        .critical("pagerduty")
        .answers(&["V: indexer behind: head − cursor > N blocks, critical, PagerDuty"])
        .waits("indexer")
        .says(
            "the indexer of {{ $labels.chain }} is {{ $value }} blocks behind",
            "Does its node answer? Is one event refused again and again? `mainstay logs indexer`.",
        )
        .trial(
            10,
            &[("mainstay_indexer_head_block{chain=\"base\"}", "1000+30x20"), ("mainstay_indexer_cursor_block{chain=\"base\"}", "900x20")],
            &[("mainstay_indexer_head_block{chain=\"base\"}", "1000+30x20"), ("mainstay_indexer_cursor_block{chain=\"base\"}", "995+30x20")],
        ),
    Ready::new("contract-events-stopped", Need::Chain, "rate(mainstay_indexer_events_total[1h]) <= $limit and rate(mainstay_indexer_events_total[1h] offset 1d) > 0", 0.0)
        .minutes(30)
        .answers(&["V: contract events, monitored (§4.4)"])
        .waits("indexer")
        .says(
            "no event of {{ $labels.contract }} has come for an hour",
            "Is the contract paused, or the indexer behind? Compare with a block explorer.",
        )
        .trial(
            1560,
            &[("mainstay_indexer_events_total{contract=\"c\"}", "0+1x200 200x1500")],
            &[("mainstay_indexer_events_total{contract=\"c\"}", "0+1x1700")],
        ),
    Ready::new("gas-per-function", Need::Chain, "avg_over_time(mainstay_indexer_gas_per_call[1h]) > $limit * avg_over_time(mainstay_indexer_gas_per_call[1d] offset 1d)", 1.5)
        .minutes(30)
        .answers(&["V: gas per function, monitored (§4.4)"])
        .waits("indexer")
        .says(
            "{{ $labels.function }} of {{ $labels.contract }} costs half as much gas again as the day before",
            "Did the contract change, or what it is called with?",
        )
        .trial(
            3000,
            &[("mainstay_indexer_gas_per_call{function=\"book\"}", "100x2880 300x200")],
            &[("mainstay_indexer_gas_per_call{function=\"book\"}", "100x3100")],
        ),
    Ready::new("paymaster-drain", Need::Chain, "rate(mainstay_paymaster_spent_total[15m]) > $limit * rate(mainstay_paymaster_spent_total[1d] offset 15m)", 5.0)
        .minutes(5)
        .critical("pagerduty")
        .answers(&["V: paymaster drain, monitored (§4.4)"])
        .waits("paymaster")
        .says(
            "{{ $labels.paymaster }} spends five times as much as on the day before",
            "Which accounts: sort by spent. Switch sponsoring off if they are new: `mainstay paymaster off`.",
        )
        .trial(
            1500,
            &[("mainstay_paymaster_spent_total{paymaster=\"p\"}", "0+1x1440 1440+100x100")],
            &[("mainstay_paymaster_spent_total{paymaster=\"p\"}", "0+1x1600")],
        ),
    Ready::new("gas-per-booking", Need::Chain, "rate(mainstay_paymaster_gas_total[1h]) / (rate(mainstay_paymaster_bookings_total[1h]) > 0) > $limit", 500_000.0)
        .minutes(30)
        .answers(&["V: gas per booking, tracked (§10.2)"])
        .waits("paymaster")
        .says("a booking costs {{ $value | humanize }} gas", "Compare the calls of a booking with those of the release before.")
        .trial(
            60,
            &[("mainstay_paymaster_gas_total", "0+900000x80"), ("mainstay_paymaster_bookings_total", "0+1x80")],
            &[("mainstay_paymaster_gas_total", "0+90000x80"), ("mainstay_paymaster_bookings_total", "0+1x80")],
        ),
    Ready::new("gas-per-region", Need::Chain, "sum by (region) (rate(mainstay_paymaster_gas_total[1h])) / scalar(sum(rate(mainstay_paymaster_gas_total[1h])) > 0) > $limit", 0.6)
        .minutes(60)
        .answers(&["V: gas per region, tracked (§10.2)"])
        .waits("paymaster")
        .says(
            "{{ $labels.region }} uses {{ $value | humanizePercentage }} of all gas",
            "Growth or abuse? Look at the accounts of that region.",
        )
        .trial(
            90,
            &[("mainstay_paymaster_gas_total{region=\"eu\"}", "0+90x100"), ("mainstay_paymaster_gas_total{region=\"us\"}", "0+10x100")],
            &[("mainstay_paymaster_gas_total{region=\"eu\"}", "0+50x100"), ("mainstay_paymaster_gas_total{region=\"us\"}", "0+50x100")],
        ),
    Ready::new("paymaster-abuse", Need::Chain, "sum by (reason) (increase(mainstay_paymaster_refused_total[15m])) > $limit", 50.0)
        .answers(&["V: abuse, tracked (§10.2)"])
        .waits("paymaster")
        .says(
            "{{ $value | humanize }} operations were refused within a quarter of an hour: {{ $labels.reason }}",
            "Fresh accounts of one device are the usual pattern. Lower the limit per account.",
        )
        .trial(20, &[("mainstay_paymaster_refused_total{reason=\"limit\"}", "0+10x30")], &[("mainstay_paymaster_refused_total{reason=\"limit\"}", "0+1x30")]),
    Ready::new("application-ledger-inconsistent", Need::Ledger, "increase(mainstay_application_ledger_mismatches_total[10m]) > $limit", 0.0)
        .critical("")
        .answers(&["O: ledger inconsistency: hash mismatch, any, CRITICAL, halt new transactions, alert engineers"])
        .waits("a ledger offered to applications")
        .says(
            "ledger {{ $labels.ledger }} does not agree with its hashes",
            "New transactions are halted (`then: { halt_ledger: … }`). Find the first entry that differs, and what wrote it.",
        )
        .trial(5, &[("mainstay_application_ledger_mismatches_total{ledger=\"impact\"}", "0 0 1x10")], &[("mainstay_application_ledger_mismatches_total{ledger=\"impact\"}", "0x10")]),
];
