//! The status page on its way to the gateway: signed, and handed over whole.
//!
//! A thread of its own does it, because signals and the gateway may take a while to answer. What it is given while it
//! is busy is dropped: a later one comes, and a page that is late is only old.

use crate::state::State;
use mainstay_atoms::HostName;
use mainstay_faults::chain;
use mainstay_gateway_io::Client;
use mainstay_ledger_io::signing_seed;
use mainstay_signals_io::Client as SignalsClient;
use mainstay_status::{Page, State as Stands, key, overall};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long signals may take to say what came of checks.
const PATIENCE: Duration = Duration::from_secs(2);

/// A page that is to be published.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The host that answers it; none: every host.
    pub host: Option<HostName>,
    /// Its path.
    pub path: String,
    /// What it says of services; of checks and of the whole it says nothing yet.
    pub page: Page,
    /// Checks that it is to tell of.
    pub checks: Vec<String>,
}

/// What became of the last one.
#[derive(Debug, Clone, Default)]
struct Outcome {
    key: Option<String>,
    fault: Option<String>,
}

/// Publishes pages.
pub(crate) struct Publisher {
    orders: Option<SyncSender<Option<Announcement>>>,
    outcome: Arc<Mutex<Outcome>>,
}

impl Publisher {
    /// Begins; it ends when it is dropped.
    pub(crate) fn start(state: &State) -> Self {
        let (orders, inbox) = sync_channel(1);
        let outcome = Arc::<Mutex<Outcome>>::default();
        let desk = Press {
            state: state.clone(),
            seed: None,
            shows: true,
        };
        let told = outcome.clone();
        let thread = std::thread::Builder::new().name("status-page".into());
        let started = thread.spawn(move || desk.run(&inbox, &told));
        Self {
            orders: started.is_ok().then_some(orders),
            outcome,
        }
    }

    /// Publishes a page, or takes the one there is away.
    pub(crate) fn announce(&self, wanted: Option<Announcement>) {
        if let Some(orders) = &self.orders {
            // One that is busy is told again soon.
            orders.try_send(wanted).ok();
        }
    }

    fn outcome(&self) -> Outcome {
        let outcome = self.outcome.lock();
        outcome.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key that verifies the page, once one was signed.
    pub(crate) fn key(&self) -> Option<String> {
        self.outcome().key
    }

    /// Why the last page was not published, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        self.outcome().fault
    }
}

/// Where pages are signed.
struct Press {
    state: State,
    seed: Option<[u8; 32]>,
    /// Whether the gateway may have a page.
    shows: bool,
}

impl Press {
    fn run(mut self, inbox: &Receiver<Option<Announcement>>, told: &Mutex<Outcome>) {
        while let Ok(wanted) = inbox.recv() {
            let outcome = match wanted {
                None if !self.shows => continue,
                None => self.take_away(),
                Some(wanted) => self.publish(wanted),
            };
            *told.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        }
    }

    /// What nobody asks for is no fault: a gateway that is away has no page either.
    fn take_away(&mut self) -> Outcome {
        self.shows = self.hand(None).is_err();
        Outcome::default()
    }

    fn publish(&mut self, wanted: Announcement) -> Outcome {
        let signed = self.signed(wanted);
        let (key, page) = match signed {
            Ok((key, page)) => (Some(key), page),
            Err(why) => {
                let fault = Some(format!("the status page cannot be signed: {why}"));
                return Outcome { key: None, fault };
            }
        };
        self.shows = true;
        let handed = self.hand(Some(page)).err();
        let fault = handed.map(|why| format!("the status page is not shown: {why}"));
        Outcome { key, fault }
    }

    fn signed(
        &mut self,
        wanted: Announcement,
    ) -> Result<(String, mainstay_gateway_io::Page), String> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => signing_seed(&self.state.status_key()).map_err(|fault| chain(&fault))?,
        };
        self.seed = Some(seed);
        let Announcement {
            host,
            path,
            mut page,
            checks,
        } = wanted;
        let key = key(&seed, &page.platform, &page.environment);
        let key = key.map_err(|fault| fault.to_string())?;
        if !checks.is_empty() {
            page.checks = judged(checks, self.verdicts().as_ref());
        }
        page.state = overall(&page.services, &page.checks);
        let signed = page.sign(&key);
        let page = mainstay_gateway_io::Page {
            host,
            path,
            html: signed.html,
            json: signed.json,
        };
        Ok((key.public().to_string(), page))
    }

    /// What came of checks, as signals say it; nothing where they do not.
    fn verdicts(&self) -> Option<serde_json::Value> {
        let client = SignalsClient::new(&self.state.signals_socket(), PATIENCE);
        let (status, answer) = client.ask("GET", "/v1/checks", &[]).ok()?;
        let answer = (status == 200).then(|| serde_json::from_slice(&answer).ok());
        answer.flatten()
    }

    fn hand(&self, page: Option<mainstay_gateway_io::Page>) -> Result<(), String> {
        let client = Client::connect(&self.state.gateway_socket());
        let shown = client.and_then(|mut client| client.show(page));
        shown.map_err(|fault| chain(&fault))
    }
}

/// How checks stand; one that was not made yet, or of which nobody tells, is unknown.
fn judged(names: Vec<String>, answer: Option<&serde_json::Value>) -> BTreeMap<String, Stands> {
    let rows = answer.and_then(|answer| answer["data"].as_array());
    let judge = |name: String| {
        let mut rows = rows.into_iter().flatten();
        let row = rows.find(|row| row["check"] == name.as_str());
        let stands = match row.and_then(|row| row["success"].as_bool()) {
            None => Stands::Unknown,
            Some(true) => Stands::Ok,
            Some(false) => Stands::Down,
        };
        (name, stands)
    };
    names.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stands::{Down, Ok, Unknown};

    #[test]
    fn a_check_of_which_nobody_tells_is_unknown() {
        let answer = serde_json::json!({ "data": [
            { "check": "good", "success": true },
            { "check": "bad", "success": false },
            { "check": "new", "success": null },
        ]});
        let names = || ["good", "bad", "new", "gone"].map(str::to_owned).to_vec();
        let judged = |answer| {
            super::judged(names(), answer)
                .into_iter()
                .collect::<Vec<_>>()
        };
        let named = |states: [Stands; 4]| {
            let names = ["bad", "gone", "good", "new"].map(str::to_owned);
            names.into_iter().zip(states).collect::<Vec<_>>()
        };
        assert_eq!(judged(Some(&answer)), named([Down, Unknown, Ok, Unknown]));
        assert_eq!(judged(None), named([Unknown; 4]));
    }
}
