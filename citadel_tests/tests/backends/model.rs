//! Random lists of operations: a backend answers, and in the end holds, what the naive model does.

use super::setup::{Kind, new};
use citadel_tests::backend_script::{Dump, Expected, Model, Op};
use proptest::prelude::*;
use rstest::rstest;

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        3 => Just(Expected::Any),
        1 => Just(Expected::Absent),
        2 => Just(Expected::Current),
        1 => Just(Expected::Wrong),
    ]
}

fn length() -> impl Strategy<Value = u16> {
    prop_oneof![0..40_u16, Just(700), Just(2_500), Just(6_500)]
}

fn op() -> impl Strategy<Value = Op> {
    let (account, user, device, key) = (0..3_u8, 0..3_u8, 0..5_u8, 0..6_u8);
    let about = || prop_oneof![Just(None), Just(Some(1)), Just(Some(2))];
    let of = || account.clone();
    prop_oneof![
        6 => (of(), user.clone(), device.clone()).prop_map(|(a, u, d)| Op::Create(a, u, d)),
        2 => (of(), any::<bool>(), any::<bool>(), 0..9_u8, proptest::option::of(device.clone()))
            .prop_map(|(a, current, blocked, shown, keep)| Op::Update(a, current, blocked, shown, keep)),
        1 => of().prop_map(Op::Remove),
        3 => (of(), device.clone()).prop_map(|(a, d)| Op::AddDevice(a, d)),
        2 => (of(), device, 0..9_u8).prop_map(|(a, d, at)| Op::Revoke(a, d, at)),
        4 => (of(), length()).prop_map(|(a, len)| Op::Push(a, len)),
        2 => (of(), 0..12_u8).prop_map(|(a, up_to)| Op::RemoveMail(a, up_to)),
        8 => (of(), about(), key.clone(), length(), expected())
            .prop_map(|(a, about, key, len, expected)| Op::Put(a, about, key, len, expected)),
        2 => (of(), about(), key.clone(), expected())
            .prop_map(|(a, about, key, expected)| Op::Delete(a, about, key, expected)),
        2 => (0..3_u8, length(), 0..9_u8).prop_map(|(name, len, at)| Op::PutTicket(name, len % 4_000, at)),
        2 => (0..3_u8, 0..9_u8).prop_map(|(name, now)| Op::TakeTicket(name, now)),
        1 => (0..9_u8).prop_map(Op::Purge),
        1 => of().prop_map(Op::Account),
        1 => user.prop_map(Op::ByUser),
        2 => (of(), 0..12_u8, 0..5_u8).prop_map(|(a, after, limit)| Op::Mail(a, after, limit)),
        2 => (of(), about(), key.clone()).prop_map(|(a, about, key)| Op::Value(a, about, key)),
        6 => (of(), of(), 0..25_u8, length(), expected(), 1..3_u8)
            .prop_map(|(a, b, kind, len, expected, most)| Op::PutPair(a, b, kind, len, expected, most)),
        2 => (of(), of(), expected()).prop_map(|(a, b, expected)| Op::PutPair(a, b, 0, 0, expected, 2)),
        2 => (of(), 0..2_u8, 0..2_u8, length())
            .prop_map(|(a, subject, signer, len)| Op::PutVouch(a, subject, signer, len)),
        1 => (of(), of()).prop_map(|(a, b)| Op::Pair(a, b)),
        2 => (of(), proptest::option::of(of()), 0..3_u8)
            .prop_map(|(a, after, limit)| Op::Pairs(a, after, limit)),
        1 => of().prop_map(Op::Vouches),
        3 => (of(), about(), proptest::option::of(0..3_u8), proptest::option::of(key), 0..5_u8)
            .prop_map(|(a, about, first, after, limit)| Op::List(a, about, first, after, limit)),
    ]
}

async fn agrees(kind: Kind, ops: Vec<Op>) {
    let (backend, mut model) = (new(kind), Model::default());
    for (number, op) in ops.iter().enumerate() {
        let answer = op.run(&*backend, &model).await;
        assert_eq!(answer, model.apply(op), "operation {number}, {op:?}");
    }
    assert_eq!(Dump::of(&*backend).await.unwrap(), model.dump);
}

#[rstest]
fn answers_are_those_of_the_model(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cases = if kind == Kind::Memory { 512 } else { 96 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(ops in proptest::collection::vec(op(), 1..80))| {
        runtime.block_on(agrees(kind, ops));
    });
}

/// Pairs of three accounts that are all there, with little room: what is over goes, and what is not stays.
fn ops_of_pairs() -> impl Strategy<Value = Vec<Op>> {
    let half = || prop_oneof![2 => Just(0_u8), 4 => Just(1), 1 => Just(2), 3 => Just(3), 1 => Just(4)];
    let at = prop_oneof![3 => 0..20_u16, 2 => 20..40_u16];
    let expected = prop_oneof![8 => Just(Expected::Any), 1 => Just(Expected::Current)];
    let put = (0..3_u8, 1..3_u8, half(), half(), at, expected, 1..3_u8).prop_map(
        |(account, step, lower, upper, at, expected, most)| {
            Op::PutPair(account, (account + step) % 3, lower + 5 * upper, at, expected, most)
        },
    );
    let op = prop_oneof![
        12 => put,
        1 => (0..3_u8, 0..3_u8).prop_map(|(a, b)| Op::Pair(a, b)),
        1 => (0..3_u8).prop_map(|a| Op::Pairs(a, None, 3)),
    ];
    let accounts = (0..3_u8).map(|number| Op::Create(number, number, 0)).collect::<Vec<_>>();
    proptest::collection::vec(op, 4..24).prop_map(move |ops| accounts.iter().cloned().chain(ops).collect())
}

#[rstest]
fn pairs_come_go_and_lapse_as_in_the_model(#[values(Kind::Memory, Kind::Redb, Kind::Sealed)] kind: Kind) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cases = if kind == Kind::Memory { 512 } else { 64 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(ops in ops_of_pairs())| {
        runtime.block_on(agrees(kind, ops));
    });
}
