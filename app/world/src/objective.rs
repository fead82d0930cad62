//! How objectives stand, asked of signals within a moment: whoever looks at the platform does not wait for it.

use crate::state::State;
use mainstay_alerting::budget::{QUERY, Standing, standing};
use mainstay_alerting::slo::{Objective, ObjectiveKind, SloFile};
use mainstay_signals_io::{Client, Reading};
use mainstay_spec::Platform;
use std::time::Duration;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// An objective of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Aim {
    /// As the file says it: `99.9% over 30d`.
    pub text: String,
    /// As it was read.
    pub objective: Objective,
}

impl Aim {
    /// The key under `slo`.
    pub fn key(&self) -> &'static str {
        match self.objective.kind {
            ObjectiveKind::Availability => "availability",
            ObjectiveKind::Latency(_) => "latency",
        }
    }
}

/// The objectives of a platform; they were judged before they were shipped, and what cannot be read is left out.
pub fn aims(platform: &Platform) -> Vec<Aim> {
    let mut aims = Vec::new();
    for (name, service) in &platform.services {
        let Some(slo) = &service.slo else { continue };
        for (availability, latency) in [(&slo.availability, &None), (&None, &slo.latency)] {
            let file = SloFile {
                service: name.to_string(),
                availability: availability.clone(),
                latency: latency.clone(),
            };
            let Some(text) = file.availability.clone().or(file.latency.clone()) else {
                continue;
            };
            let read = file.read().unwrap_or_default();
            aims.extend(read.into_iter().map(|objective| Aim {
                text: text.clone(),
                objective,
            }));
        }
    }
    aims
}

/// How each of these stands; or why nobody knows. Takes a third of a second at most.
pub fn standings(state: &State, aims: &[Aim]) -> Result<Vec<Standing>, String> {
    let seen = match Client::new(&state.signals_socket(), PATIENCE).query(QUERY) {
        Reading::Values(seen) => seen,
        Reading::NoData => vec![],
        Reading::Away { why } => return Err(why),
    };
    Ok(aims
        .iter()
        .map(|aim| standing(&aim.objective, &seen))
        .collect())
}
