//! What the stored file of schema 2 of a backend holds: nothing about peers, and usage without their number.
//!
//! `tests/data/backend_2.redb` was written by these operations when schema 2 was the newest, and is not written again.

use crate::backend_script::{Expected, Op};

/// The stored file, from the root of the repository.
pub const STORED: &str = "citadel_tests/tests/data/backend_2.redb";

/// The operations that made it, over the numbers of [`backend_script`](crate::backend_script). Those of tickets are last: a
/// dump does not show them.
pub fn operations() -> Vec<Op> {
    let mut ops = vec![
        Op::Create(0, 0, 1),
        Op::Create(1, 1, 2),
        Op::Create(2, 2, 3),
        Op::AddDevice(0, 4),
        Op::Revoke(0, 1, 5),
        Op::Update(1, true, true, 3, None),
        Op::Push(0, 20),
        Op::Push(0, 700),
        Op::RemoveMail(0, 1),
        Op::Push(1, 5),
        Op::Put(0, None, 1, 30, Expected::Absent),
        Op::Put(0, Some(1), 2, 2_500, Expected::Any),
        Op::Delete(0, None, 1, Expected::Current),
        Op::Put(1, Some(2), 3, 40, Expected::Any),
        Op::Put(2, None, 0, 3, Expected::Any),
        Op::Remove(2),
        Op::Create(2, 2, 6),
    ];
    ops.extend([Op::PutTicket(1, 30, 9), Op::PutTicket(2, 40, 9)]);
    ops
}
