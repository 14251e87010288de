//! Hybrid key agreement for rekey rounds: X25519 and ML-KEM, confirmed by tags, signed where flag S is set.
//!
//! Owns: root and transcript hash of the latest committed version, the making and checking of offers and answers.
//! Never: the decision which round counts (the rekey machine), bytes on the wire (`wire::rekey`).
//!
//! Invariants: a signature is checked before anything is derived from what it covers; nothing of the committed
//! version changes before [`commit`](KeyAgreement::commit), which wipes the old root.

use super::ratchet::{Kit, Ratchet, RatchetConfig};
use super::rekey::{AgreementError, KeyAgreement, RoundId, Side};
use super::schedule::{InitialSecrets, RoundTranscript, VersionSecrets, round_bytes};
use super::toolset::{SessionFacts, Toolset};
use crate::identity::{HybridSignature, Identity, IdentityPublic};
use crate::labels;
use crate::secret::Secret;
use crate::suite::{CryptoError, CryptoProvider, DhKey, KemKey, kdf};
use core::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Own identity and the peer's, for signed rounds.
pub type Identities = (Arc<Identity>, IdentityPublic);

/// The native key agreement of a session.
pub struct HybridAgreement {
    session: SessionFacts,
    kit: Arc<Kit>,
    identities: Option<Identities>,
    root: Secret<32>,
    th: [u8; 32],
}

/// Private keys of an own offer (its *constructor*). The providers wipe them on drop.
pub struct OfferSecret {
    dh: Box<dyn DhKey>,
    kem: Box<dyn KemKey>,
}

/// Public body of `AliceToBob`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HybridOffer {
    pub(crate) share: [u8; 32],
    pub(crate) kem_key: Box<[u8]>,
    pub(crate) signature: Option<HybridSignature>,
}

/// Public body of `BobToAlice`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HybridAnswer {
    pub(crate) share: [u8; 32],
    pub(crate) ciphertext: Box<[u8]>,
    pub(crate) confirm: ConfirmTag,
    pub(crate) signature: Option<HybridSignature>,
}

/// HMAC of a round's transcript hash; compared in constant time.
#[derive(Clone)]
pub struct ConfirmTag(pub(crate) [u8; 32]);

/// A version that is derived but not committed.
pub struct Candidate {
    ratchet: Ratchet,
    root: Secret<32>,
    confirm_a: Secret<32>,
    th: [u8; 32],
}

impl Candidate {
    /// Its keys, to open a record with that came on a path in use. They seal nothing before the commit.
    pub fn ratchet_mut(&mut self) -> &mut Ratchet {
        &mut self.ratchet
    }
}

impl InitialSecrets {
    /// The keys of a new session at the end `side`: its window with version 0, and the agreement that renews it.
    /// `config` may be a [`SecrecyMode`](crate::SecrecyMode). Rounds can be signed if there are `identities`.
    pub fn into_parts(
        self,
        provider: Arc<dyn CryptoProvider>,
        side: Side,
        config: impl Into<RatchetConfig>,
        identities: Option<Identities>,
    ) -> (Toolset, HybridAgreement) {
        let config = config.into();
        let kit = Arc::new(Kit { provider, aead: self.suite.aead, config });
        let (secrets, resumption) = VersionSecrets::initial(&self, config.mode);
        let session = SessionFacts { id: self.session_id, suite: self.suite, mode: config.mode, side };
        let toolset = Toolset::new(session, Ratchet::new(&secrets, side, &kit), resumption);
        let agreement = HybridAgreement { session, kit, identities, root: secrets.root, th: self.th0 };
        (toolset, agreement)
    }
}

impl HybridAgreement {
    /// Whether rounds can be signed: both identities are known.
    pub fn signs(&self) -> bool {
        self.identities.is_some()
    }

    /// Suite of the session.
    pub fn suite(&self) -> crate::suite::Suite {
        self.session.suite
    }

    /// Whether rounds can be signed: there are identities.
    pub fn can_sign(&self) -> bool {
        self.identities.is_some()
    }

    fn transcript<'a>(
        &'a self,
        round: RoundId,
        signed: bool,
        offer: &'a HybridOffer,
        answer: (&'a [u8; 32], &'a [u8]),
    ) -> RoundTranscript<'a> {
        RoundTranscript {
            session_id: &self.session.id,
            previous: &self.th,
            suite: self.session.suite,
            signed,
            round,
            offer: (&offer.share, &offer.kem_key),
            answer,
        }
    }

    fn sign(
        &self,
        signed: bool,
        use_: &str,
        parts: &[&[u8]],
    ) -> Result<Option<HybridSignature>, AgreementError> {
        if !signed {
            return Ok(None);
        }
        let (own, _) = self.identities.as_ref().ok_or(AgreementError::Unavailable)?;
        own.sign(use_, parts).map(Some).map_err(|_| AgreementError::Unavailable)
    }

    /// A signature must be there and right if the round is signed, and must not be there otherwise.
    fn check(
        &self,
        signed: bool,
        use_: &str,
        parts: &[&[u8]],
        signature: Option<&HybridSignature>,
    ) -> Result<(), AgreementError> {
        match (signed, signature, &self.identities) {
            (false, None, _) => Ok(()),
            (true, Some(signature), Some((_, peer))) => {
                peer.verify(use_, parts, signature).map_err(|_| AgreementError::AuthFailed)
            }
            _ => Err(AgreementError::AuthFailed),
        }
    }

    fn offer_parts<'a>(
        &'a self,
        round: &'a [u8; 17],
        share: &'a [u8; 32],
        kem_key: &'a [u8],
    ) -> [&'a [u8]; 5] {
        [&self.session.id, &self.th, round, share, kem_key]
    }

    fn candidate(&self, secrets: VersionSecrets) -> Candidate {
        Candidate {
            ratchet: Ratchet::new(&secrets, self.session.side, &self.kit),
            root: secrets.root,
            confirm_a: secrets.confirm_a,
            th: secrets.th,
        }
    }
}

