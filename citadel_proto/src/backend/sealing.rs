//! Secrets at rest.
//!
//! Every sealed field has a key of its own: HKDF-Expand (RFC 5869) of the store's key over a random salt of 32 bytes,
//! used once with AES-256-GCM (SP 800-38D) and wiped. So there is no nonce to repeat and no number of writes after which
//! the key must change: two of 2^64 writes share a salt with probability 2^-129. Table, primary key and the clear part of
//! the record are associated data: a field opens only where it was written.

use super::error::BackendError;
use super::record::Table;
use citadel_crypt::labels;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{AeadAlgorithm, CryptoError, CryptoProvider, Native, TAG_LEN, kdf};
use core::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

const SALT_LEN: usize = 32;
const AEAD: AeadAlgorithm = AeadAlgorithm::Aes256Gcm;
/// One record per key: any nonce is used once.
const NONCE: [u8; AEAD.nonce_len()] = [0; AEAD.nonce_len()];
/// First byte of a field that stands as it is.
const PLAIN: u8 = 0;
/// First byte of a field that is sealed.
const SEALED: u8 = 1;

/// The key that seals a store: 32 secret bytes. Not a password (R-CRY-7).
#[derive(PartialEq, Eq)]
pub struct SealingKey(Secret<32>);

impl SealingKey {
    /// A random one.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn generate() -> Result<Self, CryptoError> {
        let mut key = Secret::zero();
        Native.random(key.expose_mut())?;
        Ok(Self(key))
    }

    /// Takes a copy of `bytes`; wiping the source is the caller's part.
    ///
    /// # Errors
    /// [`SealingKeyError`] unless there are exactly 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealingKeyError> {
        let bytes = bytes.try_into().map_err(|_| SealingKeyError)?;
        Ok(Self(Secret::copy_from(bytes)))
    }

    /// The bytes, for whoever keeps them.
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// A sealing key has 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a sealing key has 32 bytes")]
pub struct SealingKeyError;

/// What is sealed in a store with a key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SealScope {
    /// Password hashes and tickets.
    #[default]
    Secrets,
    /// Also values, mail, pairs and vouches. Names, keys, times and lengths stay readable.
    All,
}

/// Seals and opens the fields of records.
pub(super) struct Sealer {
    provider: Arc<dyn CryptoProvider>,
    key: Option<(Secret<32>, SealScope)>,
}

/// Where a field stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: Table,
    pub(super) key: &'a [u8],
    /// What stands before the field in its record.
    pub(super) head: &'a [u8],
}

impl Place<'_> {
    fn associated(&self) -> Vec<u8> {
        let len = u32::try_from(self.key.len()).expect("keys are shorter than a kibibyte");
        [&[self.table as u8][..], &len.to_le_bytes(), self.key, self.head].concat()
    }

    fn corrupt(&self) -> BackendError {
        BackendError::Corrupt { table: self.table.name() }
    }
}

impl Sealer {
    /// Leaves every field as it is.
    pub(super) fn plain() -> Self {
        Self { provider: Arc::new(Native), key: None }
    }

    /// Seals under `key`.
    pub(super) fn sealed(key: &SealingKey, scope: SealScope) -> Self {
        let key = kdf::extract(labels::STORE.as_bytes(), &[key.expose()]);
        Self { provider: Arc::new(Native), key: Some((key, scope)) }
    }

    /// What it seals, if anything.
    pub(super) fn scope(&self) -> Option<SealScope> {
        self.key.as_ref().map(|(_, scope)| *scope)
    }

    /// The key for fields of `table`, if those are sealed.
    fn key_for(&self, table: Table) -> Option<&Secret<32>> {
        let (key, scope) = self.key.as_ref()?;
        (table.is_secret() || *scope == SealScope::All).then_some(key)
    }

    /// Appends the field that holds `content` to `record`.
    pub(super) fn seal(
        &self,
        place: Place<'_>,
        content: &[u8],
        record: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        if let Some(key) = self.key_for(place.table) {
            return self.seal_under(key, &place.associated(), content, record);
        }
        record.push(PLAIN);
        record.extend_from_slice(content);
        Ok(())
    }

    fn seal_under(
        &self,
        key: &Secret<32>,
        associated: &[u8],
        content: &[u8],
        record: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        let mut salt = [0; SALT_LEN];
        self.provider.random(&mut salt)?;
        let key = field_key(key, &salt);
        // The room for all of it comes first: no copy of the content is left behind by a vector that grows.
        record.reserve(1 + SALT_LEN + content.len() + TAG_LEN);
        record.push(SEALED);
        record.extend_from_slice(&salt);
        let start = record.len();
        record.extend_from_slice(content);
        let tag = self.provider.seal_once(AEAD, key.expose(), &NONCE, associated, &mut record[start..])?;
        record.extend_from_slice(&tag);
        Ok(())
    }

