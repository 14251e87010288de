//! How files look and what they may name.

use citadel_tests::sources::{self, CRATES, SourceFile};

const MOST_LINES: usize = 500;

fn all_code() -> Vec<SourceFile> {
    CRATES.iter().flat_map(|name| sources::files(name, &[".rs"])).collect()
}

/// Lines before the tests at the bottom.
fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{'));
    tests.unwrap_or(lines.len())
}

#[test]
fn every_file_says_first_what_it_is() {
    let code = all_code();
    assert!(code.len() > 20, "only {} files found", code.len());
    for SourceFile { path, text } in code {
        assert!(text.starts_with("//! "), "{path} does not open with `//!`");
    }
}

#[test]
fn every_file_stays_under_the_limit() {
    for SourceFile { path, text } in all_code() {
        let lines = lines_without_tests(&text);
        assert!(lines <= MOST_LINES, "{path}: {lines} lines without tests, the limit is {MOST_LINES}");
    }
}

#[test]
fn crypto_crates_are_named_by_the_suite_alone_and_bincode_by_the_wire_alone() {
    let rules: [(&[&str], &str); 2] = [
        (&["aws_lc_rs", "sha3", "ascon_aead", "kyber_pqc"], "citadel_crypt/src/suite/"),
        (&["bincode"], "citadel_crypt/src/wire"),
    ];
    for SourceFile { path, text } in CRATES[..3].iter().flat_map(|name| sources::crate_sources(name)) {
        // TLS under QUIC is rustls's, with its provider of that name: it is a cipher for a path and proves nobody's identity.
        let code = sources::mask(&text).replace("rustls::crypto::aws_lc_rs", "rustls::crypto::provider");
        for (names, place) in &rules {
            for name in *names {
                let named = code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
                assert!(!named || path.starts_with(place), "{path} names {name}, which belongs to {place}");
            }
        }
    }
}

#[test]
fn no_test_is_ignored() {
    for SourceFile { path, text } in all_code() {
        for function in sources::functions(&text) {
            assert!(!function.has_attribute("ignore"), "{path}: {} is ignored", function.name);
        }
    }
}

#[test]
fn every_crate_inherits_the_lints_and_the_edition() {
    for name in CRATES {
        let manifest = sources::read(&format!("{name}/Cargo.toml")).expect("a manifest");
        for line in ["edition.workspace = true", "rust-version.workspace = true", "[lints]\nworkspace = true"]
        {
            assert!(manifest.contains(line), "{name} does not inherit: {line}");
        }
        for dependency in manifest.lines().skip_while(|line| *line != "[dependencies]") {
            assert!(!dependency.contains("version"), "{name} pins by itself: {dependency}");
        }
    }
}
