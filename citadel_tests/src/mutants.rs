//! Machines with one rule broken: each is compiled with its explorer into a program of its own, which must see it.
//!
//! Nothing but `rustc` and the standard library takes part. Mutants that another rule makes harmless are listed as
//! survivors, with that rule, and are required to survive; so is the unmodified copy.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A machine with one rule broken.
#[derive(Debug)]
pub struct Mutant {
    name: &'static str,
    changes: &'static [Change],
    fate: Fate,
}

/// One place in the machine's folder, read as it stands there and written otherwise.
#[derive(Debug)]
pub struct Change {
    /// The file in that folder.
    pub file: &'static str,
    /// Occurs exactly once in the whole folder.
    pub old: &'static str,
    /// What stands there instead.
    pub new: &'static str,
}

/// What is required of a mutant.
#[derive(Debug)]
enum Fate {
    /// The explorer finds a violation.
    Dies,
    /// It finds none, for this reason.
    Survives(&'static str),
}

/// A mutant in which the explorer must find a violation.
pub const fn dies(name: &'static str, changes: &'static [Change]) -> Mutant {
    Mutant { name, changes, fate: Fate::Dies }
}

/// A mutant in which it must find none, for that reason.
pub const fn survives(name: &'static str, changes: &'static [Change], reason: &'static str) -> Mutant {
    Mutant { name, changes, fate: Fate::Survives(reason) }
}

/// Where mutants of one machine are made.
#[derive(Debug)]
pub struct Workshop {
    /// A folder to write in.
    pub folder: PathBuf,
    /// Files and folders to copy: from here, seen from this package, to there, seen from the program.
    pub parts: &'static [(&'static str, &'static str)],
    /// The folder of the program that the mutants change.
    pub machine: &'static str,
    /// The program: it ends with 1 and prints the first violation, or ends with 0 and prints what was explored.
    pub main: &'static str,
}

/// Two at a time: CI has two cores.
const WORKERS: usize = 2;

impl Workshop {
    /// Makes and runs every mutant, and the machine as it is.
    ///
    /// # Panics
    /// If the fate of one is another than was required.
    pub fn judge(&self, mutants: &[Mutant]) {
        let unmodified = survives("unmodified", &[], "it is the machine");
        let all: Vec<&Mutant> = std::iter::once(&unmodified).chain(mutants).collect();
        let next = AtomicUsize::new(0);
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some(mutant) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(failure) = self.judge_one(mutant) {
                            failures.lock().expect("no worker panics").push(failure);
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().expect("no worker panics");
        assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    }

    fn judge_one(&self, mutant: &Mutant) -> Result<(), String> {
        let program = self.compile(mutant)?;
        let name = mutant.name;
        match (program.run()?, &mutant.fate) {
            (Verdict::Violation(trace), Fate::Dies) => {
                say(&format!("mutant `{name}` is seen:\n{trace}"));
                Ok(())
            }
            (Verdict::Clean(report), Fate::Survives(_)) if report.contains("given up") => {
                Err(format!("`{name}` was not explored to its end:\n{report}"))
            }
            (Verdict::Clean(report), Fate::Survives(reason)) => {
                say(&format!("`{name}` passes, as expected ({reason}):\n{report}"));
                Ok(())
            }
            (Verdict::Clean(report), Fate::Dies) => Err(format!("mutant `{name}` was not seen:\n{report}")),
            (Verdict::Violation(trace), Fate::Survives(_)) => Err(format!("`{name}` should pass:\n{trace}")),
        }
    }

    fn compile(&self, mutant: &Mutant) -> Result<Program, String> {
        let folder = self.folder.join(slug(mutant.name));
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (from, to) in self.parts {
            copy(&here.join(from), &folder.join(to))?;
        }
        for change in mutant.changes {
            apply(&folder.join(self.machine), change)
                .map_err(|why| format!("mutant `{}`: {why}", mutant.name))?;
        }
        let main = folder.join("main.rs");
        fs::write(&main, self.main).map_err(|error| format!("{}: {error}", main.display()))?;
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
        Ok(Program(program))
    }
}

/// That the list has so many that must be seen, none twice, and that each changes something.
///
/// # Panics
/// If it does not.
pub fn check_list(mutants: &[Mutant], at_least: usize) {
    assert!(mutants.iter().filter(|mutant| matches!(mutant.fate, Fate::Dies)).count() >= at_least);
    for (index, mutant) in mutants.iter().enumerate() {
        assert!(mutants[..index].iter().all(|other| other.name != mutant.name), "{} twice", mutant.name);
        assert!(!mutant.changes.is_empty(), "{} changes nothing", mutant.name);
        for Change { file, old, new } in mutant.changes {
            assert_ne!(old, new, "{}: {file}", mutant.name);
        }
    }
}

/// Not optimized: most mutants die within milliseconds, and optimizing them all costs more than it saves.
const FLAGS: [&str; 6] = ["--edition=2024", "-C", "opt-level=0", "-C", "debug-assertions=on", "-Awarnings"];

/// A compiled mutant.
struct Program(PathBuf);

/// What its explorations came to.
enum Verdict {
    Clean(String),
    Violation(String),
}

impl Program {
    fn run(&self) -> Result<Verdict, String> {
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
fn say(text: &str) {
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

/// Copies a file, or a folder and what lies below it, replacing what an earlier run left.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: {error}", from.display());
    if from.is_file() {
        to.parent().map_or(Ok(()), fs::create_dir_all).map_err(fail)?;
        return fs::copy(from, to).map(drop).map_err(fail);
    }
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