impl KeyAgreement for HybridAgreement {
    type Secret = OfferSecret;
    type Offer = HybridOffer;
    type Answer = HybridAnswer;
    type Tag = ConfirmTag;
    type Candidate = Candidate;
    type Ratchet = Ratchet;

    fn offer(&mut self, round: RoundId, signed: bool) -> Result<(OfferSecret, HybridOffer), AgreementError> {
        let provider = &self.kit.provider;
        let (dh, share) = provider.dh_generate().map_err(own_fault)?;
        let (kem, kem_key) = provider.kem_generate(self.session.suite.kem).map_err(own_fault)?;
        let parts = round_bytes(round);
        let parts = self.offer_parts(&parts, &share, &kem_key);
        let signature = self.sign(signed, labels::REKEY_OFFER, &parts)?;
        Ok((OfferSecret { dh, kem }, HybridOffer { share, kem_key: kem_key.into(), signature }))
    }

    fn answer(
        &mut self,
        round: RoundId,
        signed: bool,
        offer: &HybridOffer,
    ) -> Result<(Candidate, HybridAnswer), AgreementError> {
        let parts = round_bytes(round);
        let parts = self.offer_parts(&parts, &offer.share, &offer.kem_key);
        self.check(signed, labels::REKEY_OFFER, &parts, offer.signature.as_ref())?;

        let provider = &self.kit.provider;
        let (dh, share) = provider.dh_generate().map_err(own_fault)?;
        let ss_x25519 = dh.agree(&offer.share).map_err(peer_fault)?;
        let (ciphertext, ss_mlkem) =
            provider.kem_encapsulate(self.session.suite.kem, &offer.kem_key).map_err(peer_fault)?;
        let transcript = self.transcript(round, signed, offer, (&share, &ciphertext));
        let secrets =
            VersionSecrets::of_round(&self.root, &ss_mlkem, &ss_x25519, &transcript, self.session.mode);
        let confirm = ConfirmTag(kdf::hmac(&secrets.confirm_b, &[&secrets.th]));
        let signature = self.sign(signed, labels::REKEY_ANSWER, &[&self.session.id, &secrets.th])?;
        let answer = HybridAnswer { share, ciphertext: ciphertext.into(), confirm, signature };
        Ok((self.candidate(secrets), answer))
    }

    fn complete(
        &mut self,
        secret: OfferSecret,
        round: RoundId,
        signed: bool,
        offer: &HybridOffer,
        answer: &HybridAnswer,
    ) -> Result<(Candidate, ConfirmTag), AgreementError> {
        let transcript = self.transcript(round, signed, offer, (&answer.share, &answer.ciphertext));
        let parts: [&[u8]; 2] = [&self.session.id, &transcript.hash()];
        self.check(signed, labels::REKEY_ANSWER, &parts, answer.signature.as_ref())?;

        let ss_x25519 = secret.dh.agree(&answer.share).map_err(peer_fault)?;
        let ss_mlkem = secret.kem.decapsulate(&answer.ciphertext).map_err(peer_fault)?;
        let secrets =
            VersionSecrets::of_round(&self.root, &ss_mlkem, &ss_x25519, &transcript, self.session.mode);
        if !kdf::verify_hmac(&secrets.confirm_b, &[&secrets.th], &answer.confirm.0) {
            return Err(AgreementError::KeyMismatch);
        }
        let finish = ConfirmTag(kdf::hmac(&secrets.confirm_a, &[&secrets.th]));
        Ok((self.candidate(secrets), finish))
    }

    fn verify_finish(&self, candidate: &Candidate, tag: &ConfirmTag) -> bool {
        kdf::verify_hmac(&candidate.confirm_a, &[&candidate.th], &tag.0)
    }

    fn commit(&mut self, candidate: Candidate, side: Side) -> Ratchet {
        debug_assert_eq!(side, self.session.side, "the machine and its keys are of one side");
        self.root = candidate.root;
        self.th = candidate.th;
        candidate.ratchet
    }

    fn jitter(&mut self) -> u32 {
        let mut bytes = [0; 4];
        // Without randomness there is no jitter, which only costs collisions.
        let _spread = self.kit.provider.random(&mut bytes);
        u32::from_le_bytes(bytes)
    }
}

fn own_fault(_: CryptoError) -> AgreementError {
    AgreementError::Unavailable
}

fn peer_fault(error: CryptoError) -> AgreementError {
    match error {
        CryptoError::PeerValue => AgreementError::KeyMismatch,
        _ => AgreementError::Unavailable,
    }
}

impl PartialEq for ConfirmTag {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ConfirmTag {}

impl fmt::Debug for ConfirmTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfirmTag(..)")
    }
}

impl fmt::Debug for HybridAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HybridAgreement({}, {:?}, ..)", self.session.suite, self.session.side)
    }
}
