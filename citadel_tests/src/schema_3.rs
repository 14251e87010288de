//! What the stored files of schema 3 of a backend hold: pairs and vouches, and usage without the number of requests.
//!
//! `tests/data/backend_3.redb` and `backend_3_sealed.redb` were written by these operations when schema 3 was the newest, and are
//! not written again. The second is sealed, all of it, under 32 bytes of 1.

use crate::backend_script::{Expected, Op};

/// The stored file, from the root of the repository.
pub const STORED: &str = "citadel_tests/tests/data/backend_3.redb";
/// The sealed one.
pub const SEALED: &str = "citadel_tests/tests/data/backend_3_sealed.redb";

/// The operations that made them, over the numbers of [`backend_script`](crate::backend_script). Those of tickets are last: a
/// dump does not show them.
pub fn operations() -> Vec<Op> {
    vec![
        Op::Create(0, 0, 1),
        Op::Create(1, 1, 2),
        Op::Create(2, 2, 3),
        Op::Push(0, 20),
        Op::Put(0, None, 1, 30, Expected::Absent),
        // 0 asks 1; 2 accepted 0; 1 blocks 2.
        Op::PutPair(0, 1, 1, 40, Expected::Absent, 2),
        Op::PutPair(0, 2, 11, 700, Expected::Absent, 2),
        Op::PutPair(1, 2, 4, 700, Expected::Absent, 2),
        Op::PutVouch(0, 0, 1, 40),
        Op::PutVouch(1, 1, 0, 700),
        Op::PutTicket(1, 30, 9),
    ]
}
