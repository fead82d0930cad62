//! The machine, from the kernel's files, with the names of the field's `node_exporter`.

use super::Page;
use std::collections::BTreeSet;

/// Kernel ticks of a second in `/proc`, the same on all machines that Linux runs on (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Bytes of a sector in `/proc/diskstats`, whatever the disk has.
const SECTOR: f64 = 512.0;

/// File systems that hold no files of their own, or are elsewhere and may hang.
const NOT_HERE: [&str; 28] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "efivarfs",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn number(text: Option<&str>) -> Option<f64> {
    text?.parse().ok()
}

/// Everything that the machine says.
pub(super) fn page() -> Page {
    let mut page = Page::default();
    stat(&mut page, &read("/proc/stat"));
    memory(&mut page, &read("/proc/meminfo"));
    load(&mut page, &read("/proc/loadavg"));
    disks(&mut page, &read("/proc/diskstats"));
    network(&mut page, &read("/proc/net/dev"));
    for resource in ["cpu", "io", "memory"] {
        pressure(
            &mut page,
            resource,
            &read(&format!("/proc/pressure/{resource}")),
        );
    }
    vmstat(&mut page, &read("/proc/vmstat"));
    files(&mut page, &read("/proc/sys/fs/file-nr"));
    sockets(&mut page, &read("/proc/net/sockstat"));
    file_systems(&mut page, &read("/proc/self/mounts"));
    uname(&mut page);
    super::timex::put(&mut page);
    page.kind("node_time_seconds", "gauge");
    page.put(
        "node_time_seconds",
        &[],
        crate::clock::wall_ms() as f64 / 1000.0,
    );
    page
}

fn stat(page: &mut Page, text: &str) {
    const MODES: [&str; 8] = [
        "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
    ];
    page.kind("node_cpu_seconds_total", "counter");
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        if let Some(cpu) = name.strip_prefix("cpu").filter(|cpu| !cpu.is_empty()) {
            for (mode, ticks) in MODES.iter().zip(words) {
                if let Some(ticks) = number(Some(ticks)) {
                    let labels = [("cpu", cpu), ("mode", *mode)];
                    page.put("node_cpu_seconds_total", &labels, ticks / TICKS);
                }
            }
            continue;
        }
        let (metric, kind) = match name {
            "btime" => ("node_boot_time_seconds", "gauge"),
            "ctxt" => ("node_context_switches_total", "counter"),
            "processes" => ("node_forks_total", "counter"),
            "intr" => ("node_intr_total", "counter"),
            "procs_running" => ("node_procs_running", "gauge"),
            "procs_blocked" => ("node_procs_blocked", "gauge"),
            _ => continue,
        };
        if let Some(value) = number(words.next()) {
            page.kind(metric, kind);
            page.put(metric, &[], value);
        }
    }
}

fn memory(page: &mut Page, text: &str) {
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        let mut words = rest.split_whitespace();
        let Some(value) = number(words.next()) else {
            continue;
        };
        let name = name.replace('(', "_").replace(')', "");
        let (metric, value) = match words.next() {
            Some("kB") => (format!("node_memory_{name}_bytes"), value * 1024.0),
            _ => (format!("node_memory_{name}"), value),
        };
        page.kind(&metric, "gauge");
        page.put(&metric, &[], value);
    }
}

fn load(page: &mut Page, text: &str) {
    for (metric, word) in ["node_load1", "node_load5", "node_load15"]
        .into_iter()
        .zip(text.split_whitespace())
    {
        if let Some(value) = number(Some(word)) {
            page.kind(metric, "gauge");
            page.put(metric, &[], value);
        }
    }
}

/// Whether a device is a part of another, or no disk.
fn is_part(device: &str) -> bool {
    let stem = device.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let numbered = stem.len() < device.len();
    let short = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1)
    };
    numbered
        && (matches!(stem, "ram" | "zram" | "loop" | "fd")
            || ["hd", "sd", "vd", "xvd"].into_iter().any(short)
            || (stem.starts_with("nvme") && stem.ends_with('p')))
}

