//! Ratchets: keys by version, the machine that renews them, and the manager that drives it.

pub mod rekey;
