//! Kernels for the usual cases, so that an application writes one callback.
//!
//! Owns: what is done with sessions as they come and go. Never: how they are established, driven or closed (the node's
//! part). Each prefab uses the public interface of kernels only: an application can write its own the same way.

pub mod client;
pub mod server;

use crate::kernel::KernelResult;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;

/// An application's callback. Boxed, so that a prefab's type can be named.
type Callback<T> = Arc<dyn Fn(T) -> BoxFuture<'static, KernelResult> + Send + Sync>;

fn boxed<T, F, Fut>(callback: F) -> Callback<T>
where
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = KernelResult> + Send + 'static,
{
    Arc::new(move |argument| callback(argument).boxed())
}