fn disks(page: &mut Page, text: &str) {
    const COLUMNS: [(usize, &str, f64); 9] = [
        (3, "node_disk_reads_completed_total", 1.0),
        (5, "node_disk_read_bytes_total", SECTOR),
        (6, "node_disk_read_time_seconds_total", 0.001),
        (7, "node_disk_writes_completed_total", 1.0),
        (9, "node_disk_written_bytes_total", SECTOR),
        (10, "node_disk_write_time_seconds_total", 0.001),
        (11, "node_disk_io_now", 1.0),
        (12, "node_disk_io_time_seconds_total", 0.001),
        (13, "node_disk_io_time_weighted_seconds_total", 0.001),
    ];
    for (column, metric, factor) in COLUMNS {
        page.kind(metric, if column == 11 { "gauge" } else { "counter" });
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(device) = words.get(2).filter(|device| !is_part(device)) else {
                continue;
            };
            if let Some(value) = number(words.get(column).copied()) {
                page.put(metric, &[("device", device)], value * factor);
            }
        }
    }
}

fn network(page: &mut Page, text: &str) {
    const COLUMNS: [(usize, &str); 8] = [
        (0, "node_network_receive_bytes_total"),
        (1, "node_network_receive_packets_total"),
        (2, "node_network_receive_errs_total"),
        (3, "node_network_receive_drop_total"),
        (8, "node_network_transmit_bytes_total"),
        (9, "node_network_transmit_packets_total"),
        (10, "node_network_transmit_errs_total"),
        (11, "node_network_transmit_drop_total"),
    ];
    for (column, metric) in COLUMNS {
        page.kind(metric, "counter");
        for line in text.lines() {
            let Some((device, rest)) = line.split_once(':') else {
                continue;
            };
            if let Some(value) = number(rest.split_whitespace().nth(column)) {
                page.put(metric, &[("device", device.trim())], value);
            }
        }
    }
}

fn pressure(page: &mut Page, resource: &str, text: &str) {
    for line in text.lines() {
        let (name, total) = match line.split_once(' ') {
            Some(("some", rest)) => ("waiting", rest),
            Some(("full", rest)) if resource != "cpu" => ("stalled", rest),
            _ => continue,
        };
        let total = total.rsplit_once("total=").map(|(_, total)| total);
        if let Some(microseconds) = number(total) {
            let metric = format!("node_pressure_{resource}_{name}_seconds_total");
            page.kind(&metric, "counter");
            page.put(&metric, &[], microseconds / 1e6);
        }
    }
}

fn vmstat(page: &mut Page, text: &str) {
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else {
            continue;
        };
        let wanted = matches!(
            name,
            "oom_kill" | "pgfault" | "pgmajfault" | "pgpgin" | "pgpgout" | "pswpin" | "pswpout"
        );
        if let Some(value) = number(Some(value)).filter(|_| wanted) {
            let metric = format!("node_vmstat_{name}");
            page.kind(&metric, "untyped");
            page.put(&metric, &[], value);
        }
    }
}

fn files(page: &mut Page, text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    for (place, metric) in [(0, "node_filefd_allocated"), (2, "node_filefd_maximum")] {
        if let Some(value) = number(words.get(place).copied()) {
            page.kind(metric, "gauge");
            page.put(metric, &[], value);
        }
    }
}

