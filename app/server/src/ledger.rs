//! A halted ledger: why, what going on would give up, and going on.

use crate::api::{LedgerLoss, LedgerResumed, LossAccepted};
use crate::desk::{Office, Standing};
use crate::refused::{Answer, problem};
use crate::serve;
use axum::http::StatusCode;
use mainstay_atoms::Actor;
use mainstay_faults::chain;
use mainstay_world::{Halted, Loss, ResumeFault};

/// Why nothing is changed, what still works, and the ways out.
pub(crate) fn halted_why(halted: &Halted) -> String {
    let halt = &halted.halt;
    let ways = match &halted.loss {
        Some(_) => {
            "Two ways lead out: put the newer copy back and run `mainstay up`; or go on without what is gone: \
             `mainstay ledger resume` says what that is"
        }
        None => {
            "What is left was altered or cannot be read, so it cannot go on: put a sound copy back and run `mainstay \
             up`; or start anew: `mainstay up --state OTHER`"
        }
    };
    format!(
        "{halt}: the state was restored from an older copy, cut or altered. Traffic goes on and everything can be \
         read; nothing is changed. {ways}"
    )
}

/// What going on would give up.
pub(crate) fn loss(office: &mut Office) -> Result<LedgerLoss, Answer> {
    let Standing::Halted {
        why,
        history,
        halted,
    } = &office.standing
    else {
        return Err(sound());
    };
    let Some(loss) = &halted.loss else {
        return Err(altered(why));
    };
    let newest = history.releases.last_key_value();
    Ok(LedgerLoss {
        why: halted.halt.to_string(),
        timeline: loss.timeline.0,
        kept: loss.kept,
        kept_at_ms: halted.kept_at.map(|at| at.0),
        signed: loss.signed,
        signed_at_ms: loss.signed_at.0,
        place: loss.place.clone(),
        missing: loss.missing(),
        release: newest.map(|(number, _)| number.to_string()),
    })
}

/// Goes on; from then on the control plane works as after a start.
pub(crate) fn resume(
    office: &mut Office,
    accepted: LossAccepted,
    by: &Actor,
) -> Result<LedgerResumed, Answer> {
    let state = office.state();
    let Standing::Halted {
        why,
        history,
        halted,
    } = &mut office.standing
    else {
        return Err(sound());
    };
    let Some(loss) = halted.loss.clone() else {
        return Err(altered(why));
    };
    if (accepted.kept, accepted.missing) != (loss.kept, loss.missing()) {
        return Err(another(&loss));
    }
    let order = (&loss, by.clone());
    let resumed = mainstay_world::resume(&state, &office.options.binary, halted, history, order);
    let (history, world) = resumed.map_err(|fault| refused(&fault))?;
    office.standing = serve::working(history, world).map_err(|fault| {
        let hint = Some("`mainstay up` starts the control plane again");
        let code = StatusCode::INTERNAL_SERVER_ERROR;
        problem(code, "not_started", &chain(&fault), hint, 2)
    })?;
    Ok(LedgerResumed {
        timeline: loss.timeline.0,
        kept: loss.kept,
        missing: loss.missing(),
        by: by.to_string(),
    })
}

fn sound() -> Answer {
    let message = "the ledger is not halted; there is nothing to resume";
    problem(StatusCode::CONFLICT, "not_halted", message, None, 1)
}

fn altered(why: &str) -> Answer {
    let hint = Some("put a sound copy of the state back and run `mainstay up`");
    problem(StatusCode::CONFLICT, "altered", why, hint, 4)
}

fn another(loss: &Loss) -> Answer {
    let message = format!(
        "{} of {} signed entries are gone; the accepted loss is another",
        loss.missing(),
        loss.signed
    );
    let hint = Some("look again: `mainstay ledger resume`");
    problem(StatusCode::CONFLICT, "another_loss", &message, hint, 1)
}

fn refused(fault: &ResumeFault) -> Answer {
    match fault {
        ResumeFault::Sound => sound(),
        ResumeFault::Moved { found } => another(found),
        ResumeFault::Altered { .. } | ResumeFault::Halted(_) => altered(&chain(fault)),
        ResumeFault::Open(_) | ResumeFault::Append(_) | ResumeFault::File { .. } => {
            let hint = Some("`mainstay doctor` looks at the disk and the state folder");
            let code = StatusCode::INSUFFICIENT_STORAGE;
            problem(code, "not_recorded", &chain(fault), hint, 2)
        }
    }
}