    /// The content of a sealed field without its form; `None` if it does not open.
    fn open_under(&self, key: &Secret<32>, associated: &[u8], body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, body) = body.split_at_checked(SALT_LEN)?;
        let key = field_key(key, salt);
        let mut body = Zeroizing::new(body.to_vec());
        let opened = self.provider.open_once(AEAD, key.expose(), &NONCE, associated, &mut body);
        body.truncate(opened.ok()?);
        Some(body)
    }

    /// Appends a field that only the same key and scope open.
    pub(super) fn seal_check(&self, head: &[u8], record: &mut Vec<u8>) -> Result<(), BackendError> {
        match &self.key {
            Some((key, _)) => self.seal_under(key, &check_place(head), &[], record),
            None => Ok(()),
        }
    }

    /// Whether `field` is such a field.
    pub(super) fn is_check(&self, head: &[u8], field: &[u8]) -> bool {
        match (&self.key, field.split_first()) {
            (Some((key, _)), Some((&SEALED, body))) => {
                self.open_under(key, &check_place(head), body).is_some()
            }
            _ => false,
        }
    }

    /// The content of `field`. A field that should be sealed and is not is damaged, and the other way round: nobody
    /// replaces a sealed hash by one of their own.
    pub(super) fn open(&self, place: Place<'_>, field: &[u8]) -> Result<Zeroizing<Vec<u8>>, BackendError> {
        let (form, body) = field.split_first().ok_or_else(|| place.corrupt())?;
        match (*form, self.key_for(place.table)) {
            (PLAIN, None) => Ok(Zeroizing::new(body.to_vec())),
            (SEALED, Some(key)) => {
                self.open_under(key, &place.associated(), body).ok_or_else(|| place.corrupt())
            }
            _ => Err(place.corrupt()),
        }
    }
}

/// Associated data of a check: no table has the number 0.
fn check_place(head: &[u8]) -> Vec<u8> {
    [&[0], head].concat()
}

fn field_key(key: &Secret<32>, salt: &[u8]) -> Secret<32> {
    let mut out = Secret::zero();
    kdf::expand(key, &[labels::STORE_RECORD.as_bytes(), salt], out.expose_mut());
    out
}

/// Whether `field` has the shape of a field: the form, and room for salt and tag where it is sealed.
pub(super) fn is_field(field: &[u8]) -> bool {
    match field.split_first() {
        Some((&PLAIN, _)) => true,
        Some((&SEALED, body)) => body.len() >= SALT_LEN + TAG_LEN,
        _ => false,
    }
}

/// The content of a field that stands as it is.
pub(super) fn plain_content(field: &[u8]) -> Option<&[u8]> {
    match field.split_first() {
        Some((&PLAIN, content)) => Some(content),
        _ => None,
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({:?})", self.scope())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(table: Table, key: &'a [u8], head: &'a [u8]) -> Place<'a> {
        Place { table, key, head }
    }

    #[test]
    fn a_field_opens_only_where_it_was_written() {
        let sealer = Sealer::sealed(&SealingKey::from_bytes(&[7; 32]).unwrap(), SealScope::Secrets);
        let here = place(Table::Accounts, b"key", b"head");
        let mut field = Vec::new();
        sealer.seal(here, b"content", &mut field).unwrap();
        assert_eq!(sealer.open(here, &field).unwrap()[..], b"content"[..]);
        assert!(!field.windows(7).any(|window| window == b"content"));
        for other in [
            place(Table::Tickets, b"key", b"head"),
            place(Table::Accounts, b"kez", b"head"),
            place(Table::Accounts, b"key", b"hea"),
            place(Table::Accounts, b"keyh", b"ead"),
        ] {
            assert!(matches!(sealer.open(other, &field), Err(BackendError::Corrupt { .. })));
        }
        for at in 0..field.len() {
            field[at] ^= 1;
            assert!(sealer.open(here, &field).is_err(), "byte {at}");
            field[at] ^= 1;
            assert!(sealer.open(here, &field[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_plain_field_does_not_pass_for_a_sealed_one() {
        let sealer = Sealer::sealed(&SealingKey::from_bytes(&[7; 32]).unwrap(), SealScope::Secrets);
        let (secret, value) = (place(Table::Accounts, b"", b""), place(Table::Values, b"", b""));
        assert!(sealer.open(secret, &[PLAIN, 1]).is_err());
        assert_eq!(sealer.open(value, &[PLAIN, 1]).unwrap()[..], [1]);
        assert!(Sealer::plain().open(secret, &[SEALED; 49]).is_err());
    }

    #[test]
    fn the_same_content_is_never_sealed_the_same() {
        let sealer = Sealer::sealed(&SealingKey::generate().unwrap(), SealScope::All);
        let here = place(Table::Values, b"", b"");
        let mut fields = [Vec::new(), Vec::new()];
        for field in &mut fields {
            sealer.seal(here, b"", field).unwrap();
        }
        assert_ne!(fields[0], fields[1]);
    }
}
