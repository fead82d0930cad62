//! `bench NAME`: prints the report of one measurement as JSON, the figure last.
#![expect(clippy::print_stdout, reason = "a benchmark prints its report")]

use anyhow::{Context, Result, bail};
use mainstay_bench::{
    crash, deploys, fleet, footprint, gateway, ledger, shift, signals, spec, upgrade, upstream,
    ways,
};
use mainstay_gateway_io::Config;
use mainstay_signals_io::Settings;

const USAGE: &str = "usage: bench gateway [PAIRS [SECONDS [CONNECTIONS]]] | gateway-trial [PAIRS [SECONDS [CONNECTIONS]]] | shift [TABLES [WORKERS [CLIENTS]]] | crash [KILLS [SEED [RATE]]] | deploys [COUNT [RATE]] | control [COUNT [RATE]] | ways [COUNT [RATE]] | upgrade [COUNT [RATE [SOCKETS]]] | upgrade-control [COUNT [RATE [SOCKETS]]] | footprint | fleet [SERVICES [REPLICAS [SECONDS]]] | ledger [SECONDS [FOLDER]] | signals [TARGETS [EVERY_MS [SECONDS [PEER]]]] | signals-kills [KILLS [SEED [TARGETS [EVERY_MS]]]] | spec [ROUNDS]";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| match arguments.get(at) {
        Some(text) => text
            .parse()
            .with_context(|| format!("`{text}` is not a number")),
        None => Ok(otherwise),
    };
    match arguments.first().map(String::as_str) {
        Some(name @ ("gateway" | "gateway-trial")) => {
            let plan = gateway::Plan {
                pairs: usize::try_from(number(1, 15)?)?,
                seconds: number(2, 2)?,
                connections: usize::try_from(number(3, 64)?)?,
                trial: name == "gateway-trial",
            };
            let report = gateway::measure(plan)?;
            println!("{}", serde_json::to_string_pretty(&report)?);
            println!("{report}");
        }
        Some(name @ ("deploys" | "control")) => {
            let plan = deploys::Plan {
                deploys: u32::try_from(number(1, 200)?)?,
                rate: f64::from(u32::try_from(number(2, 1000)?)?),
                control: name == "control",
            };
            let report = deploys::measure(plan)?;
            println!("{}", serde_json::to_string_pretty(&report)?);
            println!(
                "{} deploys, {} of {} requests lost",
                report.deploys, report.lost, report.requests
            );
        }
        Some("ways") => ways_of(number(1, 1000)?, number(2, 2000)?)?,
        Some(name @ ("upgrade" | "upgrade-control")) => {
            let plan = upgrade::Plan {
                upgrades: u32::try_from(number(1, 5)?)?,
                rate: f64::from(u32::try_from(number(2, 1000)?)?),
                sockets: usize::try_from(number(3, 20)?)?,
                control: name == "upgrade-control",
            };
            let report = upgrade::measure(plan)?;
            println!("{}", serde_json::to_string_pretty(&report)?);
            println!(
                "{} upgrades, {} of {} requests lost, {} of {} sockets kept, longest {} ms",
                report.upgrades,
                report.lost,
                report.requests,
                report.sockets_kept,
                plan.sockets,
                report.upgrade_ms.0
            );
        }
        Some("crash") => {
            let plan = crash::Plan {
                kills: u32::try_from(number(1, 1000)?)?,
                seed: number(2, 1)?,
                rate: f64::from(u32::try_from(number(3, 30)?)?),
            };
            let report = crash::measure(plan)?;
            println!("{}", serde_json::to_string_pretty(&report)?);
            println!("{report}");
            anyhow::ensure!(report.broken.is_empty(), "not everything held");
        }
        Some("footprint") => println!("{}", serde_json::to_string_pretty(&footprint::measure()?)?),
        Some("fleet") => {
            let plan = fleet::Plan {
                services: u32::try_from(number(1, 50)?)?,
                replicas: u32::try_from(number(2, 3)?)?,
                seconds: number(3, 20)?,
            };
            println!("{}", serde_json::to_string_pretty(&fleet::measure(plan)?)?);
        }
        Some("ledger") => {
            let folder = arguments.get(2).map_or("target", String::as_str);
            let report = ledger::measure(folder.as_ref(), number(1, 10)?)?;
            println!("{}", serde_json::to_string_pretty(&report)?);
            println!("{report}");
        }
        Some("shift") => shifts(&number)?,
        Some("spec") => spec_rounds(number(1, 40)?)?,
        Some("signals") => signals_beside_prometheus(&number)?,
        Some("signals-kills") => signals_killed(&number)?,
        // What `gateway`, `shift` and `signals` start.
        Some("signals-process") => signals_process(&arguments)?,
        Some("upstream") => {
            let port = u16::try_from(number(1, 0)?)?;
            upstream::serve(([127, 0, 0, 1], port).into())?;
        }
        Some("process") => {
            let workers = usize::try_from(number(3, 1)?)?;
            process(&arguments, workers)?;
        }
        _ => bail!(USAGE),
    }
    Ok(())
}

