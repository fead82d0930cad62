//! A gateway by itself, for tests and benchmarks: `gateway SOCKET TABLE [key=value…]`, where a key is
//! `workers`, `adoption`, `head`, `body`, `idle`, `stall`, `connect`, `response`, `copy`, `pooled`, `drain`,
//! `grace`, `beside` (milliseconds) or `connections`.

use mainstay_gateway_io::{Config, run};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(socket), Some(table)) = (arguments.next(), arguments.next()) else {
        return Err("usage: gateway SOCKET TABLE [key=value…]".into());
    };
    let mut config = Config::new(socket, table);
    for argument in arguments {
        let (key, value) = argument.split_once('=').ok_or("an argument without `=`")?;
        set(&mut config, key, value.parse()?)?;
    }
    Ok(run(config)?)
}

fn set(config: &mut Config, key: &str, value: u32) -> Result<(), String> {
    let span = Duration::from_millis(value.into());
    let limits = &mut config.limits;
    match key {
        "workers" => config.workers = std::num::NonZeroUsize::new(value as usize),
        "connections" => limits.connections = value as usize,
        "adoption" => config.adoption = span,
        "head" => limits.head = span,
        "body" => limits.body = span,
        "idle" => limits.idle = span,
        "stall" => limits.stall = span,
        "connect" => limits.connect = span,
        "response" => limits.response = span,
        "copy" => limits.copy = span,
        "pooled" => limits.pooled = span,
        "drain" => limits.drain = span,
        "grace" => limits.grace = span,
        "beside" => config.beside = Some(span),
        _ => return Err(format!("no key `{key}`")),
    }
    Ok(())
}
