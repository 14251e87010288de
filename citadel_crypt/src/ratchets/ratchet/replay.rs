//! Which records of one key were opened: a sliding bitmap, as in RFC 6479 (`BestEffort`, unordered delivery).

use super::error::OpenError;

/// Records behind the highest one that may still be opened once.
pub(super) const WINDOW: u64 = 1024;

const WORD_BITS: u64 = u64::BITS as u64;
/// One word more than the window, so that it slides by whole words.
const WORDS: u64 = WINDOW / WORD_BITS + 1;

/// The window below `next`.
pub(super) struct ReplayWindow {
    next: u64,
    opened: [u64; WORDS as usize],
}

impl ReplayWindow {
    pub(super) fn new() -> Self {
        Self { next: 0, opened: [0; WORDS as usize] }
    }

    /// The number after the highest that was opened.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether a record with this number may be opened.
    pub(super) fn check(&self, counter: u64) -> Result<(), OpenError> {
        let behind = self.next.saturating_sub(counter);
        if counter < self.next && (behind > WINDOW || self.word(counter) >> (counter % WORD_BITS) & 1 == 1) {
            return Err(OpenError::Replayed);
        }
        Ok(())
    }

    /// The record with this number, which passed [`check`](Self::check), was opened.
    pub(super) fn mark(&mut self, counter: u64) {
        if counter >= self.next {
            let (top, new_top) = (self.next.saturating_sub(1) / WORD_BITS, counter / WORD_BITS);
            for word in (top + 1..=new_top).take(WORDS as usize) {
                self.opened[(word % WORDS) as usize] = 0;
            }
            self.next = counter + 1;
        }
        self.opened[(counter / WORD_BITS % WORDS) as usize] |= 1 << (counter % WORD_BITS);
    }

    fn word(&self, counter: u64) -> u64 {
        self.opened[(counter / WORD_BITS % WORDS) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A naive model: the set of opened numbers.
    fn may_open(opened: &BTreeSet<u64>, counter: u64) -> bool {
        let next = opened.last().map_or(0, |highest| highest + 1);
        counter >= next || (next - counter <= 1024 && !opened.contains(&counter))
    }

    #[test]
    fn it_agrees_with_a_set_on_every_walk() {
        let mut random = 1_u64;
        for _ in 0..20 {
            let (mut window, mut opened) = (ReplayWindow::new(), BTreeSet::new());
            for _ in 0..3000 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (reach, offset) = ([1, 70, 1100, 3000][(random >> 33) as usize % 4], random >> 40);
                let counter = (window.next() + 40).saturating_sub(offset % reach);
                assert_eq!(window.check(counter).is_ok(), may_open(&opened, counter), "{counter}");
                if window.check(counter).is_ok() {
                    window.mark(counter);
                    opened.insert(counter);
                }
            }
        }
    }
}
