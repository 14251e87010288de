//! Servers that are dialled: on the runtime of whoever starts one, or apart from it on a thread of their own.

use super::{Client, ours, tls};
use citadel_sdk::{Backend, Memory, NodeAddr, Redb};
use citadel_tests::measure;
use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tls,
    Memory,
    Redb,
}

impl Kind {
    /// The peer first.
    pub(crate) const ALL: [Self; 3] = [Self::Tls, Self::Memory, Self::Redb];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tokio-rustls",
            Self::Memory => "memory",
            Self::Redb => "redb",
        }
    }
}

/// Where a server is dialled, and what its clients must know.
#[derive(Clone)]
pub(crate) enum Door {
    Tls(SocketAddr, Arc<rustls::ClientConfig>),
    Ours(NodeAddr),
}

impl Door {
    /// A client of its own name, who may log in.
    pub(crate) async fn client(self, number: usize) -> Arc<dyn Client> {
        match self {
            Self::Tls(address, config) => Arc::new(tls::Device::new(address, config)),
            Self::Ours(server) => Arc::new(ours::Device::register(server, number).await),
        }
    }
}

/// A running server: it ends when this is dropped.
pub(crate) struct Server {
    _running: Box<dyn Any + Send>,
    _file: Option<File>,
}

/// A file that goes with the server whose it is.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        // What is left in the system's temporary folder spoils no figure.
        let _left = std::fs::remove_file(&self.0);
    }
}

/// Starts a server on the runtime that this is called in.
pub(crate) async fn serve(kind: Kind) -> (Door, Server) {
    let (backend, file): (Arc<dyn Backend>, _) = match kind {
        Kind::Tls => {
            let (door, running) = tls::serve().await;
            return (door, Server { _running: Box::new(running), _file: None });
        }
        Kind::Memory => (Arc::new(Memory::new()), None),
        Kind::Redb => {
            let number = std::thread::current().id();
            let path = std::env::temp_dir().join(format!("login-{}-{number:?}.redb", std::process::id()));
            (Arc::new(Redb::open(&path).expect("a file")), Some(File(path)))
        }
    };
    let node = ours::serve(backend).await;
    (Door::Ours(node.addr()), Server { _running: Box::new(node), _file: file })
}

/// A server on a thread of its own: one async thread, and those that block for it.
pub(crate) struct Apart {
    name: String,
    door: Door,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Apart {
    pub(crate) fn start(kind: Kind) -> Self {
        // Linux keeps 15 bytes of a thread's name.
        let name = format!("on {}", kind.name());
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let own = name.clone();
        let serve = move || {
            let runtime = Builder::new_current_thread().thread_name(own).enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let (door, server) = serve(kind).await;
                tell.send(door).expect("who starts it waits");
                // It ends in either case.
                let _stopped = stopped.await;
                drop(server);
            });
        };
        let thread = std::thread::Builder::new().name(name.clone()).spawn(serve).expect("a thread");
        let door = told.recv().expect("a server");
        Self { name, door, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) const fn door(&self) -> &Door {
        &self.door
    }

    /// CPU time of its threads so far.
    pub(crate) fn cpu_nanos(&self) -> Option<f64> {
        measure::cpu_nanos(&self.name)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().into_iter().for_each(|thread| thread.join().expect("no panic"));
    }
}
