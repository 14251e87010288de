//! A server that only is there.

use crate::kernel::NetKernel;
use core::fmt;

/// Keeps accounts and sessions, and does nothing with the sessions' channels: for a server whose clients only use what the node
/// itself offers.
#[derive(Clone, Copy, Default)]
pub struct EmptyKernel;

impl NetKernel for EmptyKernel {}

impl fmt::Debug for EmptyKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmptyKernel")
    }
}
