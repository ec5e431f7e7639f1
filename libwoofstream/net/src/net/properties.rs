//! Whatever bytes come, a session neither panics nor takes memory for them, and how they are cut makes no difference.

use super::{GREETING, Received, Request, Role, Session};
use proptest::prelude::*;

/// What a session makes of `bytes`, handed over in pieces of at most `step`.
fn outcome(role: Role, bytes: &[u8], step: usize) -> Vec<String> {
    let mut session = Session::new(role, 3);
    if role == Role::Client {
        session.open(b"x", 100).unwrap();
    }
    let (mut seen, mut start) = (Vec::new(), 0);
    for end in (step..bytes.len()).step_by(step).chain([bytes.len()]) {
        loop {
            match session.receive(&bytes[start..end]) {
                Ok((_, Received::Need(more))) => {
                    assert!(more > 0);
                    break;
                }
                Ok((used, received)) => {
                    assert!(used > 0 && used <= end - start);
                    start += used;
                    if let Received::Open { request, .. } = &received {
                        let _ = Request::decode(request);
                    }
                    seen.push(format!("{received:?}"));
                }
                Err(err) => {
                    seen.push(err.to_string());
                    return seen;
                }
            }
        }
    }
    assert!(session.output().len() <= 4096 + 20 * bytes.len());
    seen
}

/// Frames that are mostly right.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0..12u8, 0..5u32, prop::collection::vec(any::<u8>(), 0..20)).prop_map(
        |(kind, exchange, payload)| {
            let len = payload.len() as u8;
            [&[len, 0, 0, kind][..], &exchange.to_le_bytes(), &payload].concat()
        },
    );
    prop::collection::vec(frame, 0..20).prop_map(|frames| [&GREETING[..], &frames.concat()].concat())
}

proptest! {
    #[test]
    fn any_frames_cut_anywhere_mean_the_same(bytes in frames(), step in 1..50usize) {
        for role in [Role::Client, Role::Server] {
            prop_assert_eq!(outcome(role, &bytes, step), outcome(role, &bytes, bytes.len()));
        }
    }

    #[test]
    fn any_bytes_end_in_a_meaning_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for role in [Role::Client, Role::Server] {
            outcome(role, &bytes, 7);
            outcome(role, &[&GREETING[..], &bytes].concat(), 7);
        }
    }

    #[test]
    fn any_bytes_are_no_request_or_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::decode(&bytes);
    }
}
