//! Rules about machines; names of metrics are those of `node_exporter`.

use super::{Need, Ready};

const DISK: &str = "(1 - node_filesystem_avail_bytes{fstype!~\"tmpfs|ramfs|squashfs|overlay|iso9660\"} / node_filesystem_size_bytes) > $limit";

pub(super) const RULES: &[Ready] = &[
    Ready::new("disk-used", Need::Host, DISK, 0.8)
        .minutes(5)
        .answers(&["S: disk space used > 80 %", "N: disk usage, medium > 80 %, warning"])
        .says(
            "{{ $labels.mountpoint }} of {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
            "Find what grows with `du -xh --max-depth=2 MOUNT | sort -h | tail`. Old releases, logs and backups are let go by `mainstay status`'s hints; then enlarge the disk.",
        )
        .trial(
            10,
            &[
                ("node_filesystem_avail_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "19x10"),
                ("node_filesystem_size_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "100x10"),
            ],
            &[
                ("node_filesystem_avail_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "21x10"),
                ("node_filesystem_size_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "100x10"),
            ],
        ),
    Ready::new(
        "disk-low",
        Need::Host,
        "node_filesystem_avail_bytes{fstype!~\"tmpfs|ramfs|squashfs|overlay|iso9660\"} / node_filesystem_size_bytes < $limit",
        0.1,
    )
    .minutes(2)
    .critical("")
    .answers(&["N: disk space, low: free < 10 %, critical"])
    .says(
        "{{ $labels.mountpoint }} of {{ $labels.instance }} has {{ $value | humanizePercentage }} left",
        "Free space now: `mainstay backup prune`, old logs, package caches. When the disk is full, databases stop and deploys are refused.",
    )
    .trial(
        5,
        &[
            ("node_filesystem_avail_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "9x10"),
            ("node_filesystem_size_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "100x10"),
        ],
        &[
            ("node_filesystem_avail_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "11x10"),
            ("node_filesystem_size_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "100x10"),
        ],
    ),
    Ready::new(
        "disk-fills",
        Need::Host,
        "predict_linear(node_filesystem_avail_bytes{fstype!~\"tmpfs|ramfs|squashfs|overlay|iso9660\"}[1h], $limit * 3600) < 0 and node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.5",
        4.0,
    )
    .minutes(10)
    .says(
        "{{ $labels.mountpoint }} of {{ $labels.instance }} is full within hours if it goes on like this",
        "Find what writes: `mainstay top`, `iotop -o`, `lsof +L1` for deleted files that are still open.",
    )
    .trial(
        70,
        &[
            ("node_filesystem_avail_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "400-4x80"),
            ("node_filesystem_size_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "1000x80"),
        ],
        &[
            ("node_filesystem_avail_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "400-0.1x80"),
            ("node_filesystem_size_bytes{instance=\"a\",mountpoint=\"/\",fstype=\"ext4\"}", "1000x80"),
        ],
    ),
    Ready::new("inodes-low", Need::Host, "node_filesystem_files_free{fstype!~\"tmpfs|ramfs|squashfs|overlay|iso9660\"} / (node_filesystem_files > 0) < $limit", 0.1)
        .minutes(5)
        .says(
            "{{ $labels.mountpoint }} of {{ $labels.instance }} has {{ $value | humanizePercentage }} of its inodes left",
            "Look for folders with very many small files: `du --inodes -x MOUNT | sort -n | tail`.",
        )
        .trial(
            10,
            &[("node_filesystem_files_free{mountpoint=\"/\",fstype=\"ext4\"}", "5x10"), ("node_filesystem_files{mountpoint=\"/\",fstype=\"ext4\"}", "100x10")],
            &[("node_filesystem_files_free{mountpoint=\"/\",fstype=\"ext4\"}", "50x10"), ("node_filesystem_files{mountpoint=\"/\",fstype=\"ext4\"}", "100x10")],
        ),
    Ready::new("disk-read-only", Need::Host, "node_filesystem_readonly{fstype=~\"ext4|xfs|btrfs|zfs\"} > $limit", 0.0)
        .minutes(2)
        .critical("")
        .says(
            "{{ $labels.mountpoint }} of {{ $labels.instance }} can only be read",
            "The kernel found an error: `dmesg | tail -50`. Check the disk's health and restore from the last good backup if data is damaged.",
        )
        .trial(
            5,
            &[("node_filesystem_readonly{mountpoint=\"/\",fstype=\"ext4\"}", "1x10")],
            &[("node_filesystem_readonly{mountpoint=\"/\",fstype=\"ext4\"}", "0x10")],
        ),
    Ready::new("memory-used", Need::Host, "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > $limit", 0.9)
        .minutes(5)
        .answers(&["S: memory usage > 90 %"])
        .says(
            "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory",
            "See who holds it: `mainstay top`. Lower `replicas` or limits, look for a leak in the newest release, or take a larger machine.",
        )
        .trial(
            10,
            &[("node_memory_MemAvailable_bytes", "9x10"), ("node_memory_MemTotal_bytes", "100x10")],
            &[("node_memory_MemAvailable_bytes", "11x10"), ("node_memory_MemTotal_bytes", "100x10")],
        ),
    Ready::new("out-of-memory-kill", Need::Host, "increase(node_vmstat_oom_kill[10m]) > $limit", 0.0)
        .says(
            "the kernel of {{ $labels.instance }} ended a process for lack of memory",
            "Which one: `journalctl -k | grep -i oom`. Raise its limit or find its leak; `mainstay why SERVICE` says whether an instance of yours was hit.",
        )
        .trial(5, &[("node_vmstat_oom_kill", "0 0 1x10")], &[("node_vmstat_oom_kill", "3x10")]),
    Ready::new(
        "cpu-busy",
        Need::Host,
        "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) > $limit",
        0.9,
    )
    .minutes(15)
    .says(
        "the processors of {{ $labels.instance }} are {{ $value | humanizePercentage }} busy",
        "See who computes: `mainstay top`. If it began with a release, compare with the one before: `mainstay diff`.",
    )
    .trial(
        25,
        &[("node_cpu_seconds_total{instance=\"a\",cpu=\"0\",mode=\"idle\"}", "0+3x30")],
        &[("node_cpu_seconds_total{instance=\"a\",cpu=\"0\",mode=\"idle\"}", "0+30x30")],
    ),
    Ready::new("memory-pressure", Need::Host, "rate(node_pressure_memory_stalled_seconds_total[5m]) > $limit", 0.1)
        .minutes(5)
        .says(
            "programs of {{ $labels.instance }} stand still {{ $value | humanizePercentage }} of the time for lack of memory",
            "The machine swaps or reclaims without end. Stop what is not needed, then give it more memory.",
        )
        .trial(
            15,
            &[("node_pressure_memory_stalled_seconds_total", "0+12x20")],
            &[("node_pressure_memory_stalled_seconds_total", "0+1x20")],
        ),
    Ready::new("io-pressure", Need::Host, "rate(node_pressure_io_stalled_seconds_total[5m]) > $limit", 0.5)
        .minutes(10)
        .says(
            "programs of {{ $labels.instance }} wait for disks {{ $value | humanizePercentage }} of the time",
            "See who writes and reads: `mainstay top`, `iotop -o`. A backup or a missing index is the usual cause.",
        )
        .trial(
            20,
            &[("node_pressure_io_stalled_seconds_total", "0+40x30")],
            &[("node_pressure_io_stalled_seconds_total", "0+5x30")],
        ),
    Ready::new("files-open", Need::Host, "node_filefd_allocated / node_filefd_maximum > $limit", 0.8)
        .minutes(5)
        .says(
            "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its open files in use",
            "Which process: `ls /proc/*/fd 2>/dev/null | wc -l` by process. Look for connections that are never closed.",
        )
        .trial(
            10,
            &[("node_filefd_allocated", "90x10"), ("node_filefd_maximum", "100x10")],
            &[("node_filefd_allocated", "10x10"), ("node_filefd_maximum", "100x10")],
        ),
    // Of a clock that nobody keeps the kernel's error grows to 16 s and stays there; one that was just started is about to
    // be kept.
    Ready::new(
        "clock-off",
        Need::Host,
        "abs(node_timex_offset_seconds) > $limit or (node_timex_maxerror_seconds >= 16 and node_timex_sync_status == 0)",
        0.1,
    )
    .minutes(10)
    .says(
        "the clock of {{ $labels.instance }} may be off by {{ $value | humanizeDuration }}",
        "Check that time is kept: `timedatectl`, `chronyc tracking`; on Debian `apt-get install chrony` keeps it. Tokens, certificates and traces rest on it.",
    )
    .trial(
        15,
        &[("node_timex_offset_seconds", "-0.5x20"), ("node_timex_maxerror_seconds", "0.2x20"), ("node_timex_sync_status", "1x20")],
        &[("node_timex_offset_seconds", "0.01x20"), ("node_timex_maxerror_seconds", "0.2x20"), ("node_timex_sync_status", "1x20")],
    ),
];
