//! Lists the functions of a file.

use super::mask;

/// A function and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The type or trait whose `impl` or `trait` block holds it.
    pub owner: Option<String>,
    /// `pub` without a restriction.
    pub is_public: bool,
    /// Whether a `pub` trait has it.
    pub in_public_trait: bool,
    /// `async fn`, or a plain one that returns `impl Future`.
    pub is_async: bool,
    /// Whether a `#[cfg(test)]` module holds it.
    pub in_tests: bool,
    /// Attributes, as written between `#[` and `]`.
    pub attributes: Vec<String>,
    /// From the name to the body.
    pub signature: String,
    /// First and last line, from 1.
    pub lines: (usize, usize),
}

impl Function {
    /// Whether an attribute has that path (`ignore`, `tokio::test`, `rstest`), with or without arguments.
    pub fn has_attribute(&self, path: &str) -> bool {
        self.attributes.iter().any(|attribute| {
            attribute.strip_prefix(path).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        })
    }

    /// Whether what it returns is a future, or holds one.
    pub fn gives_future(&self) -> bool {
        self.is_async || returned(&self.signature).contains("Future")
    }

    /// Whether the test runner runs it.
    pub fn is_test(&self) -> bool {
        ["test", "tokio::test", "rstest"].iter().any(|path| self.has_attribute(path))
    }
}

/// Every function of `text` that has a body or stands in a trait, in order.
pub fn functions(text: &str) -> Vec<Function> {
    let code = mask(text);
    let mut reader =
        Reader { text, code: &code, at: 0, blocks: Vec::new(), head: Head::default(), found: vec![] };
    while reader.step() {}
    reader.found
}

/// The type behind the arrow of a signature.
fn returned(signature: &str) -> &str {
    let (mut angles, mut rounds, mut before) = (0_usize, 0_usize, ' ');
    for (at, letter) in signature.char_indices() {
        match letter {
            '<' if rounds == 0 => angles += 1,
            '>' if rounds == 0 && before != '-' => angles = angles.saturating_sub(1),
            '(' => rounds += 1,
            ')' => rounds = rounds.saturating_sub(1),
            _ => {}
        }
        if letter == ')' && rounds == 0 && angles == 0 {
            let rest = signature[at + 1..].trim_start();
            return rest
                .strip_prefix("->")
                .map_or("", |rest| rest.split("where").next().unwrap_or(rest))
                .trim();
        }
        before = letter;
    }
    ""
}

enum Block {
    /// Of an `impl`, or of a trait and whether that is `pub`.
    Owner(String, bool),
    Tests,
    Function(usize),
    Other,
}

/// What was read of an item before its keyword.
#[derive(Default)]
struct Head {
    attributes: Vec<String>,
    is_public: bool,
    is_async: bool,
}

struct Reader<'a> {
    text: &'a str,
    code: &'a str,
    at: usize,
    blocks: Vec<Block>,
    head: Head,
    found: Vec<Function>,
}

