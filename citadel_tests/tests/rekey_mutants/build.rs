//! Copies, changes, compiles and runs one mutant.

use crate::list::{Change, Mutant};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program: the smallest scenarios that show every rule, each exhaustive or ended by its limit, the first
/// violation printed.
const MAIN: &str = r#"
#[path = "rekey/mod.rs"]
pub mod rekey;
#[path = "explorer/mod.rs"]
pub mod explorer;

use explorer::{Network, Scenario, explore};

const LIMIT: usize = 400_000;

fn main() -> std::process::ExitCode {
    let any = Network::AnyOrder;
    let scenarios = [
        Scenario::new("1 trigger, any order", 1, 0, any),
        Scenario::new("1 trigger, 1 withdrawal, reliable", 1, 1, Network::Ordered),
        Scenario::new("1 trigger, 1 withdrawal, any order", 1, 1, any).with_window(2),
        Scenario::new("1 trigger, halts, data, any order", 1, 0, any).with_halts().with_data(1),
        Scenario::new("1 trigger, every second round signed, any order", 1, 0, any).with_signed_rounds(1),
        Scenario::new("2 triggers, 1 withdrawal, reliable", 2, 1, Network::Ordered).with_window(2),
        Scenario::new("2 triggers, any order", 2, 0, any).with_window(2),
        Scenario::new("2 triggers, 1 withdrawal, one loss", 2, 1, Network::OrderedWithLoss(1)).with_window(2),
        Scenario::new("2 triggers, 1 withdrawal, any order", 2, 1, any).with_window(2),
    ];
    for scenario in scenarios {
        match explore(&scenario.with_limit(LIMIT)) {
            Ok(report) => println!("  {report}{}", if report.exhausted { "" } else { ", given up" }),
            Err(violation) => {
                print!("{violation}");
                return std::process::ExitCode::from(1);
            }
        }
    }
    std::process::ExitCode::SUCCESS
}
"#;

/// Not optimized: most mutants die within milliseconds, and optimizing them all costs more than it saves.
const FLAGS: [&str; 6] = ["--edition=2024", "-C", "opt-level=0", "-C", "debug-assertions=on", "-Awarnings"];

/// A compiled mutant.
pub(crate) struct Program(PathBuf);

/// What its explorations came to.
pub(crate) enum Verdict {
    Clean(String),
    Violation(String),
}

impl Program {
    pub(crate) fn compile(mutant: &Mutant) -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rekey_mutants").join(slug(mutant.name));
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&here.join("../citadel_crypt/src/ratchets/rekey"), &folder.join("rekey"))?;
        copy(&here.join("src/explorer"), &folder.join("explorer"))?;
        for change in mutant.changes {
            apply(&folder.join("rekey"), change).map_err(|why| format!("mutant `{}`: {why}", mutant.name))?;
        }
        let main = folder.join("main.rs");
        fs::write(&main, MAIN).map_err(|error| format!("{}: {error}", main.display()))?;
        let program = folder.join("mutant").with_extension(std::env::consts::EXE_EXTENSION);
        let output = Command::new(rustc())
            .args(FLAGS)
            .arg("-o")
            .arg(&program)
            .arg(&main)
            .output()
            .map_err(|error| format!("rustc: {error}"))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("mutant `{}` does not compile:\n{errors}", mutant.name));
        }
        Ok(Self(program))
    }

    pub(crate) fn run(&self) -> Result<Verdict, String> {
        let output =
            Command::new(&self.0).output().map_err(|error| format!("{}: {error}", self.0.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => Ok(Verdict::Clean(text)),
            Some(1) => Ok(Verdict::Violation(text)),
            _ => Err(format!("{} crashed: {}", self.0.display(), String::from_utf8_lossy(&output.stderr))),
        }
    }
}

/// Prints past the capture of the test harness.
pub(crate) fn say(text: &str) {
    let line = format!("{}\n", text.trim_end());
    std::io::stdout().write_all(line.as_bytes()).expect("standard output is open");
}

/// The compiler that cargo itself uses: it lies beside it.
fn rustc() -> PathBuf {
    if let Some(rustc) = std::env::var_os("RUSTC") {
        return rustc.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let beside = Path::new(&cargo).with_file_name("rustc").with_extension(std::env::consts::EXE_EXTENSION);
    if beside.exists() { beside } else { "rustc".into() }
}

fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Copies a folder and what lies below it, replacing what an earlier run left.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: {error}", from.display());
    if to.exists() {
        fs::remove_dir_all(to).map_err(fail)?;
    }
    fs::create_dir_all(to).map_err(fail)?;
    for entry in fs::read_dir(from).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(fail)?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(fail)?;
        }
    }
    Ok(())
}

/// Replaces the one place where `old` stands in the whole folder, which must be in `file`.
fn apply(folder: &Path, change: &Change) -> Result<(), String> {
    let mut places = 0;
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_file() {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            places += text.matches(change.old).count();
        }
    }
    let path = folder.join(change.file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", change.file))?;
    if places != 1 || !text.contains(change.old) {
        return Err(format!("this stands {places} times, not once in {}:\n{}", change.file, change.old));
    }
    fs::write(&path, text.replace(change.old, change.new)).map_err(|error| error.to_string())
}
