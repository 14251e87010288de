//! What must hold after every step, and what must be true when all is over.

use super::{End, World};
use citadel_crypt::ratchets::rekey::{Fatal, Lifecycle, Phase, Side, Version};

impl World {
    /// I1, I2, I5, I6 and one secret per end; after every step.
    pub(super) fn check_step(&self) {
        let (a, b) = (self.end(Side::Initiator), self.end(Side::Responder));
        for (x, y) in a.history.iter().zip(&b.history) {
            assert_eq!((x.version, x.round, x.signed), (y.version, y.round, y.signed), "I1");
            assert_ne!(x.role, y.role, "I1: {x:?}");
        }
        for (version, fingerprint) in &a.fingerprints {
            let other = b.fingerprints.get(version);
            assert!(other.is_none_or(|f| f == fingerprint), "keys differ at {version:?}");
        }
        let (va, vb) = (a.machine().view(), b.machine().view());
        assert!(va.latest.0.abs_diff(vb.latest.0) <= 1, "I2: {va:?} {vb:?}");
        let is_confirming = |phase| matches!(phase, Phase::Confirming { .. });
        assert!(!(is_confirming(va.phase) && is_confirming(vb.phase)), "I5");
        // What a closed end held is gone; only its numbers are left to compare.
        let is_closed = a.closed.or(b.closed).is_some();
        if va.latest != vb.latest && !is_closed {
            let (ahead, behind) = if va.latest > vb.latest { (&va, &vb) } else { (&vb, &va) };
            let is_one_round = matches!((ahead.phase, behind.phase), (
                Phase::Confirming { round: x, .. },
                Phase::Answered { round: y, .. },
            ) if x == y);
            assert!(is_one_round, "I2: {ahead:?} {behind:?}");
        }
        for (end, peer) in [(a, b), (b, a)] {
            let (latest, peer) = (end.machine().latest(), peer.machine());
            let is_readable = peer.earliest() <= latest && latest <= peer.latest();
            let is_candidate = peer.candidate_version() == Some(latest);
            assert!(is_closed || is_readable || is_candidate, "I6");
            assert_eq!(end.secrets().now(), usize::from(end.machine().view().round_secrets), "I9");
            assert!(end.secrets().most() <= 1, "I9");
        }
    }

    /// Comes to rest and checks that nothing is left and nothing forbidden happened; prints the setup, with its
    /// seed, if not.
    pub fn finish(mut self) {
        self.settle();
        assert!(self.network.is_empty());
        for side in [Side::Initiator, Side::Responder] {
            self.check_end(side);
        }
        let (a, b) = (self.end(Side::Initiator), self.end(Side::Responder));
        assert_eq!(a.machine().latest(), b.machine().latest(), "{:?}", self.setup());
        assert_eq!(a.fingerprints, b.fingerprints, "{:?}", self.setup());
        assert_eq!(outcomes(a), outcomes(b), "{:?}", self.setup());
    }

    /// As [`finish`](Self::finish), where `closed` has ended the session with `fatal`: there nothing is left, and
    /// what its peer still holds goes with the session.
    pub fn finish_closed(self, closed: Side, fatal: Fatal) {
        let end = self.end(closed);
        let view = end.machine().view();
        assert_eq!(
            (end.closed, view.lifecycle),
            (Some(fatal), Lifecycle::Closed(fatal)),
            "{:?}",
            self.setup()
        );
        assert_eq!((view.phase, view.want, view.round_secrets), (Phase::Idle { held: None }, None, 0));
        assert_eq!((end.machine().poll_timeout(), end.secrets().now()), (None, 0));
        assert!(end.calls.iter().all(|call| call.result.is_some()));
        assert_eq!(self.end(closed.peer()).closed, None);
    }

    fn check_end(&self, side: Side) {
        let (end, setup) = (self.end(side), self.setup());
        let view = end.machine().view();
        assert_eq!(view.phase, Phase::Idle { held: None }, "{setup:?}");
        assert_eq!((view.want, view.round_secrets, end.secrets().now()), (None, 0, 0), "{setup:?}");
        assert!(view.draining.is_empty() && end.owes_nothing(), "{setup:?}");
        assert!(end.calls.iter().all(|call| call.result.is_some()), "{setup:?}");
        assert_eq!(end.closed, None, "{setup:?}");
        assert_eq!(end.unopened, 0, "{setup:?}");
        assert!(!setup.link.ordered || end.expired == 0, "{} expired {setup:?}", end.expired);
        let is_halted = view.lifecycle == Lifecycle::Halted;
        assert_eq!(end.halted, u32::from(is_halted), "{setup:?}");
        assert!(is_halted || view.earliest == view.latest, "{setup:?}");
        let live: Vec<Version> = (view.earliest.0..=view.latest.0).map(Version).collect();
        assert_eq!(end.keys().live(), live, "{setup:?}");
    }
}

fn outcomes(end: &End) -> Vec<(u64, bool)> {
    end.history.iter().map(|o| (o.version.0, o.signed)).collect()
}
