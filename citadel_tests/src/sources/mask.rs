//! Blanks what is not code.

/// `text` with comments, strings and character literals as spaces, byte for byte at the same place; line ends stay.
pub fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = at + blank_len(&bytes[at..], at.checked_sub(1).map(|before| bytes[before]));
        if end == at {
            out.push(if bytes[at].is_ascii() { bytes[at] } else { b' ' });
            at += 1;
        } else {
            out.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    out.into_iter().map(char::from).collect()
}

/// Bytes at the start of `rest` that are no code; 0 when the first byte is code.
fn blank_len(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_len(rest),
        [b'"', ..] => string_len(rest),
        [b'r', b'"' | b'#', ..] if !in_word || before == Some(b'b') => raw_string_len(rest),
        [b'\'', ..] => char_len(rest),
        _ => 0,
    }
}

fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_len(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// 0 for a raw identifier (`r#type`).
fn raw_string_len(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let close = [&b"\""[..], &vec![b'#'; hashes]].concat();
    let body = 2 + hashes;
    let found = rest[body..].windows(close.len()).position(|window| window == close);
    found.map_or(rest.len(), |position| body + position + close.len())
}

/// 0 for a lifetime.
fn char_len(rest: &[u8]) -> usize {
    let escaped = rest.get(1) == Some(&b'\\');
    let from = if escaped { 3 } else { 2 };
    let widest = if escaped { 12 } else { 6 };
    let close = rest.iter().skip(from).take(widest).position(|byte| *byte == b'\'');
    match close {
        Some(position) if escaped => from + position + 1,
        // One character: up to four bytes of UTF-8, all but the first of them continuation bytes.
        Some(position) if rest[2..from + position].iter().all(|byte| byte & 0xC0 == 0x80) => {
            from + position + 1
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn comments_and_literals_are_blanked_at_their_place() {
        for (text, code) in [
            ("a // b\nc", "a\nc"),
            ("a /* x /* y */ z */ b", "a b"),
            (r#"f("fn x \" {", 'y')"#, "f( , )"),
            ("r#\"a \"b\" c\"# d", "d"),
            ("fn f<'a>(x: &'a str) -> char { '{' }", "fn f<'a>(x: &'a str) -> char { }"),
            ("'\\u{1F600}' b'\\'' r#type 'é'", "b r#type"),
            ("for x in ['a', 'b'] {}", "for x in [ , ] {}"),
        ] {
            let masked = mask(text);
            assert_eq!(masked.len(), text.len(), "{text}");
            assert!(masked.split_whitespace().eq(code.split_whitespace()), "{text} gave {masked}");
            for (at, letter) in masked.char_indices().filter(|(_, letter)| !letter.is_whitespace()) {
                assert!(text[at..].starts_with(letter), "{text} moved {letter}");
            }
        }
    }
}
