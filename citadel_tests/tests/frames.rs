//! Records and frames: every frame comes back as it was written, every truncation is refused, nothing panics.

use bytes::{Bytes, BytesMut};
use citadel_crypt::handshake::Instance;
use citadel_proto::frames::{self, Data, FinishedBy, Frame, FrameError, Frames, Part};
use citadel_proto::record::{self, HEADER_LEN, Header, MAX_PAYLOAD, MAX_RECORD, RecordError};
use citadel_proto::{ChannelId, CloseReason, Fault, PathLoss};
use proptest::prelude::*;

const LARGEST: u64 = (1 << 62) - 1;

fn write(frame: &Frame) -> BytesMut {
    let mut out = BytesMut::new();
    match frame {
        Frame::Rekey(bytes) => frames::put_rekey(&mut out, bytes),
        Frame::Ping(number) => frames::put_ping(&mut out, *number),
        Frame::Pong(number) => frames::put_pong(&mut out, *number),
        Frame::Open { channel, name } => frames::put_open(&mut out, *channel, name),
        Frame::Data(Data { channel, offset, part, payload }) => {
            frames::put_data(&mut out, *channel, *offset, *part, payload);
        }
        Frame::Finish { channel, offset, by } => frames::put_finish(&mut out, *channel, *offset, *by),
        Frame::Reset { channel, offset, code } => frames::put_reset(&mut out, *channel, *offset, *code),
        Frame::Stop { channel, code } => frames::put_stop(&mut out, *channel, *code),
        Frame::Ack { channel, received, consumed } => {
            frames::put_ack(&mut out, *channel, *received, *consumed);
        }
        Frame::Credit { channel, limit } => frames::put_credit(&mut out, *channel, *limit),
        Frame::SessionCredit { limit } => frames::put_session_credit(&mut out, *limit),
        Frame::ChannelCredit { count } => frames::put_channel_credit(&mut out, *count),
        Frame::Closing { reason, instance } => frames::put_closing(&mut out, reason, *instance),
        Frame::Close { reason, instance } => frames::put_close(&mut out, reason, *instance),
        Frame::Datagram(bytes) => frames::put_datagram(&mut out, bytes),
        Frame::Skipped(kind) => out.extend_from_slice(&[*kind, 2, 0xaa, 0xbb]),
    }
    out
}

fn reasons() -> impl Strategy<Value = CloseReason> {
    prop_oneof![
        (any::<u32>(), ".{0,60}").prop_map(|(code, text)| CloseReason::application(code, &text)),
        Just(CloseReason::PeerClosing),
        Just(CloseReason::GoingAway),
        Just(CloseReason::Idle),
        Just(CloseReason::Aborted),
        Just(CloseReason::HandlerPanicked),
        any::<u32>().prop_map(|code| CloseReason::Fatal(Fault::from_code(code))),
        any::<u32>().prop_map(|code| CloseReason::PathLost(PathLoss::from_code(code))),
        Just(CloseReason::Superseded),
        Just(CloseReason::Revoked),
    ]
}

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..=max).prop_map(Bytes::from)
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let number = || prop_oneof![0..70_u64, 0..20_000_u64, 0..(1_u64 << 31), 0..=LARGEST];
    let channel = move || number().prop_map(ChannelId);
    let instance = || any::<[u8; 16]>().prop_map(Instance);
    let by = prop_oneof![Just(FinishedBy::Application), Just(FinishedBy::Closing)];
    let part = prop_oneof![
        Just(Part::Whole),
        number().prop_map(|total| Part::First { total }),
        Just(Part::Middle),
        Just(Part::Last)
    ];
    prop_oneof![
        bytes(200).prop_map(Frame::Rekey),
        number().prop_map(Frame::Ping),
        number().prop_map(Frame::Pong),
        (channel(), bytes(255)).prop_map(|(channel, name)| Frame::Open { channel, name }),
        (channel(), number(), part, bytes(100))
            .prop_filter("a piece has bytes", |(_, _, part, payload)| *part == Part::Whole
                || !payload.is_empty())
            .prop_map(|(channel, offset, part, payload)| Frame::Data(Data {
                channel,
                offset,
                part,
                payload
            })),
        (channel(), number(), by).prop_map(|(channel, offset, by)| Frame::Finish { channel, offset, by }),
        (channel(), number(), any::<u32>()).prop_map(|(channel, offset, code)| Frame::Reset {
            channel,
            offset,
            code
        }),
        (channel(), any::<u32>()).prop_map(|(channel, code)| Frame::Stop { channel, code }),
        (channel(), number(), number()).prop_map(|(channel, received, consumed)| Frame::Ack {
            channel,
            received,
            consumed
        }),
        (channel(), number()).prop_map(|(channel, limit)| Frame::Credit { channel, limit }),
        number().prop_map(|limit| Frame::SessionCredit { limit }),
        number().prop_map(|count| Frame::ChannelCredit { count }),
        (reasons(), instance()).prop_map(|(reason, instance)| Frame::Closing { reason, instance }),
        (reasons(), instance()).prop_map(|(reason, instance)| Frame::Close { reason, instance }),
        bytes(300).prop_map(Frame::Datagram),
        (0x41..=0x7f_u8).prop_map(Frame::Skipped),
    ]
}

