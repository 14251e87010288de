//! Which path of a peer session is used: a lookup, never a certainty (R-SHUT-1).

use citadel_crypt::ratchets::PathId;

/// A way to a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Route {
    /// From end to end.
    Direct(PathId),
    /// Through the server; gone with the session to it.
    Relayed(PathId),
}

/// The ways to one peer that are proven and alive: at most one of each kind, for a new one takes the place of the old.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Routes {
    direct: Option<PathId>,
    relayed: Option<PathId>,
}

impl Routes {
    /// None.
    pub const fn new() -> Self {
        Self { direct: None, relayed: None }
    }

    /// One.
    pub const fn of(route: Route) -> Self {
        let mut routes = Self::new();
        routes.add(route);
        routes
    }

    /// `route` was proven.
    pub const fn add(&mut self, route: Route) {
        match route {
            Route::Direct(path) => self.direct = Some(path),
            Route::Relayed(path) => self.relayed = Some(path),
        }
    }

    /// `route` was lost; nothing if another took its place before.
    pub fn remove(&mut self, route: Route) {
        match route {
            Route::Direct(path) => drop(self.direct.take_if(|live| *live == path)),
            Route::Relayed(path) => drop(self.relayed.take_if(|live| *live == path)),
        }
    }

    /// The session to the server is over, and every way through it.
    pub const fn on_server_gone(&mut self) {
        self.relayed = None;
    }

    /// The way to use: the direct one, else the relayed one. `None` is an ordinary answer, during a shutdown above all.
    pub fn get_preferred_stream(&self) -> Option<Route> {
        self.direct.map(Route::Direct).or_else(|| self.relayed.map(Route::Relayed))
    }

    /// Whether the session to the server is the only thing that carries this one.
    pub fn is_relayed_only(&self) -> bool {
        matches!(self.get_preferred_stream(), Some(Route::Relayed(_)))
    }
}
