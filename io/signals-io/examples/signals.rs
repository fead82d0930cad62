//! `signals FOLDER SOCKET`: the process alone, as tests and benchmarks start it. Messages go nowhere.

use mainstay_alerting::Outcome;
use mainstay_signals_io::{Settings, SignalsFault, run};

fn main() -> Result<(), SignalsFault> {
    let mut arguments = std::env::args_os().skip(1);
    let settings = Settings {
        folder: arguments.next().unwrap_or_default().into(),
        socket: arguments.next().unwrap_or_default().into(),
    };
    run(
        &settings,
        Box::new(|notification, report| report.done(notification.id, Outcome::Accepted)),
    )
}
