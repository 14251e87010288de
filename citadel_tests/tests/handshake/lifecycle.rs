//! Deadlines, repeats, and what a machine does when it is over.

use crate::setup::{NOW, SOURCE, Setup};
use citadel_crypt::handshake::{
    ClientHandshake, FlightKind, Grant, Handled, HandshakeError, HandshakeTimer, Ignored, Input, Output,
    RefusalCode, ServerHandshake, Trust,
};
use citadel_crypt::ratchets::rekey::Side;
use citadel_tests::tamper::Answer;
use core::time::Duration;
use rstest::rstest;
use std::sync::Arc;

#[rstest]
#[case::hello(0)]
#[case::reply(1)]
#[case::proof(2)]
fn a_lost_flight_ends_in_the_deadline(#[case] lost: usize) {
    let ends = Setup::default().pair().run_over(&mut |number, _, flight| {
        if number >= lost { Vec::new() } else { vec![flight] }
    });
    assert_eq!(ends.client_error(), Some(HandshakeError::DeadlineExceeded));
    assert_eq!(ends.server_error(), Some(HandshakeError::DeadlineExceeded));
}

#[test]
fn a_lost_verdict_leaves_the_client_without_a_session() {
    let ends = Setup::default().pair().run_over(&mut |number, _, flight| {
        if number == 3 { Vec::new() } else { vec![flight] }
    });
    assert_eq!(ends.client_error(), Some(HandshakeError::DeadlineExceeded));
    assert!(matches!(ends.server, Some(Ok(_))));
    assert_eq!(ends.flights.len(), 4, "a client that gave up here says nothing");
}

#[test]
fn a_server_whose_application_never_decides_says_so_under_seal() {
    let mut setup = Setup::default();
    setup.client.common.deadline = Duration::from_secs(60);
    let ends = setup.pair().server_says(Answer::Silence).run();
    assert_eq!(ends.server_error(), Some(HandshakeError::DeadlineExceeded));
    let too_slow =
        HandshakeError::Refused { code: RefusalCode::DEADLINE, authenticated: true, retry_after: None };
    assert_eq!(ends.client_error(), Some(too_slow));
}

#[test]
fn a_client_whose_application_never_decides_shows_nothing() {
    let mut setup = Setup::default();
    setup.client.trust = Trust::Ask;
    setup.server.common.deadline = Duration::from_secs(60);
    let ends = setup.pair().client_says(Answer::Silence).run();
    assert_eq!(ends.client_error(), Some(HandshakeError::DeadlineExceeded));
    let too_slow =
        HandshakeError::Refused { code: RefusalCode::DEADLINE, authenticated: false, retry_after: None };
    assert_eq!(ends.server_error(), Some(too_slow));
    assert_eq!(ends.flights.len(), 3);
}