impl Reader<'_> {
    /// Reads one token or item head; false at the end.
    fn step(&mut self) -> bool {
        let bytes = self.code.as_bytes();
        let Some(byte) = bytes.get(self.at).copied() else { return false };
        match byte {
            b'#' if self.code[self.at + 1..].starts_with(['[', '!']) => self.attribute(),
            b'{' => self.open(Block::Other),
            b'}' => self.close(),
            b';' => {
                self.head = Head::default();
                self.at += 1;
            }
            _ if byte.is_ascii_alphabetic() || byte == b'_' => self.word(),
            _ => self.at += 1,
        }
        true
    }

    fn attribute(&mut self) {
        let start = self.code[self.at..].find('[').map_or(self.code.len(), |open| self.at + open + 1);
        let inner = self.code[self.at + 1..].starts_with('!');
        let end = self.matching(start, b'[', b']');
        if !inner {
            self.head.attributes.push(self.text[start..end].split_whitespace().collect::<Vec<_>>().join(" "));
        }
        self.at = (end + 1).min(self.code.len());
    }

    /// Where the bracket that is open at `start` closes.
    fn matching(&self, start: usize, open: u8, close: u8) -> usize {
        let mut depth = 1_usize;
        for (offset, byte) in self.code.as_bytes()[start.min(self.code.len())..].iter().enumerate() {
            depth = match *byte {
                byte if byte == open => depth + 1,
                byte if byte == close => depth - 1,
                _ => depth,
            };
            if depth == 0 {
                return start + offset;
            }
        }
        self.code.len()
    }

    fn word(&mut self) {
        let word = self.identifier();
        let in_function = self.blocks.iter().any(|block| matches!(block, Block::Function(_)));
        match word.as_str() {
            "pub" => {
                let rest = self.code[self.at..].trim_start();
                self.head.is_public = !rest.starts_with('(');
            }
            "async" => self.head.is_async = true,
            "fn" => self.function(),
            "impl" | "trait" | "mod" if !in_function => self.container(&word),
            _ => {}
        }
    }

    fn identifier(&mut self) -> String {
        let rest = &self.code[self.at..];
        let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += len;
        rest[..len].to_owned()
    }

    fn container(&mut self, keyword: &str) {
        let end = self.code[self.at..].find(['{', ';']).map_or(self.code.len(), |offset| self.at + offset);
        let header = &self.code[self.at..end];
        // Bounds of a trait may be paths.
        let header = if keyword == "trait" { header.split(": ").next().unwrap_or(header) } else { header };
        let is_public_trait = keyword == "trait" && self.head.is_public;
        let tests = self.head.attributes.iter().any(|attribute| attribute.starts_with("cfg(test"));
        self.at = end;
        if !self.code[end..].starts_with('{') {
            return;
        }
        self.open(match keyword {
            "mod" if tests => Block::Tests,
            "mod" => Block::Other,
            _ => Block::Owner(owner(header), is_public_trait),
        });
    }

    fn function(&mut self) {
        let spaces = self.code[self.at..].len() - self.code[self.at..].trim_start().len();
        let start = self.at + spaces;
        if !self.code[start..].starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return;
        }
        self.at = start;
        let name = self.identifier();
        let end = self.signature_end();
        let signature = self.text[start..end].trim().to_owned();
        let head = std::mem::take(&mut self.head);
        let line = self.line(start);
        let owner = self.blocks.iter().rev().find_map(|block| match block {
            Block::Owner(owner, is_public) => Some((owner.clone(), *is_public)),
            _ => None,
        });
        let (owner, in_public_trait) = owner.map_or((None, false), |(owner, is)| (Some(owner), is));
        self.found.push(Function {
            name,
            owner,
            is_public: head.is_public,
            in_public_trait,
            is_async: head.is_async || signature.contains("-> impl Future"),
            in_tests: self.blocks.iter().any(|block| matches!(block, Block::Tests)),
            attributes: head.attributes,
            signature,
            lines: (line, line),
        });
        self.at = end;
        if self.code[end..].starts_with('{') {
            self.open(Block::Function(self.found.len() - 1));
        }
    }

    /// Where the body or the semicolon is; semicolons and braces of types stand in brackets.
    fn signature_end(&self) -> usize {
        let mut depth = 0_usize;
        for (offset, byte) in self.code.as_bytes()[self.at..].iter().enumerate() {
            match byte {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth = depth.saturating_sub(1),
                b'{' | b';' if depth == 0 => return self.at + offset,
                _ => {}
            }
        }
        self.code.len()
    }

    fn open(&mut self, block: Block) {
        self.blocks.push(block);
        self.head = Head::default();
        self.at += 1;
    }

    fn close(&mut self) {
        if let Some(Block::Function(index)) = self.blocks.pop() {
            self.found[index].lines.1 = self.line(self.at);
        }
        self.head = Head::default();
        self.at += 1;
    }

    fn line(&self, at: usize) -> usize {
        1 + self.code.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }
}

