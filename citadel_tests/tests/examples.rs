//! The examples, run as a newcomer would run them: as processes, over loopback TCP.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;

/// Where the examples are, after they were built as they stand now; of the whole workspace, because one package by
/// itself would build every dependency once more with its own choice of features.
fn examples() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--workspace", "--examples"])
            .status()
            .unwrap();
        assert!(built.success());
        // target/debug/deps/examples-HASH
        let here = std::env::current_exe().unwrap();
        here.parent().and_then(|deps| deps.parent()).unwrap().join("examples")
    })
}

fn example(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(examples().join(name));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(name: &str, arguments: &[&str]) -> Output {
    example(name, arguments).output().unwrap()
}

/// A server process that ends with the test, and the address that it printed.
struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut process = example(name, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut address).unwrap();
        Self { process, output, address: address.trim().to_owned() }
    }

    /// Presses Ctrl-C; what it prints until it ends, which must be in order.
    #[track_caller]
    fn interrupt(&mut self) -> String {
        let kill = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.process.wait().unwrap().success(), "{rest}");
        rest
    }

    fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is fine.
        let _ended = self.process.kill();
        self.process.wait().unwrap();
    }
}

#[track_caller]
fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A failed run: exit code 1, one line on stderr that starts as every error does, and says this.
#[track_caller]
fn fails_with(output: &Output, why: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(why), "{stderr}");
}

#[test]
fn the_echo_client_gets_its_message_back_while_the_keys_move() {
    let server = Server::start("echo_server", &[]);
    let client = run("echo_client", &[&server.address]);
    let (out, error) = (text(&client.stdout), text(&client.stderr));
    assert!(client.status.success(), "{out}{error}");
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].starts_with("Some(b\"hello\") while moving to version "), "{out}");
    assert_eq!(lines[1], "closed, 1 session, clean");
}

#[test]
fn the_kernel_client_gets_its_message_back_and_the_kernel_server_ends_in_order_on_ctrl_c() {
    let mut server = Server::start("kernel_echo_server", &[]);
    for _ in 0..2 {
        let client = run("kernel_echo_client", &[&server.address]);
        let (out, error) = (text(&client.stdout), text(&client.stderr));
        assert!(client.status.success(), "{out}{error}");
        assert_eq!(out, "Some(b\"hello\")\nclosed, 1 session, clean\n");
    }
    assert_eq!(server.interrupt(), "closed, no session was open; 2 ended before\n");
}

#[test]
fn http_runs_over_a_channel() {
    let server = Server::start("http_over_channel", &[]);
    let client = run("http_over_channel", &[&server.address, "/some/path"]);
    let (out, error) = (text(&client.stdout), text(&client.stderr));
    assert!(client.status.success(), "{out}{error}");
    assert_eq!(out, "200 OK\nyou asked for /some/path\nclosed, 1 session, clean\n");
}

