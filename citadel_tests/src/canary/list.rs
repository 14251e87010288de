//! What the tests keep secret and what they send.

/// What marked secrets and payloads begin with: no name, no path and no prose has it.
pub const MARK: &str = "canary~";

/// `bytes` as a secret or a payload that is found wherever it is told.
pub fn marked(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [MARK.as_bytes(), bytes.as_ref()].concat()
}

/// Literals of the tests that nobody says for another reason: found as plain text.
pub const PHRASES: &[&str] = &[
    "$argon2",
    "correct horse",
    "new horse",
    "still here",
    "last words",
    "while it is down",
    "never heard",
    "never acknowledged",
    "never read",
    "not blocked",
    "read me",
    "no record at all",
    "kept as well",
    "changed on the way",
    "into nothing",
    "into the void",
    "the other direction is open",
    "too late to be accepted",
    "this is no HTTP",
];

/// Literals of the tests that our own prose has, too: found in quotes, as `Debug` writes text and bytes, and as lists and
/// digits if they are long enough not to come about by chance.
pub const WORDS: &[&str] = &[
    "a message",
    "after",
    "again",
    "answer",
    "arrived",
    "arrives",
    "back",
    "before",
    "behind",
    "counter",
    "does not",
    "dropped",
    "early",
    "fine",
    "first",
    "fits",
    "friend",
    "he",
    "heard",
    "hello",
    "here",
    "kept",
    "key",
    "last",
    "late",
    "llo",
    "lost",
    "more",
    "name",
    "never",
    "news",
    "next",
    "not yet",
    "on another",
    "on its way",
    "on the third",
    "on zero",
    "one",
    "one more",
    "peer's",
    "plain",
    "question",
    "request",
    "second",
    "sent",
    "service",
    "short",
    "small",
    "something",
    "stall",
    "still",
    "there",
    "third",
    "two",
    "unblocked",
    "unconfirmed",
    "unread",
    "untouched",
    "value",
];

/// Where the seed of an identity begins that counts up.
pub(super) const COUNTED: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Keys, seeds and messages that are one byte over and over, of any length from this.
pub(super) const FILL: usize = 32;