/// Name of the type in the head of an `impl` or `trait` block, without path, generics and bounds.
fn owner(header: &str) -> String {
    let header = header.split(" where ").next().unwrap_or(header);
    let mut plain = String::new();
    let mut depth = 0_usize;
    let mut before = ' ';
    for letter in header.chars() {
        match letter {
            '<' => depth += 1,
            '>' if before != '-' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
        before = letter;
    }
    let subject = plain.split(" for ").last().unwrap_or(&plain);
    let subject = subject.split(':').filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let name = if plain.contains("::") { subject.last() } else { subject.first() };
    name.map_or("", |name| name).trim().trim_start_matches('&').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{functions, returned};

    const TEXT: &str = r#"
        //! pub async fn not_this()
        impl<T: Into<Vec<u8>>> Lane<T> {
            /// Docs with { a brace.
            #[must_use]
            pub async fn send(&self, x: [u8; 4]) -> Result<(), Error> {
                let closure = async move { "}" };
                fn inner() {}
            }
            pub(crate) async fn hidden(&self) {}
            pub fn later(&self) -> impl Future<Output = ()> + Send { async {} }
        }
        impl core::future::Future for path::Other<'_> { fn poll(self) -> fn(u8) { todo } }
        #[rstest]
        #[case::first(1)]
        fn cases(#[case] x: u8, #[values(0, 10)] y: u64) {}
        pub trait Door: Send + fmt::Debug { async fn open(&self); fn ends(&self) -> Vec<BoxFuture<'static, ()>>; }
        trait Hidden { async fn open(&self); }
        #[cfg(test)]
        mod tests { #[test] #[ignore = "slow"] fn t() {} }
    "#;

    #[test]
    fn functions_carry_owner_visibility_and_attributes() {
        let found = functions(TEXT);
        let names: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.owner.as_deref())).collect();
        assert_eq!(
            names,
            [
                ("send", Some("Lane")),
                ("inner", Some("Lane")),
                ("hidden", Some("Lane")),
                ("later", Some("Lane")),
                ("poll", Some("Other")),
                ("cases", None),
                ("open", Some("Door")),
                ("ends", Some("Door")),
                ("open", Some("Hidden")),
                ("t", None),
            ]
        );
        let public: Vec<_> = found.iter().filter(|f| f.is_public && f.is_async).map(|f| &*f.name).collect();
        assert_eq!(public, ["send", "later"]);
        assert!(found[5].is_test() && found[5].has_attribute("case") && !found[5].in_tests);
        let of_traits: Vec<_> = found.iter().filter(|f| f.in_public_trait).map(|f| &*f.name).collect();
        assert_eq!(of_traits, ["open", "ends"]);
        let futures: Vec<_> = found.iter().filter(|f| f.gives_future()).map(|f| &*f.name).collect();
        assert_eq!(futures, ["send", "hidden", "later", "open", "ends", "open"]);
        assert!(found[9].is_test() && found[9].has_attribute("ignore") && found[9].in_tests);
        assert_eq!(found[0].lines, (6, 9));
    }

    #[test]
    fn what_a_function_returns_is_behind_its_own_arrow() {
        for (signature, expected) in [
            ("f(x: impl Fn(u8) -> BoxFuture<()>)", ""),
            ("f(x: impl Fn(u8) -> BoxFuture<()>) -> Self", "Self"),
            ("new<F, Fut>(f: F) -> Self where F: Fn(u8) -> Fut, Fut: Future<Output = ()>", "Self"),
            (
                "f<F: Fn(u8) -> Fut>(f: F) -> Vec<(u8, BoxFuture<'static, ()>)>",
                "Vec<(u8, BoxFuture<'static, ()>)>",
            ),
        ] {
            assert_eq!(returned(signature), expected, "{signature}");
        }
    }
}
