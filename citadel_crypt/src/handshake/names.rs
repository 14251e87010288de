//! What an account, a user and a device are called.
//!
//! A name is taken as it is or refused, typed: nothing is trimmed, folded or normalised, and names are compared byte
//! for byte, so that no two spellings are one account on one server and two on another.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Account id: 64 random bits, given by the server at registration; never derived from the user name, never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cid(pub u64);

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({self})")
    }
}

/// Why a text is no such name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing where something must be.
    #[error("the name is empty")]
    Empty,
    /// Longer than allowed.
    #[error("the name is longer than {0} bytes")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("the name is not UTF-8")]
    NotUtf8,
    /// It holds a control character.
    #[error("the name holds a control character")]
    Control,
    /// White space stands at its start or end.
    #[error("white space stands at the start or end of the name")]
    Whitespace,
}

/// Checks what all names have in common.
fn check(name: &str, max: usize) -> Result<(), NameError> {
    if name.len() > max {
        Err(NameError::TooLong(max))
    } else if name.chars().any(char::is_control) {
        Err(NameError::Control)
    } else {
        Ok(())
    }
}

/// Declares a name: a checked string that is what it was.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $max:literal, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Longest name, bytes of UTF-8.
            pub const MAX_LEN: usize = $max;

            /// Takes a name as it is.
            ///
            /// # Errors
            /// [`NameError`]; nothing is trimmed.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                check(&name, Self::MAX_LEN)?;
                let special: fn(&str) -> Result<(), NameError> = $check;
                special(&name)?;
                Ok(Self(name))
            }

            /// The name.
            pub const fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// Reads a name from bytes. Copies nothing before its length is checked.
            pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, NameError> {
                if bytes.len() > Self::MAX_LEN {
                    return Err(NameError::TooLong(Self::MAX_LEN));
                }
                Self::new(core::str::from_utf8(bytes).map_err(|_| NameError::NotUtf8)?)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;
            fn try_from(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }
    )*};
}

names! {
    /// Name by which a user logs in: 1 to 64 bytes of UTF-8, no control character, no white space at either end.
    /// Compared byte for byte.
    UserName, 64, |name| match name {
        "" => Err(NameError::Empty),
        _ if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) => Err(NameError::Whitespace),
        _ => Ok(()),
    };
    /// What others are shown for a user: up to 128 bytes of UTF-8, no control character. May be empty.
    DisplayName, 128, |_| Ok(());
    /// What a user calls one of their devices: up to 64 bytes of UTF-8, no control character. May be empty.
    DeviceName, 64, |_| Ok(());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_is_taken_as_it_is_or_refused() {
        for name in ["a", "alice", "Ann Other", "zoë", &"x".repeat(64)] {
            assert_eq!(UserName::new(name).unwrap().as_str(), name);
        }
        assert_eq!(UserName::new(""), Err(NameError::Empty));
        assert_eq!(UserName::new("x".repeat(65)), Err(NameError::TooLong(64)));
        assert_eq!(UserName::new("é".repeat(33)), Err(NameError::TooLong(64)));
        for name in [" a", "a ", "\u{a0}a", "a\u{2003}", " "] {
            assert_eq!(UserName::new(name), Err(NameError::Whitespace), "{name:?}");
        }
        for name in ["a\0", "\n", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(UserName::new(name), Err(NameError::Control), "{name:?}");
        }
        assert_eq!(UserName::from_bytes(&[0xff]), Err(NameError::NotUtf8));
    }

    #[test]
    fn display_and_device_names_may_be_empty_and_are_bounded() {
        assert_eq!(DisplayName::new("").unwrap().as_str(), "");
        assert_eq!(DisplayName::new("x".repeat(129)), Err(NameError::TooLong(128)));
        assert_eq!(DisplayName::new("a\tb"), Err(NameError::Control));
        assert_eq!(DeviceName::new(" my phone ").unwrap().as_str(), " my phone ");
        assert_eq!(DeviceName::new("x".repeat(65)), Err(NameError::TooLong(64)));
    }
}
