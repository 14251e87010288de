//! The one-way chain of record keys in `Perfect` mode.
//!
//! A block's seed gives, in one stream of ChaCha20, the next block's seed and the keys of this block; it is then
//! overwritten by the former: a generator with fast key erasure (Bernstein, "Fast-key-erasure random-number
//! generators", 2017) over the stream cipher of RFC 8439. Every key is wiped by the record that it opened or sealed.
//! So what is kept at any time leads to keys not yet used, never to one that was.

use super::error::OpenError;
use crate::secret::Secret;
use crate::suite::kdf;
use std::collections::VecDeque;
use zeroize::Zeroize;

/// Keys of a block: enough to make the stream cheap for each, few enough to keep idle paths small.
pub(super) const BLOCK: u64 = 32;
/// How far ahead of the next expected record one may be.
pub(super) const MAX_JUMP: u64 = 1024;
/// Keys kept for records that were overtaken; beyond it the oldest go.
pub(super) const MAX_STORED: u64 = 2048;

const KEY_LEN: usize = 32;
const STREAM_LEN: usize = KEY_LEN * (1 + BLOCK as usize);

/// One direction of one path under one version, either end.
pub(super) struct Chain {
    /// Seed of block number `expanded`.
    seed: Secret<KEY_LEN>,
    expanded: u64,
    /// Blocks with keys left, oldest first.
    blocks: VecDeque<Box<Block>>,
    /// The lowest number that was never used; every key from here on is still there.
    next: u64,
    /// Keys left for numbers below `next`.
    stored: u64,
}

struct Block {
    number: u64,
    /// A bit for each key that is left.
    left: u32,
    /// Where the next seed stood, then the keys.
    stream: Secret<STREAM_LEN>,
}

impl Block {
    /// Block `number` of `seed`, which becomes the seed of the next one. It is overwritten where it stands: a seed
    /// that is moved leaves a copy that nobody wipes.
    fn expand(number: u64, seed: &mut Secret<KEY_LEN>) -> Box<Self> {
        let mut block = Box::new(Self { number, left: u32::MAX, stream: Secret::zero() });
        kdf::keystream(seed, block.stream.expose_mut());
        let head = &mut block.stream.expose_mut()[..KEY_LEN];
        seed.expose_mut().copy_from_slice(head);
        head.zeroize();
        block
    }

    /// The key of the `slot`-th record, if it was not used.
    fn key(&self, slot: usize) -> Option<&[u8]> {
        let start = KEY_LEN * (1 + slot);
        (self.left >> slot & 1 == 1).then(|| &self.stream.expose()[start..start + KEY_LEN])
    }

    fn wipe(&mut self, slot: usize) {
        let start = KEY_LEN * (1 + slot);
        self.stream.expose_mut()[start..start + KEY_LEN].zeroize();
        self.left &= !(1 << slot);
    }
}

impl Chain {
    pub(super) fn new(seed: Secret<KEY_LEN>) -> Self {
        Self { seed, expanded: 0, blocks: VecDeque::new(), next: 0, stored: 0 }
    }

    /// The number after the highest that was used.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Gives the key of record `counter` to `use_key`; if that succeeds the key is wiped, else nothing has changed.
    pub(super) fn with_key<T>(
        &mut self,
        counter: u64,
        use_key: impl FnOnce(&[u8]) -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        if counter.saturating_sub(self.next) > MAX_JUMP {
            return Err(OpenError::TooFarAhead);
        }
        let (number, slot) = (counter / BLOCK, (counter % BLOCK) as usize);
        let used = if number < self.expanded {
            self.with_expanded(number, slot, use_key)?
        } else {
            self.with_ahead(number, slot, use_key)?
        };
        self.mark(counter);
        Ok(used)
    }

    fn with_expanded<T>(
        &mut self,
        number: u64,
        slot: usize,
        use_key: impl FnOnce(&[u8]) -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        let at = self.blocks.binary_search_by_key(&number, |block| block.number);
        let at = at.map_err(|_| OpenError::Replayed)?;
        let block = &mut self.blocks[at];
        let used = use_key(block.key(slot).ok_or(OpenError::Replayed)?)?;
        block.wipe(slot);
        if block.left == 0 {
            self.blocks.remove(at);
        }
        Ok(used)
    }

