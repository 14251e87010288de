//! What is in flight from one side, as a number: a set that only grows, or a queue.

use super::hash::FastMap;
use super::table::{Lists, Table};
use crate::rekey::Version;

/// All contents that were seen; content 0 is empty.
pub(super) struct Networks {
    ordered: bool,
    contents: Lists,
    added: FastMap<(u32, u32), u32>,
    pruned: FastMap<(u32, Version), u32>,
    taken: FastMap<u32, u32>,
}

impl Networks {
    pub(super) fn new(ordered: bool) -> Self {
        Self {
            ordered,
            contents: Lists::new(),
            added: FastMap::default(),
            pruned: FastMap::default(),
            taken: FastMap::default(),
        }
    }

    pub(super) fn get(&self, content: u32) -> &[u16] {
        self.contents.get(content)
    }

    /// `content` and the packets of list `sent` of `table`.
    pub(super) fn add(&mut self, table: &Table, content: u32, sent: u32) -> u32 {
        if sent == 0 {
            return content;
        }
        if let Some(known) = self.added.get(&(content, sent)) {
            return *known;
        }
        let mut packets = self.contents.get(content).to_vec();
        packets.extend_from_slice(table.lists.get(sent));
        if !self.ordered {
            packets.sort_unstable();
            packets.dedup();
        }
        let number = self.contents.number(packets);
        self.added.insert((content, sent), number);
        number
    }

    /// A set without what its receiver can never open again, now that it reads from `earliest` on.
    pub(super) fn prune(&mut self, table: &Table, sender: usize, content: u32, earliest: Version) -> u32 {
        // Packets of the two senders have numbers of their own, so the sender is part of the key.
        let key = (content * 2 + sender as u32, earliest);
        if let Some(known) = self.pruned.get(&key) {
            return *known;
        }
        let packets = self.contents.get(content).iter().copied();
        let packets = packets.filter(|packet| table.packet(sender, *packet).under >= earliest).collect();
        let number = self.contents.number(packets);
        self.pruned.insert(key, number);
        number
    }

    /// A queue without its first packet.
    pub(super) fn take(&mut self, content: u32) -> u32 {
        if let Some(known) = self.taken.get(&content) {
            return *known;
        }
        let number = self.contents.number(self.contents.get(content).iter().skip(1).copied().collect());
        self.taken.insert(content, number);
        number
    }
}
