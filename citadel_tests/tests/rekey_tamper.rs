//! Spoilt rekey messages inside authenticated records: whatever is changed, nothing panics, no machine moves by it but
//! to a typed close, and no end commits keys that the other has not.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "rekey_tamper/fields.rs"]
mod fields;
#[path = "rekey_tamper/insiders.rs"]
mod insiders;
#[path = "rekey_tamper/stage.rs"]
mod stage;
