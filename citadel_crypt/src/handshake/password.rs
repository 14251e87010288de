//! A password on its way from a user to the server that checks it.

use core::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A password, 1 to 1,024 bytes, as it was typed: nothing is trimmed, folded or cut (R-EST-4). Wiped on drop, silent in
/// `Debug`, compared in constant time. `Clone`, because a client may have to ask again with the same one.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Longest password, bytes.
    pub const MAX_LEN: usize = 1_024;

    /// Takes a copy of `password`; wiping the source is the caller's part.
    ///
    /// # Errors
    /// [`PasswordLength`] for none, or for more than 1,024 bytes.
    pub fn new(password: impl AsRef<[u8]>) -> Result<Self, PasswordLength> {
        let password = password.as_ref();
        if password.is_empty() || password.len() > Self::MAX_LEN {
            return Err(PasswordLength);
        }
        Ok(Self(Zeroizing::new(password.to_vec())))
    }

    /// The bytes, for whoever hashes them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A password has 1 to 1,024 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("a password has 1 to 1,024 bytes")]
pub struct PasswordLength;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_bounded_and_silent() {
        let password = Password::new(" secret ").unwrap();
        assert_eq!(password.expose(), b" secret ");
        assert_eq!(format!("{password:?}"), "Password(..)");
        assert_eq!(password, password.clone());
        assert_ne!(password, Password::new("secret").unwrap());
        assert_eq!(Password::new(""), Err(PasswordLength));
        assert!(Password::new([7; 1024]).is_ok());
        assert_eq!(Password::new([7; 1025]), Err(PasswordLength));
    }
}
