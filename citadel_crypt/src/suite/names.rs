//! Suites: which KEM stands beside X25519, which AEAD seals records, and which of them a security level allows.

use super::{AeadAlgorithm, KemAlgorithm};
use core::fmt;

/// What a session uses for key agreement and records. X25519, SHA-256 (HKDF, HMAC) and SHA3-256 (transcript) are the
/// same in all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Suite {
    /// The KEM beside X25519.
    pub kem: KemAlgorithm,
    /// The AEAD of records.
    pub aead: AeadAlgorithm,
}

impl Suite {
    /// X25519 and ML-KEM-768 with AES-256-GCM.
    pub const DEFAULT: Self = Self::new(KemAlgorithm::MlKem768, AeadAlgorithm::Aes256Gcm);

    const ALL: &[Self] = &[
        Self::DEFAULT,
        Self::new(KemAlgorithm::MlKem768, AeadAlgorithm::ChaCha20Poly1305),
        Self::new(KemAlgorithm::MlKem768, AeadAlgorithm::AsconAead128),
        Self::new(KemAlgorithm::MlKem1024, AeadAlgorithm::Aes256Gcm),
        Self::new(KemAlgorithm::MlKem1024, AeadAlgorithm::ChaCha20Poly1305),
        Self::new(KemAlgorithm::MlKem1024, AeadAlgorithm::AsconAead128),
        #[cfg(feature = "kyber-pqc")]
        Self::new(KemAlgorithm::MlKem512, AeadAlgorithm::Aes256Gcm),
        #[cfg(feature = "kyber-pqc")]
        Self::new(KemAlgorithm::MlKem512, AeadAlgorithm::ChaCha20Poly1305),
        #[cfg(feature = "kyber-pqc")]
        Self::new(KemAlgorithm::MlKem512, AeadAlgorithm::AsconAead128),
    ];

    /// The suite of these two.
    pub const fn new(kem: KemAlgorithm, aead: AeadAlgorithm) -> Self {
        Self { kem, aead }
    }

    /// Every suite of this build.
    pub const fn all() -> &'static [Self] {
        Self::ALL
    }

    /// The number that travels: KEM in the high byte, AEAD in the low one.
    pub const fn id(self) -> u16 {
        let kem = match self.kem {
            KemAlgorithm::MlKem768 => 1,
            KemAlgorithm::MlKem1024 => 2,
            #[cfg(feature = "kyber-pqc")]
            KemAlgorithm::MlKem512 => 3,
        };
        let aead = match self.aead {
            AeadAlgorithm::Aes256Gcm => 1,
            AeadAlgorithm::ChaCha20Poly1305 => 2,
            AeadAlgorithm::AsconAead128 => 3,
        };
        kem << 8 | aead
    }

    /// The suite with that number, if this build has it.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.id() == id)
    }
}

impl Default for Suite {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X25519+{}/{}", self.kem, self.aead)
    }
}

impl fmt::Display for KemAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MlKem768 => "ML-KEM-768",
            Self::MlKem1024 => "ML-KEM-1024",
            #[cfg(feature = "kyber-pqc")]
            Self::MlKem512 => "ML-KEM-512",
        })
    }
}

impl fmt::Display for AeadAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes256Gcm => "AES-256-GCM",
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
            Self::AsconAead128 => "Ascon-AEAD128",
        })
    }
}

/// Which suites a node accepts at all; what it offers is a list of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum SecurityLevel {
    /// Every suite of this build.
    #[default]
    Standard,
    /// ML-KEM-1024 and AEADs with 256-bit keys only.
    Reinforced,
}

impl SecurityLevel {
    /// Whether `suite` may be offered or accepted.
    pub fn allows(self, suite: Suite) -> bool {
        match self {
            Self::Standard => true,
            Self::Reinforced => suite.kem == KemAlgorithm::MlKem1024 && suite.aead.key_len() == 32,
        }
    }

    /// What a node offers unless told otherwise, best first: AES-256-GCM leads where the CPU has AES, ChaCha20-Poly1305
    /// elsewhere (R-CRY-5). Never Ascon-AEAD128, never ML-KEM-512.
    pub fn default_suites(self) -> [Suite; 2] {
        let kem = match self {
            Self::Standard => KemAlgorithm::MlKem768,
            Self::Reinforced => KemAlgorithm::MlKem1024,
        };
        let mut suites =
            [Suite::new(kem, AeadAlgorithm::Aes256Gcm), Suite::new(kem, AeadAlgorithm::ChaCha20Poly1305)];
        if !cpu_has_aes() {
            suites.reverse();
        }
        suites
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn cpu_has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn cpu_has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn cpu_has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_suite_has_a_number_and_a_name_of_its_own() {
        let ids: BTreeSet<_> = Suite::all().iter().map(|suite| suite.id()).collect();
        let names: BTreeSet<_> = Suite::all().iter().map(ToString::to_string).collect();
        assert_eq!((ids.len(), names.len()), (Suite::all().len(), Suite::all().len()));
        for suite in Suite::all() {
            assert_eq!(Suite::from_id(suite.id()), Some(*suite));
        }
        assert_eq!(Suite::from_id(0), None);
        assert_eq!(Suite::DEFAULT.id(), 0x0101);
        assert_eq!(Suite::DEFAULT.to_string(), "X25519+ML-KEM-768/AES-256-GCM");
    }

    #[test]
    fn reinforced_takes_two_suites_and_no_short_key() {
        let taken: Vec<_> =
            Suite::all().iter().filter(|suite| SecurityLevel::Reinforced.allows(**suite)).collect();
        assert_eq!(taken.len(), 2);
        for level in [SecurityLevel::Standard, SecurityLevel::Reinforced] {
            assert!(level.default_suites().iter().all(|suite| level.allows(*suite)));
        }
    }
}
