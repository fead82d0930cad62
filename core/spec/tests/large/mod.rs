//! A stored generator for a large platform; the benchmark measures the same file.

use std::fmt::Write as _;

/// A file of so many services, each needing the one before; a thousand stay below 300 KB.
pub(crate) fn many_services(count: usize) -> String {
    let mut text = "mainstay: 1\nname: large\n\nservices:\n".to_owned();
    for at in 0..count {
        write!(
            text,
            "  service-{at}:
    run: ./bin/service-{at} --verbose
    port: {port}
    needs: [{needs}]
    replicas: 2
    ready: {{ path: /ready, every: 2s }}
    size: {{ cpu: 100m..500m, memory: 128Mi }}
    env: {{ LEVEL: info, SHARD: {at} }}
    deploy: {{ rolling: {{ surge: 1 }} }}
",
            port = 10_000 + at,
            needs = if at == 0 {
                String::new()
            } else {
                format!("service-{}", at - 1)
            },
        )
        .expect("a String takes everything");
    }
    text.push_str("\ndomains:\n  large.example:\n    routes:\n");
    for at in 0..count {
        writeln!(text, "      /service-{at}: service-{at}").expect("a String takes everything");
    }
    text
}
