//! Ports that a router forwards: when they are asked for, what peers are told, and routers that do what they like.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "port_mapping/lease.rs"]
mod lease;
#[path = "port_mapping/packets.rs"]
mod packets;
#[path = "port_mapping/pair.rs"]
mod pair;
#[path = "port_mapping/router.rs"]
mod router;
#[path = "peers/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of peers, which use all of it")]
mod scene;
#[path = "port_mapping/strangers.rs"]
mod strangers;
#[path = "port_mapping/told.rs"]
mod told;
#[path = "port_mapping/upnp.rs"]
mod upnp;
