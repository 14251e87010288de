//! Every test binary whose scenes log is watched for canaries, and what it sends is one.

use citadel_tests::canary::{MARK, PHRASES, WORDS};
use citadel_tests::sources::{self, SourceFile};
use std::collections::{BTreeMap, BTreeSet};

/// How scenes begin what logs, or leads to it.
const DRIVERS: [&str; 17] = [
    "Acceptor::new",
    "AccountClient::new",
    "Accounts::",
    "Endpoint::bind",
    "Endpoint::client",
    "Hub::new",
    "Identity::load_or_create",
    "Messenger::spawn",
    "NodeBuilder::new",
    "RatchetManager::spawn",
    "Redb::",
    "citadel_tests::accounts_world",
    "citadel_tests::manager_world",
    "citadel_tests::memory_managers",
    "citadel_tests::peer_scene",
    "citadel_tests::peer_world",
    "citadel_tests::resumable",
];

/// What takes a payload among its arguments.
const SENDS: [&str; 5] = [".send(", ".try_send(", ".request(", ".put(", "from_static("];

/// A file of a test binary.
struct Part {
    path: String,
    text: String,
    /// `text` without comments and literals.
    code: String,
}

impl Part {
    fn new(SourceFile { path, text }: SourceFile) -> Self {
        Self { path, code: sources::mask(&text), text }
    }

    fn has_driver(&self) -> bool {
        DRIVERS.iter().any(|driver| self.code.contains(driver))
    }

    fn watches(&self) -> bool {
        self.code.contains("canary::watch()") || self.code.contains("canary::keep()")
    }

    /// Words right behind `prefix`, or in the braces there.
    fn named(&self, prefix: &str) -> BTreeSet<&str> {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let rests = self.code.match_indices(prefix).map(|(at, _)| &self.code[at + prefix.len()..]);
        let names = rests.flat_map(|rest| {
            let end = if rest.starts_with('{') { rest.find(';') } else { rest.find(|c| !is_word(c)) };
            rest[..end.unwrap_or(rest.len())].split(move |c| !is_word(c))
        });
        names.filter(|name| !name.is_empty()).collect()
    }

    /// Payloads that stand in the code: arguments that are a literal of more than one byte, and nothing else.
    fn literals(&self) -> Vec<&str> {
        let calls = SENDS.iter().flat_map(|call| self.code.match_indices(call));
        let arguments = calls.flat_map(|(at, call)| {
            let from = at + call.len();
            let len = self.code[from..].find(')').unwrap_or(0);
            let commas = self.code[from..from + len].match_indices(',').map(move |(at, _)| from + at);
            let ends: Vec<usize> = commas.chain([from + len]).collect();
            let starts = std::iter::once(from).chain(ends.clone().into_iter().map(|comma| comma + 1));
            starts.zip(ends).map(|(start, end)| self.text[start..end].trim()).collect::<Vec<_>>()
        });
        let literals =
            arguments.filter_map(|it| it.trim_start_matches('b').strip_prefix('"')?.strip_suffix('"'));
        literals.filter(|literal| literal.len() > 1).collect()
    }
}

/// The files of a test binary by their modules; its root has no name.
type Binary = BTreeMap<String, Part>;

fn binary(root: &SourceFile) -> Binary {
    let mut files = Binary::from([(String::new(), Part::new(root.clone()))]);
    let mut path = None;
    for line in root.text.lines() {
        let module = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            path = rest.strip_suffix("\"]");
        } else if let Some(module) = module
            && let Some(place) = path.take()
        {
            let path = format!("citadel_tests/tests/{place}");
            let part = sources::read(&path).map(|text| Part::new(SourceFile { path, text }));
            files.extend(part.map(|part| (module.to_owned(), part)));
        }
    }
    files
}

fn binaries() -> BTreeMap<String, Binary> {
    let tests = sources::files("citadel_tests/tests", &[".rs"]);
    let roots = tests.iter().filter_map(|file| {
        let name = file.path.strip_prefix("citadel_tests/tests/")?.strip_suffix(".rs")?;
        (!name.contains('/') || name.ends_with("/main")).then(|| (name.to_owned(), binary(file)))
    });
    roots.collect()
}

/// Modules of `citadel_tests` that watch for whoever uses them.
fn fixtures() -> BTreeSet<String> {
    let watching = sources::crate_sources("citadel_tests").into_iter().map(Part::new).filter(Part::watches);
    let module = |part: Part| part.path.split(['/', '.']).nth(2).unwrap_or_default().to_owned();
    watching.map(module).filter(|module| module != "canary").collect()
}

