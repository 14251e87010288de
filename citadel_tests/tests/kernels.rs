//! Nodes, kernels and prefabs over real TCP: what a handler's end does to its session and to nothing else, how a node
//! ends, and what it says then.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "kernels/accounts.rs"]
mod accounts;
#[path = "kernels/common.rs"]
mod common;
#[path = "kernels/ending.rs"]
mod ending;
#[path = "kernels/handlers.rs"]
mod handlers;
#[path = "kernels/killed_server.rs"]
mod killed_server;
#[path = "kernels/kinds.rs"]
mod kinds;
#[path = "kernels/nodes.rs"]
mod nodes;
#[path = "kernels/paths.rs"]
mod paths;
#[path = "kernels/service.rs"]
mod service;
#[path = "kernels/settings.rs"]
mod settings;
#[path = "kernels/shutdown.rs"]
mod shutdown;
#[path = "kernels/transports.rs"]
mod transports;
