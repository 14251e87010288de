//! Finds canaries in a text, however they are spelled.

use super::list::{COUNTED, FILL, MARK, PHRASES, WORDS};
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Bytes that a spelling is looked up by.
const HEAD: usize = 4;
/// Fewer bytes may come about by chance where digits stand for something else.
const MIN_DIGITS: usize = 5;

/// Every spelling, by its first bytes.
#[derive(Default)]
struct Needles(HashMap<[u8; HEAD], Vec<String>>);

impl Needles {
    fn new() -> Self {
        let mut needles = Self::default();
        for text in PHRASES.iter().chain([&MARK]) {
            needles.add((*text).to_owned());
            needles.add_bytes(text.as_bytes());
        }
        for word in WORDS {
            needles.add(format!("\"{word}\""));
            needles.add_digits(word.as_bytes());
        }
        needles.add_bytes(&COUNTED);
        for byte in 0..=u8::MAX {
            let fill = [byte; FILL];
            match byte {
                // As text that is a line, or a gap.
                b' '..=b'~' => needles.add_digits(&fill),
                _ => needles.add_bytes(&fill),
            }
        }
        needles
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        // As `Bytes` and byte strings are written, with what is no text escaped.
        let escaped = format!("{:?}", Bytes::copy_from_slice(bytes));
        self.add(escaped.trim_start_matches('b').trim_matches('"').to_owned());
        self.add_digits(bytes);
    }

    fn add_digits(&mut self, bytes: &[u8]) {
        if bytes.len() >= MIN_DIGITS {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            self.add(hex.to_uppercase());
            self.add(hex);
            self.add(format!("{bytes:?}").trim_matches(['[', ']']).to_owned());
        }
    }

    fn add(&mut self, spelling: String) {
        let head = spelling.as_bytes().first_chunk().expect("no canary is that short");
        let same = self.0.entry(*head).or_default();
        if !same.contains(&spelling) {
            same.push(spelling);
        }
    }
}

/// The first canary in `text`, as it is spelled there: as text, escaped, in hex digits of either case, or as the list of
/// its bytes (`{:?}` or `{:#?}`).
pub fn find(text: &str) -> Option<&'static str> {
    static NEEDLES: OnceLock<Needles> = OnceLock::new();
    let Needles(needles) = NEEDLES.get_or_init(Needles::new);
    let text = on_one_line(text);
    let bytes = text.as_bytes();
    bytes.windows(HEAD).enumerate().find_map(|(at, head)| {
        let spellings = needles.get(head)?;
        spellings.iter().find(|spelling| bytes[at..].starts_with(spelling.as_bytes())).map(String::as_str)
    })
}

/// `{:#?}` puts every byte of a list on a line of its own, indented by any depth.
fn on_one_line(text: &str) -> Cow<'_, str> {
    if text.contains('\n') {
        text.lines().map(str::trim_start).collect::<Vec<_>>().join(" ").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::marked;
    use super::*;

    /// A secret inside what might be logged.
    #[derive(Debug)]
    struct Request<T> {
        #[expect(dead_code, reason = "`Debug` shows it")]
        secret: T,
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_canary_is_found_in_every_spelling() {
        let phrase = |phrase: &&str| phrase.as_bytes().to_vec();
        let words = WORDS.iter().filter(|word| word.len() >= MIN_DIGITS).map(phrase);
        let texts = PHRASES.iter().map(phrase).chain([marked("word"), marked([0, 159, 10])]).chain(words);
        let fills = (0..=u8::MAX).map(|byte| vec![byte; FILL]);
        for secret in texts.chain(fills).chain([COUNTED.to_vec()]) {
            let (bytes, hex) = (Bytes::from(secret.clone()), hex(&secret));
            let deep = Request { secret: [Request { secret: &secret }] };
            for text in [format!("{secret:?}"), format!("{deep:#?}"), hex.to_uppercase(), hex] {
                assert!(find(&format!("a line with {text} in it")).is_some(), "{text}");
            }
            let is_line = secret.iter().all(|byte| *byte == secret[0] && matches!(byte, b' '..=b'~'));
            let text = format!("{:?}", Request { secret: bytes });
            assert_eq!(find(&text).is_some(), !is_line, "{text}");
        }
    }

    #[test]
    fn text_is_found_in_quotes_if_it_is_a_word_and_anywhere_else_if_it_is_not() {
        for word in WORDS {
            let quoted = format!("{word:?}");
            assert_eq!(find(&format!("{:?}", Request { secret: word })), Some(&*quoted));
            assert_eq!(find(&format!("{:#?}", Request { secret: Some(word) })), Some(&*quoted));
        }
        for phrase in PHRASES.iter().chain([&MARK]) {
            assert_eq!(find(&format!("session 7: {phrase} and more")), Some(*phrase));
            assert_eq!(find(phrase), Some(*phrase));
        }
    }

    #[test]
    fn what_is_logged_today_is_none() {
        for line in [
            "",
            "7",
            "session 03f1c2a4: path 1 is lost: the stream ended",
            "refused 00000000000000000000000000000000: no identity [1, 1, 1]",
            "Idle -> Offered\non trigger",
        ] {
            assert_eq!(find(line), None);
        }
    }
}