/// A gateway by itself.
fn process(arguments: &[String], workers: usize) -> Result<()> {
    let place = |at: usize| arguments.get(at).context("a path is missing");
    let mut config = Config::new(place(1)?, place(2)?);
    config.workers = std::num::NonZeroUsize::new(workers);
    mainstay_gateway_io::run(config)?;
    Ok(())
}

fn shifts(number: &impl Fn(usize, u64) -> Result<u64>) -> Result<()> {
    let plan = shift::Plan {
        tables: number(1, 100)?,
        workers: usize::try_from(number(2, 3)?)?,
        clients: usize::try_from(number(3, 12)?)?,
    };
    println!("{}", serde_json::to_string_pretty(&shift::measure(plan)?)?);
    Ok(())
}

fn signals_beside_prometheus(number: &impl Fn(usize, u64) -> Result<u64>) -> Result<()> {
    let plan = signals::Plan {
        targets: usize::try_from(number(1, 6)?)?,
        every_ms: number(2, 15_000)?,
        seconds: number(3, 120)?,
        peer: number(4, 1)? == 1,
    };
    let report = signals::measure(plan, &[&own()?, "signals-process"])?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn signals_killed(number: &impl Fn(usize, u64) -> Result<u64>) -> Result<()> {
    let plan = signals::kills::Plan {
        kills: u32::try_from(number(1, 200)?)?,
        seed: number(2, 1)?,
        targets: usize::try_from(number(3, 50)?)?,
        every_ms: number(4, 5000)?,
    };
    let report = signals::kills::measure(plan, &[&own()?, "signals-process"])?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    anyhow::ensure!(
        report.pushed_lost + report.scraped_lost == 0,
        "something was lost"
    );
    Ok(())
}

/// The path of this program, which is each process that it starts.
fn own() -> Result<String> {
    let own = std::env::current_exe()?.into_os_string();
    own.into_string().ok().context("the path is not UTF-8")
}

fn spec_rounds(rounds: u64) -> Result<()> {
    let report = spec::measure(usize::try_from(rounds)?)?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn signals_process(arguments: &[String]) -> Result<()> {
    let place = |at: usize| arguments.get(at).context("a path is missing");
    let settings = Settings {
        folder: place(1)?.into(),
        socket: place(2)?.into(),
    };
    Ok(mainstay_signals_io::run(&settings, Box::new(|_, _| ()))?)
}

fn ways_of(deploys: u64, rate: u64) -> Result<()> {
    let rate = f64::from(u32::try_from(rate)?);
    let report = ways::measure(u32::try_from(deploys)?, rate)?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    println!(
        "{} releases served, {} aborted, {} superseded; {} of {} requests lost",
        report.served, report.aborted, report.superseded, report.lost, report.requests
    );
    Ok(())
}
