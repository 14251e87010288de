//! The README: its commands are those that the check runs, its examples are the files that the tests run.

use citadel_tests::sources;

fn read(path: &str) -> String {
    sources::read(path).expect("the README speaks of this file")
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let readme = read("README.md");
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn its_two_commands_are_steps_of_the_check() {
    let check = read(".ci/run");
    let blocks = blocks("sh");
    let commands: Vec<_> = blocks[0].lines().collect();
    assert_eq!(commands, ["cargo run --release --example quickstart", "cargo test --workspace"]);
    for command in commands {
        let is_step =
            check.lines().any(|line| line.trim_start().starts_with("step ") && line.ends_with(command));
        assert!(is_step, "no step of .ci/run is `{command}`");
    }
}

#[test]
fn its_examples_are_the_files() {
    let blocks = blocks("rust");
    assert_eq!(blocks.len(), 2);
    for (block, name) in blocks.iter().zip(["echo_server", "echo_client"]) {
        let file = read(&format!("citadel_sdk/examples/{name}.rs"));
        // Above it stand a line for the reader of the file and one for the linter.
        let (_, code) = file.split_once("\nuse citadel_sdk").expect("an example uses the crate");
        assert_eq!(*block, format!("use citadel_sdk{code}"), "{name}");
    }
}
