//! The house rules that no compiler checks: what documents promise, what files look like, what the fix log names.

#[path = "house/layout.rs"]
mod layout;
