//! The packages that users asked for, as the architecture page lists them.

use citadel_tests::sources;

#[test]
fn the_packages_users_asked_for_are_used_where_the_architecture_says() {
    let page = sources::read("docs/architecture.md").expect("the page");
    let manifest = sources::read("Cargo.toml").expect("the workspace");
    let table = page.split("| package | role | file |").nth(1).expect("the table of packages");
    let mut names = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, role, file, _] = cells[..] else { panic!("a row of three cells: {row}") };
        let (name, file) = (name.trim_matches('`'), file.trim_matches('`'));
        assert!(!role.is_empty(), "{name} has no role");
        assert!(
            manifest.lines().any(|l| l.starts_with(&format!("{name} = "))),
            "{name} is not in Cargo.toml"
        );
        let code = sources::mask(&sources::read(file).unwrap_or_else(|| panic!("{name}: no file {file}")));
        let used = name.replace('-', "_");
        assert!(
            code.contains(&format!("{used}::")) || code.contains(&format!("use {used}")),
            "{file} does not use {name}"
        );
        names.push(name.to_owned());
    }
    names.sort();
    let mut asked = [
        "async-trait",
        "bincode",
        "dashmap",
        "kyber-pqc",
        "log",
        "parking_lot",
        "rstest",
        "serde",
        "sha3",
        "tokio",
        "tokio-test",
    ];
    asked.sort_unstable();
    assert_eq!(names, asked);
}
