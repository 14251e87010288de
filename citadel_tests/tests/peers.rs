//! Peers: what they agree and pin, which of two crossing attempts is their session, and nodes that meet through a server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "peers/agree.rs"]
mod agree;
#[path = "peers/blocked.rs"]
mod blocked;
#[path = "peers/broadcast.rs"]
mod broadcast;
#[path = "peers/connect.rs"]
mod connect;
#[path = "peers/devices.rs"]
mod devices;
#[path = "peers/direct_datagrams.rs"]
mod direct_datagrams;
#[path = "peers/direct_middle.rs"]
mod direct_middle;
#[path = "peers/direct_nat.rs"]
mod direct_nat;
#[path = "peers/direct_probes.rs"]
mod direct_probes;
#[path = "peers/direct_pursuit.rs"]
mod direct_pursuit;
#[path = "peers/direct_sockets.rs"]
mod direct_sockets;
#[path = "peers/direct_streams.rs"]
mod direct_streams;
#[path = "peers/frozen.rs"]
mod frozen;
#[path = "peers/given_sockets.rs"]
mod given_sockets;
#[path = "peers/hostile_lanes.rs"]
mod hostile_lanes;
#[path = "peers/hostile_peer.rs"]
mod hostile_peer;
#[path = "peers/leaving.rs"]
mod leaving;
#[path = "peers/meeting.rs"]
mod meeting;
#[path = "peers/notices.rs"]
mod notices;
#[path = "peers/path_changes.rs"]
mod path_changes;
#[path = "peers/people.rs"]
mod people;
#[path = "peers/pin_file.rs"]
mod pin_file;
#[path = "peers/rates.rs"]
mod rates;
#[path = "peers/raw.rs"]
mod raw;
#[path = "peers/rekey.rs"]
mod rekey;
#[path = "peers/rekey_paths.rs"]
mod rekey_paths;
#[path = "peers/replays.rs"]
mod replays;
#[path = "peers/results.rs"]
mod results;
#[path = "peers/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of cancellation, which use all of it")]
mod scene;
#[path = "peers/sessions.rs"]
mod sessions;
#[path = "peers/statement_bytes.rs"]
mod statement_bytes;
#[path = "peers/statement_checks.rs"]
mod statement_checks;
#[path = "peers/stress.rs"]
mod stress;
#[path = "peers/untaken.rs"]
mod untaken;
