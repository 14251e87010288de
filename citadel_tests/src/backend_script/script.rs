//! What the small numbers of operations stand for, and a long list of operations from a seed.

use super::op::{Expected, Op};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DeviceName, DisplayName, UserName};
use citadel_proto::backend::{PasswordHash, Quota, TicketName, UnixTime};
use citadel_proto::peers::{Half, Pair, Stance};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// When pairs are set: what was said at 0 to 19 is over by 30 days and 20 seconds.
pub const NOW: UnixTime = UnixTime(30 * 86_400 + 20);

/// Reached now and then.
pub const QUOTA: Quota = Quota { items: 6, bytes: 6_000 };

pub(super) fn cid(number: u8) -> Cid {
    Cid(u64::from(number) << 32 | 7)
}

pub(super) fn user(number: u8) -> UserName {
    UserName::new(char::from(b'a' + number).to_string()).expect("a letter is a user name")
}

pub(super) fn display_name(number: u8) -> DisplayName {
    DisplayName::new(format!("Number {number}")).expect("a short name")
}

pub(super) fn device_name(number: u8) -> DeviceName {
    DeviceName::new(format!("device {number}")).expect("a short name")
}

pub(super) fn password(number: u8) -> PasswordHash {
    PasswordHash::new(format!("$argon2id$canary-{number}")).expect("a short string")
}

pub(super) const fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

pub(super) fn ticket(number: u8) -> TicketName {
    TicketName::new(vec![number; 3]).expect("a short name")
}

pub(super) fn item(len: u16) -> Vec<u8> {
    (0..len).map(|at| (at ^ len).to_le_bytes()[0]).collect()
}

/// The pair of a number: 0 is nothing, the last digit to base 5 is the lower half.
pub(super) fn pair(number: u8, len: u16) -> Pair {
    let half = |kind: u8| {
        let stance = [Stance::Silent, Stance::Asked, Stance::Accepted, Stance::Declined, Stance::Silent];
        let statement = if kind == 0 { Vec::new() } else { item(len) };
        let at = UnixTime(u64::from(len));
        Half { stance: stance[usize::from(kind)], at, statement, blocks: kind == 4 }
    };
    Pair { lower: half(number % 5), upper: half(number / 5 % 5) }
}

/// A vouch, which says whose it is and of whom.
pub(super) fn vouch(subject: u8, signer: u8, len: u16) -> Vec<u8> {
    [vec![subject, signer], item(len)].concat()
}

/// `len` operations that change something, mostly, drawn from `seed`. The first creates an account.
pub fn script(seed: u64, len: usize) -> Vec<Op> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |bound: u64| u8::try_from(rng.next_u64() % bound).expect("bounds are small");
    let mut ops = vec![Op::Create(0, 0, 0)];
    while ops.len() < len {
        let account = below(3);
        let about = [None, Some(1), Some(2)][usize::from(below(3))];
        let expected =
            [Expected::Any, Expected::Any, Expected::Absent, Expected::Current][usize::from(below(4))];
        let length = [u16::from(below(40)), 700, 2_500, 5_000][usize::from(below(4))];
        ops.push(match below(32) {
            0..4 => Op::Create(account, below(3), below(4)),
            4..6 => Op::Update(
                account,
                below(4) > 0,
                below(2) == 0,
                below(9),
                [None, Some(below(4))][usize::from(below(2))],
            ),
            6 => Op::Remove(account),
            7..9 => Op::AddDevice(account, below(8)),
            9 => Op::Revoke(account, below(8), below(9)),
            10..13 => Op::Push(account, length),
            13 => Op::RemoveMail(account, below(20)),
            14..19 => Op::Put(account, about, below(6), length, expected),
            19 => Op::Delete(account, about, below(6), expected),
            20..22 => Op::PutTicket(below(3), u16::from(below(100)), below(9)),
            22 => Op::TakeTicket(below(3), below(9)),
            23..29 => {
                let other = (account + 1 + below(2)) % 3;
                let expected = [expected, Expected::Any][usize::from(below(2))];
                Op::PutPair(account, other, below(25), length, expected, 2)
            }
            29..31 => Op::PutVouch(account, below(2), below(2), length),
            _ => Op::Purge(below(9)),
        });
    }
    ops
}
