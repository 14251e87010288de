//! The house rules that no compiler checks: what documents promise, what files look like, what the fix log names.

#[path = "house/canaries.rs"]
mod canaries;
#[path = "house/documents.rs"]
mod documents;
#[path = "house/fixlog.rs"]
mod fixlog;
#[path = "house/layout.rs"]
mod layout;
#[path = "house/packages.rs"]
mod packages;
#[path = "house/readme.rs"]
mod readme;
