//! The pause between two attempts of a kernel to connect.

use citadel_crypt::suite::{CryptoProvider, Native};
use core::time::Duration;

/// Waits for between half of `pause` and all of it, by chance.
#[expect(clippy::disallowed_methods, reason = "a driver of kernels: the pause is their back-off")]
pub(super) async fn wait(pause: Duration) {
    let mut random = [0; 1];
    // Without randomness the pause is the same for everybody, which is all that fails.
    let _spread = Native.random(&mut random);
    tokio::time::sleep(pause.mul_f64(0.5 + f64::from(random[0]) / 512.0)).await;
}