fn sockets(page: &mut Page, text: &str) {
    for line in text.lines() {
        let Some((protocol, rest)) = line.split_once(": ") else {
            continue;
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        for pair in words.chunks_exact(2).filter(|pair| pair[0] != "mem") {
            if let Some(value) = number(Some(pair[1])) {
                let metric = format!("node_sockstat_{protocol}_{}", pair[0]);
                page.kind(&metric, "gauge");
                page.put(&metric, &[], value);
            }
        }
    }
}

/// Without the escapes of `/proc/mounts`.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}

fn file_systems(page: &mut Page, text: &str) {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, point, kind, options, ..] = words[..] else {
            continue;
        };
        let hidden = ["/proc", "/sys", "/dev", "/run/credentials"]
            .iter()
            .any(|prefix| point == *prefix || point.starts_with(&format!("{prefix}/")));
        if NOT_HERE.contains(&kind) || kind.starts_with("fuse") || hidden {
            continue;
        }
        let point = unescaped(point);
        if seen.insert(point.clone())
            && let Ok(sizes) = rustix::fs::statvfs(&point)
        {
            let read_only = options.split(',').any(|option| option == "ro");
            found.push((unescaped(device), point, kind.to_owned(), sizes, read_only));
        }
    }
    for (place, metric) in [
        "node_filesystem_size_bytes",
        "node_filesystem_free_bytes",
        "node_filesystem_avail_bytes",
        "node_filesystem_files",
        "node_filesystem_files_free",
        "node_filesystem_readonly",
    ]
    .into_iter()
    .enumerate()
    {
        page.kind(metric, "gauge");
        for (device, point, kind, sizes, read_only) in &found {
            let block = sizes.f_frsize as f64;
            let value = match place {
                0 => sizes.f_blocks as f64 * block,
                1 => sizes.f_bfree as f64 * block,
                2 => sizes.f_bavail as f64 * block,
                3 => sizes.f_files as f64,
                4 => sizes.f_ffree as f64,
                _ => f64::from(u8::from(*read_only)),
            };
            let labels = [
                ("device", device.as_str()),
                ("fstype", kind.as_str()),
                ("mountpoint", point.as_str()),
            ];
            page.put(metric, &labels, value);
        }
    }
}

fn uname(page: &mut Page) {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let (system, release) = (text(name.sysname()), text(name.release()));
    let (version, machine) = (text(name.version()), text(name.machine()));
    let node = text(name.nodename());
    page.kind("node_uname_info", "gauge");
    let labels = [
        ("sysname", system.as_str()),
        ("release", release.as_str()),
        ("version", version.as_str()),
        ("machine", machine.as_str()),
        ("nodename", node.as_str()),
    ];
    page.put("node_uname_info", &labels, 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let mut page = Page::default();
        stat(
            &mut page,
            "cpu  1 2\ncpu0 100 0 50 900 5 0 1 0 0 0\nctxt 77\nbtime 1700000000\n",
        );
        memory(
            &mut page,
            "MemTotal:  1024 kB\nActive(anon): 2 kB\nHugePages_Total: 3\n",
        );
        pressure(
            &mut page,
            "io",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n",
        );
        disks(
            &mut page,
            " 8 0 sda 1 0 8 500 2 0 16 30 0 40 70\n 8 1 sda1 1 0 8 5 2 0 16 3 0 4 7\n",
        );
        network(
            &mut page,
            "head\n eth0: 10 2 0 0 0 0 0 0 20 3 0 0 0 0 0 0\n",
        );
        for expected in [
            "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 9\n",
            "node_context_switches_total 77\n",
            "node_memory_MemTotal_bytes 1048576\n",
            "node_memory_Active_anon_bytes 2048\n",
            "node_memory_HugePages_Total 3\n",
            "node_pressure_io_waiting_seconds_total 2.5\n",
            "node_disk_read_bytes_total{device=\"sda\"} 4096\n",
            "node_network_transmit_bytes_total{device=\"eth0\"} 20\n",
        ] {
            assert!(
                page.text().contains(expected),
                "{expected} in {}",
                page.text()
            );
        }
        assert!(!page.text().contains("sda1"));
        assert!(
            is_part("nvme0n1p2") && !is_part("nvme0n1") && is_part("loop7") && !is_part("dm-0")
        );
    }

    #[test]
    fn this_machine_can_be_read() {
        let page = page();
        for metric in [
            "node_cpu_seconds_total",
            "node_memory_MemAvailable_bytes",
            "node_load1 ",
        ] {
            assert!(page.text().contains(metric), "{metric}");
        }
    }
}
