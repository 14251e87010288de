//! Buffers of an endpoint, lent to sessions while bytes are on their way (R-SES-3: an idle session owns none).
//!
//! Without it every burst would ask the allocator for memory that it has just given back to the system, a page fault for each
//! 4 KiB of a message.

use crate::record::MAX_RECORD;
use bytes::BytesMut;
use parking_lot::Mutex;

/// Length of a buffer: two of the longest records, so that one is read while another is not whole.
pub(super) const BUFFER_LEN: usize = 2 * MAX_RECORD;
/// Buffers that are kept for the next to come: 2 MiB. Sessions that are busy at once may have more.
const KEPT: usize = 16;

/// The buffers of an endpoint.
#[derive(Default, Debug)]
pub(super) struct Buffers {
    shelf: Mutex<Shelf>,
}

#[derive(Default, Debug)]
struct Shelf {
    free: Vec<BytesMut>,
    lent: usize,
}

impl Buffers {
    /// An empty buffer of [`BUFFER_LEN`].
    pub(super) fn take(&self) -> BytesMut {
        let mut shelf = self.shelf.lock();
        shelf.lent += 1;
        let free = shelf.free.pop();
        drop(shelf);
        free.unwrap_or_else(|| BytesMut::with_capacity(BUFFER_LEN))
    }

    /// Takes back what is in `place`, if it is a buffer, and leaves nothing there. One of which a part is still in use
    /// elsewhere goes with that.
    pub(super) fn take_back(&self, place: &mut BytesMut) {
        let mut buffer = core::mem::take(place);
        if buffer.capacity() == 0 {
            return;
        }
        buffer.clear();
        let is_whole = buffer.try_reclaim(BUFFER_LEN);
        let mut shelf = self.shelf.lock();
        shelf.lent = shelf.lent.saturating_sub(1);
        if is_whole && shelf.free.len() < KEPT {
            shelf.free.push(buffer);
        }
    }

    /// Buffers that are on loan.
    #[cfg(test)]
    pub(super) fn lent(&self) -> usize {
        self.shelf.lock().lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_lent_again() {
        let buffers = Buffers::default();
        let mut first = buffers.take();
        first.extend_from_slice(b"bytes");
        drop(first.split_to(2));
        let memory = first.as_ptr();
        buffers.take_back(&mut first);
        assert_eq!((first.capacity(), buffers.lent()), (0, 0));
        let again = buffers.take();
        assert!(again.is_empty() && again.capacity() >= BUFFER_LEN);
        assert_eq!(again.as_ptr() as usize, memory as usize - 2);
    }

    #[test]
    fn no_more_are_kept_than_is_said() {
        let buffers = Buffers::default();
        let lent: Vec<_> = (0..KEPT + 3).map(|_| buffers.take()).collect();
        assert_eq!(buffers.lent(), KEPT + 3);
        lent.into_iter().for_each(|mut buffer| buffers.take_back(&mut buffer));
        assert_eq!(buffers.lent(), 0);
        assert_eq!(buffers.shelf.lock().free.len(), KEPT);
    }

    #[test]
    fn a_buffer_in_use_elsewhere_is_not_lent() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(&[1; 100]);
        let kept = buffer.split_to(50).freeze();
        buffers.take_back(&mut buffer);
        assert!(buffers.shelf.lock().free.is_empty());
        assert_eq!(kept.len(), 50);
    }
}