    /// Blocks up to `number` are expanded on the side and kept only if the key is the right one.
    fn with_ahead<T>(
        &mut self,
        number: u64,
        slot: usize,
        use_key: impl FnOnce(&[u8]) -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        let mut seed = Secret::copy_from(self.seed.expose());
        let mut last = Block::expand(self.expanded, &mut seed);
        let mut passed = Vec::new();
        while last.number < number {
            let block = Block::expand(last.number + 1, &mut seed);
            passed.push(std::mem::replace(&mut last, block));
        }
        let used = use_key(last.key(slot).ok_or(OpenError::Replayed)?)?;
        last.wipe(slot);
        self.blocks.extend(passed);
        self.blocks.push_back(last);
        self.seed.expose_mut().copy_from_slice(seed.expose());
        self.expanded = number + 1;
        Ok(used)
    }

    fn mark(&mut self, counter: u64) {
        if counter < self.next {
            self.stored -= 1;
            return;
        }
        self.stored += counter - self.next;
        self.next = counter + 1;
        while self.stored > MAX_STORED {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(block) = self.blocks.front_mut() else {
            self.stored = 0;
            return;
        };
        block.wipe(block.left.trailing_zeros() as usize);
        self.stored -= 1;
        if block.left == 0 {
            self.blocks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Chain {
        Chain::new(Secret::copy_from(&[9; 32]))
    }

    fn key(chain: &mut Chain, counter: u64) -> Result<Vec<u8>, OpenError> {
        chain.with_key(counter, |key| Ok(key.to_vec()))
    }

    /// Everything the chain keeps, and everything that follows from it for a while.
    fn kept_and_derived(chain: &Chain) -> Vec<u8> {
        let mut bytes: Vec<u8> = chain.seed.expose().to_vec();
        for block in &chain.blocks {
            bytes.extend(block.stream.expose());
        }
        let mut seed = Secret::copy_from(chain.seed.expose());
        for number in chain.expanded..chain.expanded + 3 {
            bytes.extend(Block::expand(number, &mut seed).stream.expose());
            bytes.extend(seed.expose());
        }
        bytes
    }

    fn contains(bytes: &[u8], key: &[u8]) -> bool {
        bytes.windows(KEY_LEN).any(|window| window == key)
    }

    #[test]
    fn no_used_key_or_seed_is_kept_or_follows_from_what_is_kept() {
        let mut chain = chain();
        let mut gone = vec![chain.seed.expose().to_vec()];
        for counter in [0, 1, 40, 2, 31, 200, 199, 64, 63, 96] {
            let seed = chain.seed.expose().to_vec();
            gone.push(key(&mut chain, counter).unwrap());
            if chain.seed.expose()[..] != seed[..] {
                gone.push(seed);
            }
            let bytes = kept_and_derived(&chain);
            assert!(gone.iter().all(|secret| !contains(&bytes, secret)), "after record {counter}");
        }
        let unused = key(&mut self::chain(), 3).unwrap();
        assert!(contains(&kept_and_derived(&chain), &unused), "the search finds what is there");
    }

    #[test]
    fn a_record_that_does_not_open_changes_nothing() {
        let mut chain = chain();
        for counter in [5, 70] {
            key(&mut chain, counter).unwrap();
        }
        let state = |chain: &Chain| {
            let left: Vec<_> = chain.blocks.iter().map(|block| (block.number, block.left)).collect();
            (kept_and_derived(chain), left, chain.expanded, chain.next, chain.stored)
        };
        let before = state(&chain);
        for counter in [0, 5, 6, 69, 71, 96, 700, 71 + MAX_JUMP, 72 + MAX_JUMP, u64::MAX] {
            assert!(chain.with_key(counter, |_| Err::<(), _>(OpenError::NotAuthentic)).is_err());
            assert!(state(&chain) == before, "record {counter}");
        }
    }

    #[test]
    fn keys_do_not_depend_on_the_order_in_which_they_are_asked_for() {
        let (mut forth, mut back) = (chain(), chain());
        let rising: Vec<_> = (0..100).map(|counter| key(&mut forth, counter).unwrap()).collect();
        let mut falling: Vec<_> = (0..100).rev().map(|counter| key(&mut back, counter).unwrap()).collect();
        falling.reverse();
        assert_eq!(rising, falling);
        assert!((1..100).all(|at| !rising[at..].contains(&rising[at - 1])));
        assert!(forth.blocks.len() <= 1 && back.blocks.len() <= 1, "used blocks are gone");
    }

    #[test]
    fn overtaken_keys_are_bounded_and_the_oldest_go() {
        let mut chain = chain();
        for jump in 1..=20 {
            key(&mut chain, jump * (MAX_JUMP + 1) - 1).unwrap();
            assert!(chain.stored <= MAX_STORED);
            assert!(chain.blocks.len() as u64 <= MAX_STORED / BLOCK + 4);
        }
        assert_eq!(key(&mut chain, 0), Err(OpenError::Replayed));
    }
}