/// Whether what stands in that module is watched: it does so by itself, or names a fixture or a module that does.
fn is_watched(
    binary: &Binary,
    module: &str,
    fixtures: &BTreeSet<String>,
    seen: &mut BTreeSet<String>,
) -> bool {
    let Some(part) = binary.get(module).filter(|_| seen.insert(module.to_owned())) else { return false };
    if part.watches() || part.named("citadel_tests::").iter().any(|name| fixtures.contains(*name)) {
        return true;
    }
    let above = part.named("super::").into_iter().chain(part.named("crate::"));
    let above = above.map(|name| if binary.contains_key(name) { name } else { "" });
    let below = binary.keys().filter(|name| module.is_empty() && part.code.contains(&format!("{name}::")));
    let mut others = above.chain(below.map(String::as_str));
    others.any(|other| is_watched(binary, other, fixtures, seen))
}

/// Names every type and runs none.
const NAMES_ONLY: &str = "citadel_tests/tests/cancellation/kinds.rs";

/// Files of a binary that have drivers and are not watched.
fn unwatched(binary: &Binary, fixtures: &BTreeSet<String>) -> Vec<String> {
    let drivers = binary.iter().filter(|(_, part)| part.has_driver() && part.path != NAMES_ONLY);
    let found = drivers.filter(|(module, _)| !is_watched(binary, module, fixtures, &mut BTreeSet::new()));
    found.map(|(_, part)| part.path.clone()).collect()
}

#[test]
fn no_test_binary_runs_what_logs_without_watching_for_canaries() {
    let (binaries, fixtures) = (binaries(), fixtures());
    assert!(fixtures.contains("manager_world") && fixtures.contains("session_world"), "{fixtures:?}");
    let found: Vec<String> = binaries.values().flat_map(|binary| unwatched(binary, &fixtures)).collect();
    assert!(found.is_empty(), "no `canary::watch()` on the way of the scenes in {found:#?}");
    let code: Vec<Part> = sources::files("citadel_tests", &[".rs"]).into_iter().map(Part::new).collect();
    for driver in DRIVERS {
        let is_used = code.iter().any(|part| part.code.contains(driver));
        assert!(is_used, "nothing has `{driver}`: the list is out of date");
    }
    let have = |name: &str| binaries[name].values().any(Part::has_driver);
    for name in [
        "accounts",
        "backends",
        "kernels",
        "messenger",
        "peer_shutdown",
        "ratchet_manager",
        "sdk",
        "sessions",
        "world",
    ] {
        assert!(have(name), "the reader finds no driver in {name}");
    }
}

#[test]
fn every_literal_that_a_watched_test_sends_is_a_canary() {
    let is_canary = |literal: &&str| {
        PHRASES.iter().chain([&MARK]).any(|phrase| literal.contains(phrase)) || WORDS.contains(literal)
    };
    let binaries = binaries().into_values().filter(|binary| binary.values().any(Part::has_driver));
    let (mut seen, mut missing) = (0, BTreeSet::new());
    for part in binaries.flat_map(Binary::into_values) {
        seen += part.literals().len();
        let unknown = part.literals().into_iter().filter(|literal| !is_canary(literal));
        missing.extend(unknown.map(|literal| format!("{}: {literal:?}", part.path)));
    }
    assert!(seen > 50, "only {seen} literals found: the reader is broken");
    assert!(missing.is_empty(), "add them to WORDS or PHRASES in citadel_tests/src/canary: {missing:#?}");
}

#[test]
fn the_reader_follows_helpers_and_takes_literals_alone() {
    let part = |text: &str| Part::new(SourceFile { path: "part.rs".to_owned(), text: text.to_owned() });
    let binary = |parts: &[(&str, &str)]| -> Binary {
        parts.iter().map(|(name, text)| ((*name).to_owned(), part(text))).collect()
    };
    let fixtures = BTreeSet::from(["resumable".to_owned()]);
    let count = |parts: &[(&str, &str)]| unwatched(&binary(parts), &fixtures).len();
    let scene = ("scene", "use super::{common::{a, b}, c}; fn f() { Hub::new() }");
    assert_eq!(count(&[("", "mod scene;"), scene]), 1);
    assert_eq!(count(&[("", ""), scene, ("common", "// canary::watch()\nfn a() {}")]), 1);
    assert_eq!(count(&[("", ""), scene, ("common", "fn a() { canary::watch(); }")]), 0);
    assert_eq!(count(&[("", "fn c() { canary::watch(); }"), scene]), 0);
    assert_eq!(count(&[("", "use citadel_tests::{measure, resumable::Ends}; fn c() {}"), scene]), 0);
    assert_eq!(count(&[("", "use citadel_tests::measure; fn c() {}"), scene]), 1);
    let text =
        r#"a.send("one").await; b.put(None, "two", b"three", x("four")); c.send(f("five")); d.say("six");"#;
    assert_eq!(part(text).literals(), ["one", "two", "three"]);
}
