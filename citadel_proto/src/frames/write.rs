//! Writing frames, each in one pass straight into the record that will be sealed in place.

use super::{ChannelId, FinishedBy, Part, kind};
use crate::shutdown::CloseReason;
use bytes::{BufMut, BytesMut};
use citadel_crypt::handshake::Instance;

/// Writes a [`Frame::Rekey`](super::Frame::Rekey).
pub fn put_rekey(out: &mut BytesMut, message: &[u8]) {
    out.put_u8(kind::REKEY);
    put_bytes(out, message);
}

/// Writes a [`Frame::Ping`](super::Frame::Ping).
pub fn put_ping(out: &mut BytesMut, number: u64) {
    out.put_u8(kind::PING);
    put_number(out, number);
}

/// Writes a [`Frame::Pong`](super::Frame::Pong).
pub fn put_pong(out: &mut BytesMut, number: u64) {
    out.put_u8(kind::PONG);
    put_number(out, number);
}

/// Writes a [`Frame::Open`](super::Frame::Open).
pub fn put_open(out: &mut BytesMut, channel: ChannelId, name: &[u8]) {
    out.put_u8(kind::OPEN);
    put_number(out, channel.0);
    put_bytes(out, name);
}

/// Writes a [`Frame::Data`](super::Frame::Data). This is the one copy of a payload on its way out.
pub fn put_data(out: &mut BytesMut, channel: ChannelId, offset: u64, part: Part, payload: &[u8]) {
    out.put_u8(match part {
        Part::Whole => kind::DATA_WHOLE,
        Part::First { .. } => kind::DATA_FIRST,
        Part::Middle => kind::DATA_MIDDLE,
        Part::Last => kind::DATA_LAST,
    });
    put_number(out, channel.0);
    put_number(out, offset);
    if let Part::First { total } = part {
        put_number(out, total);
    }
    put_bytes(out, payload);
}

/// Writes a [`Frame::Datagram`](super::Frame::Datagram).
pub fn put_datagram(out: &mut BytesMut, datagram: &[u8]) {
    out.put_u8(kind::DATAGRAM);
    put_bytes(out, datagram);
}

/// Writes a [`Frame::Finish`](super::Frame::Finish).
pub fn put_finish(out: &mut BytesMut, channel: ChannelId, offset: u64, by: FinishedBy) {
    out.put_u8(match by {
        FinishedBy::Application => kind::FINISH,
        FinishedBy::Closing => kind::FINISH_CLOSING,
    });
    put_number(out, channel.0);
    put_number(out, offset);
}

/// Writes a [`Frame::Reset`](super::Frame::Reset).
pub fn put_reset(out: &mut BytesMut, channel: ChannelId, offset: u64, code: u32) {
    out.put_u8(kind::RESET);
    put_number(out, channel.0);
    put_number(out, offset);
    put_number(out, code.into());
}

/// Writes a [`Frame::Stop`](super::Frame::Stop).
pub fn put_stop(out: &mut BytesMut, channel: ChannelId, code: u32) {
    out.put_u8(kind::STOP);
    put_number(out, channel.0);
    put_number(out, code.into());
}

/// Writes a [`Frame::Ack`](super::Frame::Ack).
pub fn put_ack(out: &mut BytesMut, channel: ChannelId, received: u64, consumed: u64) {
    out.put_u8(kind::ACK);
    put_number(out, channel.0);
    put_number(out, received);
    put_number(out, consumed);
}

/// Writes a [`Frame::Credit`](super::Frame::Credit).
pub fn put_credit(out: &mut BytesMut, channel: ChannelId, limit: u64) {
    out.put_u8(kind::CREDIT);
    put_number(out, channel.0);
    put_number(out, limit);
}

/// Writes a [`Frame::SessionCredit`](super::Frame::SessionCredit).
pub fn put_session_credit(out: &mut BytesMut, limit: u64) {
    out.put_u8(kind::SESSION_CREDIT);
    put_number(out, limit);
}

/// Writes a [`Frame::ChannelCredit`](super::Frame::ChannelCredit).
pub fn put_channel_credit(out: &mut BytesMut, count: u64) {
    out.put_u8(kind::CHANNEL_CREDIT);
    put_number(out, count);
}

/// Writes a [`Frame::Closing`](super::Frame::Closing).
pub fn put_closing(out: &mut BytesMut, reason: &CloseReason, instance: Instance) {
    out.put_u8(kind::CLOSING);
    put_reason(out, reason, instance);
}

/// Writes a [`Frame::Close`](super::Frame::Close).
pub fn put_close(out: &mut BytesMut, reason: &CloseReason, instance: Instance) {
    out.put_u8(kind::CLOSE);
    put_reason(out, reason, instance);
}

fn put_reason(out: &mut BytesMut, reason: &CloseReason, instance: Instance) {
    out.put_u8(reason.kind());
    put_number(out, reason.code().into());
    let text = match reason {
        CloseReason::Application { text, .. } => text.as_bytes(),
        _ => &[],
    };
    put_bytes(out, text);
    out.put_slice(&instance.0);
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// The shortest form of a number below 2^62; every offset and count here stays below it.
fn put_number(out: &mut BytesMut, number: u64) {
    match number {
        0..=0x3f => out.put_u8(number as u8),
        0x40..=0x3fff => out.put_u16(0x4000 | number as u16),
        0x4000..=0x3fff_ffff => out.put_u32(0x8000_0000 | number as u32),
        _ => out.put_u64(0xc000_0000_0000_0000 | number),
    }
}
