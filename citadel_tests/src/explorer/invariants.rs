//! What must hold of two ends at every moment, and what at rest.

use super::end::Picture;
use super::step::{Breach, breach};
use crate::rekey::{Lifecycle, Phase, Version};

/// I1, I2, I4, I5, I6; one end alone cannot see them. I3 shows as a close.
pub(super) fn check(a: &Picture, b: &Picture) -> Result<(), Breach> {
    check_history(a, b)?;
    check_distance(a, b)?;
    for (x, y) in [(a, b), (b, a)] {
        check_answered(x, y)?;
        check_readable(x, y)?;
    }
    if let (Phase::Confirming { round: x, .. }, Phase::Confirming { round: y, .. }) = (a.phase, b.phase) {
        return breach(format!("I5: both confirm, {x:?} and {y:?}"));
    }
    Ok(())
}

/// I1: the same rounds led both to the same keys.
fn check_history(a: &Picture, b: &Picture) -> Result<(), Breach> {
    for (index, (x, y)) in a.chain.iter().zip(&b.chain).enumerate() {
        if x != y {
            return breach(format!(
                "I1: version {} is {:?} here and {:?} there",
                index + 1,
                x.round,
                y.round
            ));
        }
    }
    Ok(())
}

/// I2: at most one ahead, and only between the two commits of one round.
fn check_distance(a: &Picture, b: &Picture) -> Result<(), Breach> {
    if a.latest == b.latest {
        return Ok(());
    }
    let (ahead, behind) = if a.latest > b.latest { (a, b) } else { (b, a) };
    if let (Phase::Confirming { round: x, .. }, Phase::Answered { round: y, .. }) =
        (ahead.phase, behind.phase)
        && x == y
        && ahead.latest == behind.latest.next()
        && x.version == ahead.latest
    {
        return Ok(());
    }
    breach(format!("I2: {:?} and {:?} in {:?} and {:?}", a.latest, b.latest, a.phase, b.phase))
}

/// I4: whoever answered is awaited, or will be told.
fn check_answered(x: &Picture, y: &Picture) -> Result<(), Breach> {
    let Phase::Answered { round, .. } = x.phase else { return Ok(()) };
    let awaited = match y.phase {
        Phase::Offered { round: other, .. } | Phase::Confirming { round: other, .. } => other == round,
        _ => false,
    };
    if awaited || y.floor >= round.attempt.0 {
        return Ok(());
    }
    breach(format!("I4: {round:?} is answered, its owner in {:?} with floor {}", y.phase, y.floor))
}

/// I6: what `x` seals now, `y` opens.
fn check_readable(x: &Picture, y: &Picture) -> Result<(), Breach> {
    let key = x.fingerprint(x.latest);
    if key.is_some() && y.opens(x.latest) == key {
        return Ok(());
    }
    breach(format!(
        "I6: what is sealed under {:?} does not open at {:?} ..= {:?}",
        x.latest, y.earliest, y.latest
    ))
}

/// I12 and agreement, with nothing in flight and nothing to come: idle, equal, no want and no promise open.
/// Beside an end that halted, offers go unheard, so the other one may keep its own.
pub(super) fn check_rest(a: &Picture, b: &Picture) -> Result<(), Breach> {
    if a.latest != b.latest {
        return breach(format!("at rest with {:?} and {:?}", a.latest, b.latest));
    }
    for (x, y) in [(a, b), (b, a)] {
        let unheard = y.lifecycle == Lifecycle::Halted;
        let idle = match x.phase {
            Phase::Idle { held } => held.is_none(),
            Phase::Offered { .. } => unheard,
            _ => false,
        };
        if !idle || x.lifecycle == Lifecycle::Halting {
            return breach(format!("at rest in {:?}, {:?}", x.phase, x.lifecycle));
        }
        let open = x.promised.max(x.want.filter(|want: &Version| *want > x.latest));
        if let Some(version) = open
            && !unheard
        {
            return breach(format!("I12: at rest, and {version:?} was asked for and not reached"));
        }
    }
    Ok(())
}
