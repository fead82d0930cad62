//! `mainstay-load ADDRESS RATE SECONDS [key=value…]`, with the keys `host`, `path`, `protocol`
//! (`http1`, `http2`), `connections` and `timeout_ms`: prints the summary as JSON.
#![expect(clippy::print_stdout, reason = "a load generator prints its summary")]

use anyhow::{Context, Result, bail};
use mainstay_bench::load::{Plan, Protocol, run};
use std::time::Duration;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, rate, seconds, rest @ ..] = &arguments[..] else {
        bail!("usage: mainstay-load ADDRESS RATE SECONDS [key=value…]");
    };
    let mut plan = Plan::new(target.parse()?, rate.parse()?);
    plan.duration = Some(Duration::from_secs_f64(seconds.parse()?));
    for pair in rest {
        let (key, value) = pair.split_once('=').context("an argument without `=`")?;
        match key {
            "host" => plan.host = value.into(),
            "path" => plan.path = value.into(),
            "connections" => plan.connections = value.parse()?,
            "timeout_ms" => plan.timeout = Duration::from_millis(value.parse()?),
            "protocol" if value == "http1" => plan.protocol = Protocol::Http1,
            "protocol" if value == "http2" => plan.protocol = Protocol::Http2,
            _ => bail!("no `{key}` of `{value}`"),
        }
    }
    println!("{}", serde_json::to_string_pretty(&run(plan)?)?);
    Ok(())
}
