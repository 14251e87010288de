//! SCENARIOS 1 – 14d at the level of the machine: two ends, real keys, a virtual clock, a scripted network.
//!
//! Every test ends with `World::finish`: at rest, nothing left, no forbidden event; I1, I2, I5, I6 and I9 are
//! checked after every step of every test.

#[path = "rekey_scenarios/cancel_and_halt.rs"]
mod cancel_and_halt;
#[path = "rekey_scenarios/hostile.rs"]
mod hostile;
#[path = "rekey_scenarios/model.rs"]
mod model;
#[path = "rekey_scenarios/one_message.rs"]
mod one_message;
#[path = "rekey_scenarios/races.rs"]
mod races;
#[path = "rekey_scenarios/suspension.rs"]
mod suspension;
#[path = "rekey_scenarios/window.rs"]
mod window;

use citadel_crypt::ratchets::rekey::Side;
use core::time::Duration;

const A: Side = Side::Initiator;
const B: Side = Side::Responder;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
