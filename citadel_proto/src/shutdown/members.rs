//! The sessions of a node, as its end sees them.

use super::node::{Member, NodeStage};
use super::routes::Routes;
use citadel_crypt::handshake::Instance;
use std::collections::BTreeMap;

/// Sessions that are alive.
#[derive(Debug)]
pub(super) struct Members {
    map: BTreeMap<Instance, Entry>,
    /// How many there have been.
    count: u64,
}

#[derive(Debug)]
struct Entry {
    /// Those that came first go first: an instance says nothing of that.
    number: u64,
    member: Member,
    life: Life,
}

/// Whether the node has asked a session to close: once is enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Open,
    Closing,
}

/// Which sessions a step is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Concerns {
    /// Peers that only the server carries.
    Relayed,
    /// All peers: the relayed ones went before.
    Peers,
    /// All.
    All,
    /// This one.
    One(Instance),
}

impl Concerns {
    /// Those of a stage; none for a stage that is not about sessions.
    pub(super) const fn of(stage: NodeStage) -> Option<Self> {
        match stage {
            NodeStage::ClosingRelayed => Some(Self::Relayed),
            NodeStage::ClosingDirect => Some(Self::Peers),
            NodeStage::ClosingServer | NodeStage::Draining => Some(Self::All),
            _ => None,
        }
    }

    fn include(self, instance: Instance, entry: &Entry) -> bool {
        match (self, &entry.member) {
            (Self::One(one), _) => one == instance,
            (Self::All, _) | (Self::Peers, Member::Peer(_)) => true,
            (Self::Relayed, Member::Peer(routes)) => routes.is_relayed_only(),
            (Self::Peers | Self::Relayed, Member::Client | Member::Server) => false,
        }
    }
}

impl Members {
    pub(super) const fn new() -> Self {
        Self { map: BTreeMap::new(), count: 0 }
    }

    pub(super) fn insert(&mut self, instance: Instance, member: Member) {
        self.count += 1;
        self.map.insert(instance, Entry { number: self.count, member, life: Life::Open });
    }

    pub(super) fn reroute(&mut self, instance: Instance, routes: Routes) {
        if let Some(Entry { member: Member::Peer(known), .. }) = self.map.get_mut(&instance) {
            *known = routes;
        }
    }

    /// A session is over; with the server's go all ways through it. False if it was not known (any more).
    pub(super) fn remove(&mut self, instance: Instance) -> bool {
        let Some(entry) = self.map.remove(&instance) else { return false };
        if entry.member == Member::Server {
            for entry in self.map.values_mut() {
                if let Member::Peer(routes) = &mut entry.member {
                    routes.on_server_gone();
                }
            }
        }
        true
    }

    pub(super) fn routes(&self, instance: Instance) -> Option<&Routes> {
        match &self.map.get(&instance)?.member {
            Member::Peer(routes) => Some(routes),
            Member::Client | Member::Server => None,
        }
    }

    pub(super) fn any(&self, concerns: Concerns) -> bool {
        self.map.iter().any(|(instance, entry)| concerns.include(*instance, entry))
    }

    /// Those that are to close now and were not asked before.
    pub(super) fn begin(&mut self, concerns: Concerns) -> Vec<Instance> {
        let mut begun = Vec::new();
        for (instance, entry) in &mut self.map {
            if entry.life == Life::Open && concerns.include(*instance, entry) {
                entry.life = Life::Closing;
                begun.push((entry.number, *instance));
            }
        }
        by_number(begun)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Instance> {
        by_number(self.map.iter().map(|(instance, entry)| (entry.number, *instance)).collect()).into_iter()
    }

    /// All that are left, for the last time.
    pub(super) fn clear(&mut self) -> Vec<Instance> {
        let left = core::mem::take(&mut self.map).into_iter();
        by_number(left.map(|(instance, entry)| (entry.number, instance)).collect())
    }
}

fn by_number(mut members: Vec<(u64, Instance)>) -> Vec<Instance> {
    members.sort_unstable();
    members.into_iter().map(|(_, instance)| instance).collect()
}
