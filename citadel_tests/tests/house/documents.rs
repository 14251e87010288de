//! What the documents say is so.

use citadel_tests::sources::{self, SourceFile};
use std::collections::BTreeSet;

/// Targets of inline links.
fn links(text: &str) -> Vec<String> {
    text.match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split_once(')').map(|(target, _)| target.to_owned()))
        .collect()
}

#[test]
fn relative_links_lead_to_files() {
    let mut seen = 0;
    for file in sources::files("", &[".md"]) {
        for target in links(&file.text) {
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            seen += 1;
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let place = target.split('#').next().unwrap_or(&target);
            assert!(
                sources::root().join(folder).join(place).exists(),
                "{}: no file at `{target}`",
                file.path
            );
        }
    }
    assert!(seen > 20, "only {seen} links found: the reader of links is broken");
}

/// Every rule id (R-CORE-1, FIX-0001) in `text`.
fn ids<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    text.match_indices(prefix)
        .filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
        .map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-'));
            rest[..end.unwrap_or(rest.len())].trim_end_matches('-')
        })
        .filter(|id| id.ends_with(|c: char| c.is_ascii_digit()))
        .collect()
}

fn text_of_docs() -> String {
    sources::files("docs", &[".md"]).into_iter().map(|file| file.text).collect()
}

#[test]
fn every_rule_that_is_cited_stands_in_the_docs() {
    let docs = text_of_docs();
    let (mut cited, mut missing) = (0, Vec::new());
    for file in sources::files("", &[".rs", ".toml", ".md", ".yml"]) {
        for id in ids(&file.text, "R-") {
            cited += 1;
            if !docs.contains(&format!("**{id}**")) {
                missing.push(format!("{}: {id}", file.path));
            }
        }
    }
    assert!(missing.is_empty(), "rules that no document states: {missing:#?}");
    assert!(cited > 50, "only {cited} citations found: the reader of ids is broken");
}

#[test]
fn every_fix_that_is_cited_stands_in_the_fix_log() {
    let log = sources::read("FIXLOG.md").expect("a fix log");
    for file in sources::files("", &[".rs", ".md"]) {
        let tests = sources::functions(&file.text);
        let by_name =
            tests.iter().filter_map(|f| f.name.strip_prefix("fix_")).filter_map(|rest| rest.get(..4));
        let numbers = by_name.filter(|n| n.bytes().all(|b| b.is_ascii_digit())).map(|n| format!("FIX-{n}"));
        let cited = ids(&file.text, "FIX-").into_iter().map(str::to_owned);
        for id in numbers.chain(cited) {
            assert!(
                log.contains(&format!("## {id}")),
                "{} cites {id}, which FIXLOG.md does not know",
                file.path
            );
        }
    }
}

#[test]
fn no_file_speaks_of_the_machine_it_was_written_on() {
    let outside = [["..", "shared"].join("/"), ["", "work", ""].join("/"), ["", "home", ""].join("/")]
        .into_iter()
        .chain([["", "root", ""].join("/"), ["", "Users", ""].join("/"), ["", "tmp", ""].join("/")]);
    let outside: Vec<String> = outside.collect();
    let endings = [".rs", ".md", ".toml", ".yml", "run"];
    for SourceFile { path, text } in sources::files("", &endings) {
        for place in &outside {
            assert!(!text.contains(place.as_str()), "{path} names `{place}`");
        }
    }
}

#[test]
fn the_workflow_runs_examples_that_exist() {
    let workflow = sources::read(".github/workflows/ci.yml").expect("the workflow");
    assert!(workflow.starts_with('#') && workflow.contains("bash .ci/run"));
    for (_, rest) in workflow.lines().filter_map(|line| line.split_once("--example ")) {
        let name = rest.split_whitespace().next().unwrap_or(rest);
        assert!(sources::read(&format!("citadel_tests/examples/{name}.rs")).is_some(), "no example {name}");
    }
}
