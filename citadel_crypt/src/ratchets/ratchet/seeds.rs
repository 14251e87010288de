//! Seeds of a direction's paths in `Perfect` mode: derived one-way, each taken once and gone with that (R-CRY-6).
//!
//! ```text
//! octaves 0..   ─┬─ octave 0: path 0
//!                └─ octaves 1.. ─┬─ octave 1: paths 1, 2
//!                                └─ octaves 2.. ─ …          octave k: a binary tree over 2^k paths
//! ```
//!
//! The tree of Goldreich, Goldwasser and Micali (1986): taking a leaf replaces the node above it by the siblings
//! along the way, from which the leaf cannot be computed. Small path ids cost few steps, any id at most 128.

use super::config::PathId;
use crate::labels;
use crate::ratchets::schedule::expand_fields;
use crate::secret::Secret;

/// Seeds not yet taken.
pub(super) struct PathSeeds {
    /// Disjoint ranges; boxed seeds, so that a growing list leaves no copies behind.
    nodes: Vec<Node>,
}

struct Node {
    span: Span,
    seed: Box<Secret<32>>,
}

/// Which paths a node leads to.
#[derive(Clone, Copy)]
enum Span {
    /// All octaves from this one on.
    Octaves(u32),
    /// `2^height` paths from `first` on.
    Tree { first: u64, height: u32 },
}

impl Span {
    fn contains(self, path: u64) -> bool {
        match self {
            Self::Octaves(octave) => octave_of(path) >= octave,
            Self::Tree { first, height } => path >= first && (path - first) >> height == 0,
        }
    }

    /// Both halves of the span, unless it is a single path.
    fn halves(self) -> Option<[Self; 2]> {
        match self {
            Self::Octaves(octave) => {
                let tree = Self::Tree { first: (1 << octave) - 1, height: octave };
                Some([tree, Self::Octaves(octave + 1)])
            }
            Self::Tree { height: 0, .. } => None,
            Self::Tree { first, height } => {
                let height = height - 1;
                Some([Self::Tree { first, height }, Self::Tree { first: first + (1 << height), height }])
            }
        }
    }
}

/// Octave k holds the paths 2^k - 1 ..= 2^(k+1) - 2; the last id has none.
fn octave_of(path: u64) -> u32 {
    path.checked_add(1).map_or(u64::BITS, u64::ilog2)
}

impl PathSeeds {
    pub(super) fn new(seed: &Secret<32>) -> Self {
        let root = Node { span: Span::Octaves(0), seed: Box::new(Secret::copy_from(seed.expose())) };
        Self { nodes: vec![root] }
    }

    /// The seed of `path`, which is gone from here afterwards. `None` if it was taken before; also for the largest
    /// id, which no session reaches.
    pub(super) fn take(&mut self, path: PathId) -> Option<Box<Secret<32>>> {
        if octave_of(path.0) == u64::BITS {
            return None;
        }
        let at = self.nodes.iter().position(|node| node.span.contains(path.0))?;
        let mut node = self.nodes.swap_remove(at);
        while let Some(halves) = node.span.halves() {
            let [left, right] = split(&node.seed);
            let [left, right] = [Node { span: halves[0], seed: left }, Node { span: halves[1], seed: right }];
            let (down, sibling) = if left.span.contains(path.0) { (left, right) } else { (right, left) };
            self.nodes.push(sibling);
            node = down;
        }
        Some(node.seed)
    }
}

fn split(seed: &Secret<32>) -> [Box<Secret<32>>; 2] {
    let mut both = Secret::<64>::zero();
    expand_fields(seed, &[labels::NEXT_PATH.as_bytes()], both.expose_mut());
    let mut halves = [Box::new(Secret::zero()), Box::new(Secret::zero())];
    for (half, bytes) in halves.iter_mut().zip(both.expose().chunks_exact(32)) {
        half.expose_mut().copy_from_slice(bytes);
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn tree() -> PathSeeds {
        PathSeeds::new(&Secret::copy_from(&[7; 32]))
    }

    fn take(seeds: &mut PathSeeds, path: u64) -> Option<[u8; 32]> {
        seeds.take(PathId(path)).map(|seed| *seed.expose())
    }

    #[test]
    fn any_order_gives_the_same_seeds_and_each_once() {
        let (mut up, mut down) = (tree(), tree());
        let rising: Vec<_> = (0..40).map(|path| take(&mut up, path).unwrap()).collect();
        let mut falling: Vec<_> = (0..40).rev().map(|path| take(&mut down, path).unwrap()).collect();
        falling.reverse();
        assert_eq!(rising, falling);
        assert_eq!(rising.iter().collect::<BTreeSet<_>>().len(), 40);
        assert!((0..40).all(|path| take(&mut up, path).is_none()));
    }

    #[test]
    fn what_is_kept_does_not_contain_what_was_taken() {
        let mut seeds = tree();
        for path in [5, 0, 1 << 40, u64::MAX - 1] {
            take(&mut seeds, path).unwrap();
            assert!(seeds.nodes.iter().all(|node| !node.span.contains(path)), "path {path}");
        }
        assert!(take(&mut seeds, u64::MAX).is_none());
        assert!(seeds.nodes.len() <= 4 * 128);
        assert!(take(&mut seeds, 6).is_some());
    }
}