proptest! {
    #[test]
    fn frames_come_back_as_they_were_written_and_in_order(list in proptest::collection::vec(any_frame(), 0..12)) {
        let record: BytesMut = list.iter().map(write).fold(BytesMut::new(), |mut all, one| {
            all.extend_from_slice(&one);
            all
        });
        let read: Result<Vec<Frame>, FrameError> = Frames::new(record.freeze()).collect();
        prop_assert_eq!(read, Ok(list));
    }

    #[test]
    fn a_frame_that_is_cut_short_is_refused_wherever_it_is_cut(frame in any_frame()) {
        let whole = write(&frame).freeze();
        for end in 1..whole.len() {
            let cut: Vec<_> = Frames::new(whole.slice(..end)).collect();
            prop_assert_eq!(cut, vec![Err(FrameError::Malformed)], "cut to {} of {}", end, whole.len());
        }
    }

    #[test]
    fn noise_never_panics_and_ends_at_the_first_error(noise in bytes(300)) {
        let read: Vec<_> = Frames::new(noise).collect();
        let errors = read.iter().filter(|frame| frame.is_err()).count();
        prop_assert!(errors == 0 || (errors == 1 && read.last().is_some_and(Result::is_err)));
    }

    #[test]
    fn headers_come_back(version_bits in any::<u8>(), body_len in 17..=1 + MAX_PAYLOAD + 16) {
        let header = Header { version_bits, body_len };
        prop_assert_eq!(Header::parse(header.encode()), Ok(header));
    }

    #[test]
    fn records_are_split_off_wherever_reads_end(lens in proptest::collection::vec(17..400_usize, 0..20), cut in 1..97_usize) {
        let mut stream = Vec::new();
        for (i, len) in lens.iter().enumerate() {
            stream.extend_from_slice(&Header { version_bits: i as u8, body_len: *len }.encode());
            stream.extend(std::iter::repeat_n(i as u8, *len));
        }
        let mut received = BytesMut::new();
        let mut records = Vec::new();
        for chunk in stream.chunks(cut) {
            received.extend_from_slice(chunk);
            while let Some(raw) = record::split(&mut received).unwrap() {
                prop_assert!(raw.body.iter().all(|byte| *byte == raw.header[0]));
                records.push(raw.body.len());
            }
            prop_assert!(record::missing(&received) > 0);
        }
        prop_assert_eq!(records, lens);
        prop_assert!(received.is_empty());
    }
}

#[test]
fn lengths_that_no_record_has_are_refused_before_anything_is_reserved() {
    assert_eq!(MAX_PAYLOAD, 64 * 1024 + 64);
    assert_eq!(MAX_RECORD, 4 + 1 + 64 * 1024 + 64 + 16);
    for len in [0, 1, 16, 1 + MAX_PAYLOAD + 17, 0xff_ffff] {
        let header = Header { version_bits: 0, body_len: len }.encode();
        assert_eq!(Header::parse(header), Err(RecordError::Length(len)));
        let mut received = BytesMut::from(&header[..]);
        let capacity = received.capacity();
        assert_eq!(record::split(&mut received).err(), Some(RecordError::Length(len)));
        assert_eq!((received.capacity(), record::missing(&received)), (capacity, 0));
    }
    assert_eq!(HEADER_LEN, 4);
}

#[test]
fn the_bytes_of_each_frame_are_what_they_were() {
    let instance = Instance([7; 16]);
    let (channel, payload) = (ChannelId(300), Bytes::from_static(b"abc"));
    let cases: [(Frame, &str); 8] = [
        (Frame::Ping(5), "0205"),
        (Frame::Open { channel, name: payload.clone() }, "10412c03616263"),
        (Frame::Data(Data { channel, offset: 70_000, part: Part::Whole, payload }), "11412c8001117003616263"),
        (Frame::Finish { channel, offset: 63, by: FinishedBy::Application }, "15412c3f"),
        (Frame::Finish { channel, offset: 64, by: FinishedBy::Closing }, "1c412c4040"),
        (Frame::Ack { channel, received: 1 << 30, consumed: 2 }, "18412cc00000004000000002"),
        (Frame::SessionCredit { limit: LARGEST }, "1affffffffffffffff"),
        (
            Frame::Close { reason: CloseReason::application(9, "x"), instance },
            "050009017807070707070707070707070707070707",
        ),
    ];
    for (frame, hex) in cases {
        let written: String = write(&frame).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, hex, "{frame:?}");
    }
}

#[test]
fn debug_of_a_frame_shows_no_payload() {
    let payload = Bytes::from_static(b"canary-payload");
    let frame = Frame::Data(Data { channel: ChannelId(1), offset: 0, part: Part::Whole, payload });
    assert!(!format!("{frame:?}").contains("canary"));
}
