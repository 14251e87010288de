//! What the workspace is proven with: stand-ins, explorer, models and helpers of the test matrices. Ships nothing.

pub mod fuzz_entries;
pub mod measure;
pub mod sources;

pub mod seeded;
pub mod tamper;
