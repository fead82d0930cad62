//! What a person may order of a canary.

use super::state::{Abort, Pause, Phase, State};
use mainstay_atoms::Share;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An order; each is given to [`decide`](super::decide) once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// On to the next stage now; from the bake: done.
    Promote,
    /// On to all of the traffic now.
    PromoteFully,
    /// Stay, and stop counting the hold.
    Pause,
    /// Go on; after a pause for doubt the stage is judged anew.
    Resume,
    /// Begin anew after an abort.
    Retry,
    /// Give the traffic back and stop.
    Abort,
}

/// An order without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignored {
    /// The order.
    pub order: Order,
    /// Why it had none.
    pub why: &'static str,
}

impl fmt::Display for Ignored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} had no effect: {}", self.order, self.why)
    }
}

/// Carries an order out on the state; `stages` is how many stages come before the bake, `weight` the share
/// of the present one.
pub(super) fn obey(
    state: &mut State,
    order: Order,
    stages: usize,
    weight: Share,
) -> Result<(), Ignored> {
    let because = |why| Err(Ignored { order, why });
    match (&mut state.phase, order) {
        (Phase::Aborted { .. }, Order::Retry) => {
            state.retry();
            Ok(())
        }
        (Phase::Done, _) => because("the release is done; a rollback takes it back"),
        (Phase::Aborted { .. }, _) => because("the release was aborted; a retry begins anew"),
        (Phase::Aborting { .. } | Phase::Stopping { .. }, _) => because("it is being aborted"),
        (_, Order::Retry) => because("it was not aborted"),
        (_, Order::Abort) => {
            state.abort(Abort::Ordered);
            Ok(())
        }
        (Phase::Starting { .. }, _) => because("its instances are not ready yet"),
        (Phase::Stage { paused, .. }, Order::Pause) => {
            // A pause for doubt stays one: it asks for more than a resume.
            paused.get_or_insert(Pause::Ordered);
            Ok(())
        }
        (Phase::Stage { paused, .. }, Order::Resume) => match paused.take() {
            None => because("it is not paused"),
            Some(Pause::Ordered) => Ok(()),
            Some(_) => {
                state.judge_anew();
                Ok(())
            }
        },
        (
            Phase::Stage {
                stage,
                reached: false,
                ..
            },
            Order::Promote,
        ) if *stage == stages => because("the gateway does not give it all of the traffic yet"),
        (Phase::Stage { stage, .. }, Order::Promote) => {
            let next = *stage + 1;
            state.go_on(next, stages, weight);
            Ok(())
        }
        (Phase::Stage { stage, .. }, Order::PromoteFully) if *stage < stages => {
            state.go_on(stages, stages, weight);
            Ok(())
        }
        (Phase::Stage { .. }, Order::PromoteFully) => because("it has all of the traffic"),
    }
}
