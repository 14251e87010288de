//! Bounds-checked reading of statements and stored pins: from the front of a slice, little-endian, nothing copied but what
//! is returned.

use citadel_crypt::addr::PeerId;

/// Too short, out of range or not canonical. Whoever reads says what that means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

pub(super) fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = rest.split_at_checked(len).ok_or(Malformed)?;
    *rest = tail;
    Ok(head)
}

pub(super) fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, tail) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = tail;
    Ok(*head)
}

pub(super) fn take_u8(rest: &mut &[u8]) -> Result<u8, Malformed> {
    take_array(rest).map(|[byte]| byte)
}

pub(super) fn take_u64(rest: &mut &[u8]) -> Result<u64, Malformed> {
    take_array(rest).map(u64::from_le_bytes)
}

pub(super) fn take_peer(rest: &mut &[u8]) -> Result<PeerId, Malformed> {
    take_array(rest).map(PeerId)
}

/// A peer id that may be missing, as [`put_option`] wrote it.
pub(super) fn take_option(rest: &mut &[u8]) -> Result<Option<PeerId>, Malformed> {
    match take_u8(rest)? {
        0 => Ok(None),
        1 => take_peer(rest).map(Some),
        _ => Err(Malformed),
    }
}

/// A byte that says whether there is one, then the peer id.
pub(super) fn put_option(out: &mut Vec<u8>, peer: Option<PeerId>) {
    out.push(u8::from(peer.is_some()));
    if let Some(peer) = peer {
        out.extend_from_slice(peer.as_bytes());
    }
}