#[test]
fn the_deadline_is_exact_and_named() {
    let mut setup = Setup::default();
    setup.client.common.deadline = Duration::from_secs(3);
    let mut client = ClientHandshake::new(setup.client, NOW).unwrap();
    let deadline = NOW + Duration::from_secs(3);
    assert_eq!(client.poll_timeout(), Some((deadline, HandshakeTimer::Deadline)));
    assert_eq!(client.handle(NOW, Input::Timeout), Handled::Done);
    assert!(matches!(client.poll_output(), Some(Output::Send(_))));
    assert_eq!(client.handle(deadline, Input::Timeout), Handled::Failed(HandshakeError::DeadlineExceeded));
    assert!(matches!(client.poll_output(), Some(Output::Send(flight)) if flight == [6, 13, 0]));
    assert!(matches!(client.poll_output(), Some(Output::Failed(HandshakeError::DeadlineExceeded))));
    assert!(client.poll_output().is_none());
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn a_flight_after_the_deadline_is_too_late() {
    let setup = Setup::default();
    let hello = Setup::default().run().flights[0].1.clone();
    let late = NOW + setup.server.common.deadline;
    let mut server = ServerHandshake::new(Arc::new(setup.server), SOURCE, false, NOW).unwrap();
    let handled = server.handle(late, Input::Flight(&hello));
    assert_eq!(handled, Handled::Failed(HandshakeError::DeadlineExceeded));
}

#[rstest]
fn a_repeated_flight_changes_nothing(#[values(false, true)] retry: bool) {
    let setup = Setup { under_load: retry, ..Setup::default() };
    let ends = setup.pair().run_over(&mut |_, _, flight| vec![flight.clone(), flight]);
    let flights = if retry { 6 } else { 4 };
    assert_eq!(ends.flights.len(), flights);
    let repeats: Vec<_> =
        ends.handled.iter().filter(|(_, handled)| matches!(handled, Handled::Ignored(_))).collect();
    assert_eq!(repeats.len(), flights);
    assert!(ends.both_established());
}

#[rstest]
#[case::hello(0, FlightKind::Hello)]
#[case::reply(1, FlightKind::HelloReply)]
#[case::proof(2, FlightKind::Proof)]
fn what_is_not_a_repeat_byte_for_byte_ends_the_attempt(#[case] place: usize, #[case] kind: FlightKind) {
    let pair = Setup::default().pair().server_says(Answer::Silence);
    let ends = pair.run_over(&mut |number, _, flight| {
        let mut flights = vec![flight.clone()];
        if number == place {
            let mut other = flight;
            *other.last_mut().unwrap() ^= 1;
            flights.push(other);
        }
        flights
    });
    let error = if kind == FlightKind::HelloReply { ends.client_error() } else { ends.server_error() };
    assert_eq!(error, Some(HandshakeError::Unexpected(kind)));
}

#[test]
fn a_flight_of_another_session_is_refused() {
    let recorded = Setup::default().run().flights;
    for place in 0..4 {
        let ends = Setup::default().pair().run_over(&mut |number, _, flight| {
            vec![if number == place { recorded[place].1.clone() } else { flight }]
        });
        assert!(!ends.both_established(), "flight {place}");
        let error = match place {
            // The old Hello is a good Hello; its reply is not for this client.
            0 => ends.client_error(),
            1 => ends.client_error(),
            2 => ends.server_error(),
            _ => ends.client_error(),
        };
        let kind =
            [FlightKind::HelloReply, FlightKind::HelloReply, FlightKind::Proof, FlightKind::Verdict][place];
        assert_eq!(error, Some(HandshakeError::NotAuthentic(kind)), "flight {place}");
    }
}

#[test]
fn nothing_happens_after_the_end() {
    let setup = Setup::default();
    let mut client = ClientHandshake::new(setup.client, NOW).unwrap();
    while client.poll_output().is_some() {}
    let error = HandshakeError::Malformed(FlightKind::Unknown);
    assert_eq!(client.handle(NOW, Input::Flight(b"")), Handled::Failed(error));
    while client.poll_output().is_some() {}
    let honest = Setup::default().run().flights[1].1.clone();
    for input in [
        Input::Flight(&honest),
        Input::Accept(Grant::default()),
        Input::Refuse(RefusalCode::DENIED.into()),
        Input::Timeout,
    ] {
        assert_eq!(client.handle(NOW, input), Handled::Failed(error));
        assert!(client.poll_output().is_none());
    }
    assert_eq!(client.error(), Some(error));
}

#[test]
fn an_answer_without_a_question_is_ignored() {
    let setup = Setup::default();
    let mut client = ClientHandshake::new(setup.client, NOW).unwrap();
    let mut server = ServerHandshake::new(Arc::new(setup.server), SOURCE, false, NOW).unwrap();
    for input in [Input::Accept(Grant::default()), Input::Refuse(RefusalCode::DENIED.into())] {
        assert_eq!(server.handle(NOW, input), Handled::Ignored(Ignored::NotAsked));
    }
    assert_eq!(client.handle(NOW, Input::Accept(Grant::default())), Handled::Ignored(Ignored::NotAsked));
    assert!(matches!(client.poll_output(), Some(Output::Send(_))));
    assert!(server.poll_output().is_none());
    assert_eq!((client.error(), server.error()), (None, None));
}

#[test]
fn a_refusal_from_the_client_ends_the_server() {
    let ends = Setup::default().pair().run_over(&mut |_, side, flight| match side {
        Side::Initiator => vec![flight, vec![6, 12, 0]],
        Side::Responder => Vec::new(),
    });
    let aborted =
        HandshakeError::Refused { code: RefusalCode::ABORTED, authenticated: false, retry_after: None };
    assert_eq!(ends.server_error(), Some(aborted));
}
