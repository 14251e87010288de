//! Every public async function, dropped at each of its polls, leaves what it belongs to working both ways.
//!
//! A case is a test in `cancellation/` named after its function: `Channel::send` is `channel_send`, a free function
//! `connect` is `connect`. The list is read from the sources, so a function without a case fails here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

use citadel_tests::sources::{self, CRATES, SourceFile};
use std::collections::BTreeSet;

#[path = "accounts/support.rs"]
#[allow(dead_code, reason = "shared with the tests of accounts, which use all of it")]
mod account_support;
#[path = "cancellation/accounts.rs"]
mod accounts;
#[path = "cancellation/broadcasts.rs"]
mod broadcasts;
#[path = "cancellation/crypt.rs"]
mod crypt;
#[path = "cancellation/kinds.rs"]
mod kinds;
#[path = "cancellation/kinds_of_sdk.rs"]
mod kinds_of_sdk;
#[path = "cancellation/nodes.rs"]
mod nodes;
#[path = "cancellation/pairs.rs"]
mod pairs;
#[path = "peers/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of peers, which use all of it")]
mod peer_scene;
#[path = "cancellation/peers.rs"]
mod peers;
#[path = "cancellation/permits.rs"]
mod permits;
#[path = "cancellation/proto.rs"]
mod proto;
#[path = "cancellation/resume.rs"]
mod resume;
#[path = "cancellation/sdk.rs"]
mod sdk;

/// Name of the case that each public async function of the shipped crates needs.
fn needed() -> BTreeSet<String> {
    let shipped = CRATES[..3].iter().flat_map(|name| sources::crate_sources(name));
    shipped.flat_map(|file| needed_by(&file)).collect()
}

fn needed_by(file: &SourceFile) -> Vec<String> {
    let public =
        sources::functions(&file.text).into_iter().filter(|f| f.is_public && f.is_async && !f.in_tests);
    public
        .map(|function| match function.owner {
            Some(owner) => format!("{}_{}", sources::snake_case(&owner), function.name),
            None => function.name,
        })
        .collect()
}

#[test]
fn every_public_async_function_has_a_case() {
    let cases: BTreeSet<String> = sources::files("citadel_tests/tests/cancellation", &[".rs"])
        .iter()
        .flat_map(|file| sources::functions(&file.text))
        .filter(sources::Function::is_test)
        .map(|function| function.name)
        .collect();
    let missing: Vec<String> = needed().difference(&cases).cloned().collect();
    assert!(missing.is_empty(), "public async functions without a case in tests/cancellation/: {missing:#?}");
}

#[test]
fn the_list_is_read_from_public_async_functions_only() {
    let text = "impl Lane { pub async fn send(&self) {} pub(crate) async fn hidden(&self) {} }\n\
                pub fn dial() -> impl Future<Output = u8> { ready(1) }\n\
                #[cfg(test)]\nmod tests { pub async fn helper() {} }";
    let file = SourceFile { path: "lane.rs".to_owned(), text: text.to_owned() };
    assert_eq!(needed_by(&file), ["lane_send", "dial"]);
}
