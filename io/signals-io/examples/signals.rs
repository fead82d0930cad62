//! `signals FOLDER SOCKET`: the process alone, as tests and benchmarks start it. Messages go nowhere,
//! and heartbeats fail while there is a file `deaf` in the folder.

use mainstay_alerting::Outcome;
use mainstay_signals_io::{Errand, Settings, SignalsFault, Tried, run};

fn main() -> Result<(), SignalsFault> {
    let mut arguments = std::env::args_os().skip(1);
    let settings = Settings {
        folder: arguments.next().unwrap_or_default().into(),
        socket: arguments.next().unwrap_or_default().into(),
    };
    let deaf = settings.folder.join("deaf");
    let deliver = move |errand, report: &mainstay_signals_io::Report| match errand {
        Errand::Message(notification) => report.done(notification.id, Outcome::Accepted),
        Errand::Trial(notification, trial) => trial.tell(Tried {
            title: notification.group_key,
            answer: "taken".into(),
            ..Tried::default()
        }),
        Errand::Beat(_) if deaf.exists() => report.beaten(Outcome::Refused {
            why: "nobody listens".into(),
        }),
        Errand::Beat(_) => report.beaten(Outcome::Accepted),
        Errand::Allow(_) => {}
    };
    run(&settings, Box::new(deliver))
}
