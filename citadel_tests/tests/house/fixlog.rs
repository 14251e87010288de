//! Every test that the fix log names exists, is a test and runs.

use citadel_tests::sources::{self, CRATES, Function};

struct Entry<'a> {
    id: &'a str,
    body: &'a str,
}

fn entries(log: &str) -> Vec<Entry<'_>> {
    log.split("\n## FIX-")
        .skip(1)
        .map(|part| {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            Entry { id: head.split_whitespace().next().unwrap_or(head), body }
        })
        .collect()
}

/// The list items under "Tests:".
fn named_tests(body: &str) -> Vec<&str> {
    let list = body.split("**Tests**").nth(1).unwrap_or("");
    list.lines()
        .filter_map(|line| line.strip_prefix("- `"))
        .filter_map(|line| line.split('`').next())
        .collect()
}

/// The case names that rstest makes of a function's attributes and arguments.
fn cases(function: &Function) -> Vec<String> {
    let mut names = Vec::new();
    let given = function.attributes.iter().filter(|attribute| attribute.starts_with("case"));
    for (index, attribute) in given.enumerate() {
        let description = attribute.strip_prefix("case::").and_then(|rest| rest.split('(').next());
        names.push(match description {
            Some(description) => format!("case_{}_{description}", index + 1),
            None => format!("case_{}", index + 1),
        });
    }
    for (_, rest) in
        function.signature.match_indices("#[values(").map(|(at, m)| (at, &function.signature[at + m.len()..]))
    {
        let Some((values, after)) = rest.split_once(")]") else { continue };
        let Some((argument, _)) = after.split_once(':') else { continue };
        let values: Vec<&str> = values.split(',').map(str::trim).filter(|value| !value.is_empty()).collect();
        let width = values.len().to_string().len();
        for (index, value) in values.iter().enumerate() {
            let plain: String = value.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
            names.push(format!("{}_{:0width$}_{plain}", argument.trim(), index + 1));
        }
    }
    names
}

fn functions_of(binary: &str) -> Vec<Function> {
    let files =
        if CRATES.contains(&binary) { sources::crate_sources(binary) } else { sources::test_binary(binary) };
    assert!(!files.is_empty(), "no test binary {binary}");
    files.iter().flat_map(|file| sources::functions(&file.text)).collect()
}

fn check(id: &str, name: &str) {
    let mut parts = name.split("::");
    let (binary, function) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let found = functions_of(binary).into_iter().find(|f| f.name == function && f.is_test());
    assert!(found.is_some(), "FIX-{id}: `{name}` does not exist");
    let Some(found) = found else { return };
    assert!(!found.has_attribute("ignore"), "FIX-{id}: `{name}` is ignored");
    if let Some(case) = parts.next() {
        let known = cases(&found);
        assert!(known.iter().any(|known| known == case), "FIX-{id}: `{name}` is none of {known:?}");
    }
}

#[test]
fn every_test_that_the_fix_log_names_exists_and_runs() {
    let log = sources::read("FIXLOG.md").expect("a fix log");
    let entries = entries(&log);
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id).collect();
    let expected: Vec<String> = (1..=entries.len()).map(|number| format!("{number:04}")).collect();
    assert!(ids.len() >= 6 && ids == expected, "entries are numbered from 0001 without a gap: {ids:?}");
    for entry in &entries {
        for part in [
            "**Class**",
            "**Symptom**",
            "**Shortest trace**",
            "**Impossible here because**",
            "**Twins**",
            "**Tests**",
        ] {
            assert!(entry.body.contains(part), "FIX-{} has no {part}", entry.id);
        }
        let tests = named_tests(entry.body);
        assert!(!tests.is_empty(), "FIX-{} names no test", entry.id);
        tests.iter().for_each(|name| check(entry.id, name));
    }
}

#[test]
fn the_names_of_cases_are_those_that_rstest_makes() {
    let text = "#[rstest]\n#[case(1)]\n#[case::late(2)]\nfn f(#[case] x: u8) {}\n\
                #[rstest]\nasync fn g(#[values(0, 1, 10)] min_delay: u64) {}";
    let found = sources::functions(text);
    assert_eq!(cases(&found[0]), ["case_1", "case_2_late"]);
    assert_eq!(cases(&found[1]), ["min_delay_1_0", "min_delay_2_1", "min_delay_3_10"]);
}
