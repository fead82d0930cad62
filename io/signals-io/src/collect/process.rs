//! Processes of instances with everything that they started, from the kernel's files.

use super::Page;
use crate::config::Process;
use std::collections::HashMap;

/// Kernel ticks of a second in `/proc`, the same on all machines that Linux runs on (`USER_HZ`).
const TICKS: f64 = 100.0;

/// What is known of one process.
#[derive(Debug, Clone, Copy, Default)]
struct Stat {
    parent: i32,
    cpu_seconds: f64,
    threads: f64,
    started_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

fn stat(text: &str) -> Option<Stat> {
    // The name may hold blanks and parentheses; fields are counted behind its last one.
    let (_, rest) = text.rsplit_once(')')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| words.get(place)?.parse::<f64>().ok();
    Some(Stat {
        parent: words.get(1)?.parse().ok()?,
        cpu_seconds: (number(11)? + number(12)?) / TICKS,
        threads: number(17)?,
        started_ticks: number(19)?,
        virtual_bytes: number(20)?,
        resident_pages: number(21)?,
    })
}

fn all() -> HashMap<i32, Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((pid, stat(&text)?))
    });
    found.collect()
}

/// A process and everything below it.
fn family(first: i32, all: &HashMap<i32, Stat>, children: &HashMap<i32, Vec<i32>>) -> Vec<i32> {
    let mut family = Vec::new();
    let mut next = vec![first];
    while let Some(pid) = next.pop() {
        if all.contains_key(&pid) && !family.contains(&pid) {
            family.push(pid);
            next.extend(children.get(&pid).into_iter().flatten());
        }
    }
    family
}

/// What these instances use.
pub(super) fn page(processes: &[Process]) -> Page {
    let all = all();
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, stat) in &all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let page_bytes = rustix::param::page_size() as f64;
    let boot = boot_seconds();
    let families: Vec<(&Process, Vec<i32>)> = processes
        .iter()
        .map(|one| (one, family(one.pid, &all, &children)))
        .filter(|(_, family)| !family.is_empty())
        .collect();
    let mut page = Page::default();
    let sum = |family: &[i32], part: fn(&Stat) -> f64| {
        family.iter().map(|pid| part(&all[pid])).sum::<f64>()
    };
    for (metric, kind) in [
        ("process_cpu_seconds_total", "counter"),
        ("container_cpu_usage_seconds_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
        ("container_memory_rss", "gauge"),
        ("process_virtual_memory_bytes", "gauge"),
        ("process_start_time_seconds", "gauge"),
        ("process_open_fds", "gauge"),
        ("container_threads", "gauge"),
        ("container_processes", "gauge"),
    ] {
        page.kind(metric, kind);
        for (one, family) in &families {
            let value = match metric {
                "process_cpu_seconds_total" | "container_cpu_usage_seconds_total" => {
                    sum(family, |stat| stat.cpu_seconds)
                }
                "process_resident_memory_bytes" | "container_memory_rss" => {
                    sum(family, |stat| stat.resident_pages) * page_bytes
                }
                "process_virtual_memory_bytes" => sum(family, |stat| stat.virtual_bytes),
                "process_start_time_seconds" => boot + all[&one.pid].started_ticks / TICKS,
                "process_open_fds" => family.iter().map(|pid| descriptors(*pid)).sum(),
                "container_threads" => sum(family, |stat| stat.threads),
                _ => family.len() as f64,
            };
            let labels = [
                ("service", one.service.as_str()),
                ("instance", one.instance.as_str()),
                ("release", one.release.as_str()),
            ];
            page.put(metric, &labels, value);
        }
    }
    page
}

fn descriptors(pid: i32) -> f64 {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0.0, |found| found.count() as f64)
}

fn boot_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_counted() {
        let one = Process {
            service: "api".into(),
            instance: "api.v1.1".into(),
            release: "v1".into(),
            pid: std::process::id().cast_signed(),
        };
        let page = page(&[one]);
        let begin =
            "process_resident_memory_bytes{service=\"api\",instance=\"api.v1.1\",release=\"v1\"} ";
        let line = page
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(begin));
        let bytes: f64 = line.unwrap().parse().unwrap();
        assert!(bytes > 1e6, "{bytes}");
        assert_eq!(stat("1 (a) b) c) S 2 3").map(|stat| stat.parent), None);
    }
}