#[test]
fn the_reconnecting_client_goes_on_when_its_server_was_killed_and_restarted() {
    let directory = std::env::temp_dir().join(format!("citadel-examples-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let files = directory.to_str().unwrap();
    let server = Server::start("kernel_echo_server", &["127.0.0.1:0", files]);
    let mut client = example("reconnecting_client", &[&server.address]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    let mut output = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut line = || output.next().unwrap().unwrap();
    assert_eq!(line(), "connected");
    writeln!(input, "one").unwrap();
    assert_eq!(line(), "one");

    let address = format!("127.0.0.1:{}", server.port());
    drop(server); // SIGKILL
    writeln!(input, "two").unwrap();
    let _restarted = Server::start("kernel_echo_server", &[&address, files]);
    assert_eq!(line(), "connected");
    assert_eq!(line(), "two");
    drop(input);
    assert!(line().starts_with("closed, 1 of 2 sessions clean; session "));
    assert!(client.wait().unwrap().success());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn two_peers_chat_and_see_the_same_code() {
    let mut server = Server::start("kernel_echo_server", &[]);
    let chat = |own, other| {
        let mut command = example("peer_chat", &[&server.address, own, other]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        (process.stdin.take().unwrap(), output, process)
    };
    let (mut alice, mut at_alice, mut alice_process) = chat("alice", "bob");
    let (mut bob, mut at_bob, mut bob_process) = chat("bob", "alice");
    let code = |line: String, name: &str| {
        line.strip_prefix(&format!("{name} is here; compare ")).unwrap().to_owned()
    };
    let codes =
        [code(at_alice.next().unwrap().unwrap(), "bob"), code(at_bob.next().unwrap().unwrap(), "alice")];
    assert_eq!(codes[0], codes[1]);
    writeln!(alice, "hello bob").unwrap();
    assert_eq!(at_bob.next().unwrap().unwrap(), "alice: hello bob");
    drop(alice);
    assert_eq!(at_bob.next().unwrap().unwrap(), "alice has said everything");
    writeln!(bob, "hello alice").unwrap();
    assert_eq!(at_alice.next().unwrap().unwrap(), "bob: hello alice");
    drop(bob);
    assert_eq!(at_alice.next().unwrap().unwrap(), "bob has said everything");
    for (lines, process) in [(at_alice, &mut alice_process), (at_bob, &mut bob_process)] {
        let rest: Vec<_> = lines.map(Result::unwrap).collect();
        assert_eq!(rest, ["closed, 2 sessions, all clean"]);
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(server.interrupt(), "closed, no session was open; 2 ended before\n");
}

#[test]
fn one_sends_to_two_that_listen_and_knows_what_each_of_them_got() {
    let mut server = Server::start("kernel_echo_server", &[]);
    let start = |arguments: &[&str]| {
        let arguments = [&[&server.address[..]], arguments].concat();
        example("broadcast", &arguments).stdout(Stdio::piped()).spawn().unwrap()
    };
    let listeners = ["alice", "bob"].map(|name| start(&["listen", name, "sender"]));
    let sender = start(&["send", "sender", "alice", "bob"]);
    let ends = |process: Child| {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        text(&output.stdout)
    };
    let told = ends(sender);
    for listener in listeners {
        let heard = ends(listener);
        let lines = "sender: first line\nsender: second line\nsender: third line\n";
        assert_eq!(heard, format!("{lines}closed, 2 sessions, all clean\n"));
    }
    let expected = "alice: 3 of 3 delivered\nbob: 3 of 3 delivered\nclosed, 3 sessions, all clean\n";
    assert_eq!(told, expected);
    assert_eq!(server.interrupt(), "closed, no session was open; 3 ended before\n");
}

#[test]
fn two_peers_leave_their_server_for_a_direct_path_and_say_so() {
    let mut server = Server::start("direct_path", &["server", "127.0.0.1"]);
    let start = |own, other| {
        let arguments = ["peer", &server.address, own, other, "3600"];
        example("direct_path", &arguments).stdout(Stdio::piped()).spawn().unwrap()
    };
    for peer in [start("alice", "bob"), start("bob", "alice")] {
        let output = peer.wait_with_output().unwrap();
        let told = text(&output.stdout);
        assert!(output.status.success(), "{told}");
        let end = "path at the end: direct\nclosed, 2 sessions, all clean\n";
        assert!(told.starts_with("first byte: ") && told.ends_with(end), "{told}");
    }
    server.interrupt();
}

#[test]
fn a_node_closes_its_peers_before_its_server_and_ends_last() {
    let output = run("shutdown_order", &[]);
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
    let expected = "peer session closed, clean\nserver session closed, clean\nnode ended: closed, 2 sessions, all clean\n";
    assert_eq!(out, expected);
}

#[test]
fn the_quickstart_gets_its_file_back_in_a_thousand_rounds_and_closes_cleanly() {
    let output = run("quickstart", &[]);
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
    let row = |name: &str| {
        let line = out.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no row {name}: {out}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("clean:"), ["clean:", "yes"]);
    let version = row("version");
    assert_eq!(version[1], version[3], "{out}");
    assert!(version[1].parse::<u64>().unwrap() >= 1_000, "{out}");
    let fingerprint = row("fingerprint");
    assert_eq!(fingerprint[1], fingerprint[3], "{out}");
    let rounds = row("rounds");
    let led_and_followed: Vec<u64> = rounds.iter().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(led_and_followed.len(), 4, "{out}");
    assert_eq!(led_and_followed[0] + led_and_followed[1], version[1].parse::<u64>().unwrap());
    assert_eq!(led_and_followed[0], led_and_followed[3], "who leads here follows there: {out}");
}

#[test]
fn the_quickstart_sends_to_a_server_that_was_started_by_hand_twice() {
    let server = Server::start("quickstart", &["serve", "127.0.0.1:0"]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for _ in 0..2 {
        let output = run("quickstart", &["send", &server.address, file]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn the_quickstart_says_what_is_wrong_in_one_line() {
    let server = Server::start("quickstart", &["serve", "127.0.0.1:0"]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    fails_with(&run("quickstart", &["/no/such/file"]), "cannot read /no/such/file");

    let other = Server::start("quickstart", &["serve", "127.0.0.1:0"]);
    let (peer, _) = other.address.split_once('@').unwrap();
    let wrong_peer = format!("{peer}@127.0.0.1:{}", server.port());
    fails_with(&run("quickstart", &["send", &wrong_peer, file]), "expected peer");

    let refused = format!("{peer}@127.0.0.1:1");
    fails_with(&run("quickstart", &["send", &refused, file]), "refused");

    fails_with(&run("quickstart", &["send", "nonsense", file]), "error: ");
    fails_with(&run("quickstart", &["serve"]), "usage: ");
}
