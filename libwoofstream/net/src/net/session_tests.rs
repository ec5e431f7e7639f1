//! What sessions do with frames, right and wrong ones.

use super::{GREETING, Received, Role, Session};
use woof_core::error::{Code, Error};
use woof_core::limits::{NET_FRAME_MAX, PUT_CREDIT};
use woof_core::wire::Fault;

/// Hands all of `bytes` over and gives what came, in words.
fn hand_over(to: &mut Session, bytes: &[u8]) -> Result<Vec<String>, Error> {
    let (mut rest, mut seen) = (bytes, Vec::new());
    loop {
        let (used, received) = to.receive(rest)?;
        match received {
            Received::Need(_) => return Ok(seen),
            Received::Nothing => {}
            Received::Data { exchange, bytes } => seen.push(format!("data {exchange} {}", bytes.len())),
            Received::Open { exchange, request } => {
                seen.push(format!("open {exchange} {}", String::from_utf8_lossy(request)));
            }
            Received::Cancel(exchange, fault) => seen.push(format!("cancel {exchange} {fault}")),
            other => seen.push(format!("{other:?}")),
        }
        rest = &rest[used..];
    }
}

fn pass(from: &mut Session, to: &mut Session) -> Vec<String> {
    let bytes = std::mem::take(from.output());
    hand_over(to, &bytes).unwrap()
}

fn pair(exchanges: usize) -> (Session, Session) {
    let (mut client, mut server) = (Session::new(Role::Client, 1), Session::new(Role::Server, exchanges));
    assert!(pass(&mut client, &mut server).is_empty());
    assert!(pass(&mut server, &mut client).is_empty());
    (client, server)
}

fn frame(len: usize, kind: u8, exchange: u32, payload: &[u8]) -> Vec<u8> {
    let len = len.to_le_bytes();
    [&[len[0], len[1], len[2], kind][..], &exchange.to_le_bytes(), payload].concat()
}

#[test]
fn a_request_and_its_first_data_travel_together() {
    let (mut client, mut server) = (Session::new(Role::Client, 1), Session::new(Role::Server, 4));
    let exchange = client.open(b"put", 100).unwrap();
    assert_eq!(client.send(exchange, &[7; 10]), 10);
    client.end(exchange);
    assert_eq!(pass(&mut client, &mut server), ["open 1 put", "data 1 10", "End(1)"]);
    assert_eq!(server.send(1, b"done"), 4);
    server.end(1);
    assert_eq!(pass(&mut server, &mut client), ["data 1 4", "End(1)"]);
    assert_eq!((client.open_count(), server.open_count()), (0, 0));
}

#[test]
fn nothing_is_sent_without_credit_and_used_bytes_give_it_back() {
    let (mut client, mut server) = pair(4);
    let exchange = client.open(b"get", 1000).unwrap();
    pass(&mut client, &mut server);
    assert_eq!(server.send(1, &[0; 5000]), 1000);
    assert_eq!(server.send(1, &[0; 5000]), 0);
    pass(&mut server, &mut client);
    client.used(exchange, 249);
    assert!(client.output().is_empty());
    client.used(exchange, 1);
    assert_eq!(pass(&mut client, &mut server), ["Credit(1)"]);
    assert_eq!(server.send(1, &[0; 5000]), 250);
}

#[test]
fn a_put_has_credit_before_it_is_told_and_more_later() {
    let (mut client, mut server) = pair(4);
    let exchange = client.open(b"put", 1000).unwrap();
    assert_eq!(client.credit(exchange), PUT_CREDIT as usize);
    pass(&mut client, &mut server);
    server.widen(1, 3 * PUT_CREDIT);
    pass(&mut server, &mut client);
    assert_eq!(client.credit(exchange), 3 * PUT_CREDIT as usize);
}

#[test]
fn a_slow_exchange_does_not_hold_up_another() {
    let (mut client, mut server) = pair(4);
    let (_, fast) = (client.open(b"slow", 10).unwrap(), client.open(b"fast", 1 << 20).unwrap());
    pass(&mut client, &mut server);
    assert_eq!(server.send(1, &[0; 100]), 10);
    assert_eq!(server.send(fast, &[0; 100_000]), 100_000);
    assert_eq!(pass(&mut server, &mut client), ["data 1 10", "data 2 65536", "data 2 34464"]);
}

#[test]
fn a_cancel_ends_both_ways_and_what_was_under_way_is_ignored() {
    let (mut client, mut server) = pair(4);
    let exchange = client.open(b"put", 1000).unwrap();
    pass(&mut client, &mut server);
    server.send(1, b"under way");
    let fault = Fault::from(&Error::new(Code::Denied, "farm", "no"));
    client.cancel(exchange, &fault);
    assert_eq!(pass(&mut client, &mut server), ["cancel 1 farm: no"]);
    assert!(pass(&mut server, &mut client).is_empty());
    assert_eq!(server.send(1, b"more"), 0);
    // Twice, and of what never was.
    client.cancel(exchange, &fault);
    client.cancel(99, &fault);
    assert!(client.output().is_empty());
    for kind in [2, 3] {
        let payload: &[u8] = if kind == 2 { b"x" } else { b"" };
        assert!(hand_over(&mut server, &frame(payload.len(), kind, 77, payload)).unwrap().is_empty());
    }
}

#[test]
fn one_exchange_too_many_is_refused_and_the_others_go_on() {
    let (mut client, mut server) = pair(2);
    for _ in 0..3 {
        client.open(b"get", 1000).unwrap();
    }
    assert_eq!(pass(&mut client, &mut server), ["open 1 get", "open 2 get"]);
    assert_eq!(
        pass(&mut server, &mut client),
        ["cancel 3 2 exchanges are open on this connection, the limit of this server (--max-exchanges)"]
    );
    assert_eq!(server.send(2, b"x"), 1);
}

#[test]
fn a_ping_is_answered_and_a_goaway_is_told() {
    let (mut client, mut server) = pair(2);
    client.ping();
    assert!(pass(&mut client, &mut server).is_empty());
    assert_eq!(pass(&mut server, &mut client), ["Pong"]);
    server.goaway(&Fault::from(&Error::new(Code::Io, "", "the server stops")));
    assert!(pass(&mut server, &mut client)[0].contains("the server stops"));
}

#[test]
fn what_is_against_the_protocol_is_an_error_by_name() {
    let wrong: [(&[u8], &str); 14] = [
        (&frame(NET_FRAME_MAX + 1, 2, 1, b""), "frame of 131073 bytes, the limit is 131072"),
        (&frame(0, 9, 1, b""), "a frame of the unknown kind 9"),
        (&frame(0, 0, 1, b""), "a frame of the unknown kind 0"),
        (&frame(0, 2, 1, b""), "protocol error: a frame of data without data"),
        (&frame(11, 2, 1, &[0; 11]), "protocol error: data of exchange 1 without credit"),
        (&frame(1, 3, 1, b"x"), "protocol error: end frame with 1 bytes instead of 0"),
        (&frame(3, 5, 1, b"xxx"), "protocol error: credit frame with 3 bytes instead of 4"),
        (&frame(4, 5, 1, &[0xff; 4]), "protocol error: credit of exchange 1 over 2147483648 bytes"),
        (&frame(1, 6, 0, b"x"), "protocol error: ping frame with 1 bytes instead of 8"),
        (&frame(8, 6, 5, &[0; 8]), "protocol error: frame of kind 6 for exchange 5"),
        (&frame(1, 2, 0, b"x"), "protocol error: frame of kind 2 for exchange 0"),
        (&frame(5, 1, 7, &[0; 5]), "protocol error: a request from a server"),
        (&frame(1, 4, 1, b"\xc1"), "a fault is damaged"),
        (&frame(1, 8, 0, b"\xc1"), "a fault is damaged"),
    ];
    for (bytes, text) in wrong {
        let (mut client, _) = pair(2);
        client.open(b"get", 10).unwrap();
        let err = hand_over(&mut client, bytes).unwrap_err();
        assert!(err.to_string().starts_with(text), "{err}");
    }
    let requests: [(&[u8], &str); 3] = [
        (&frame(3, 1, 7, b"xxx"), "protocol error: a request of 3 bytes"),
        (&frame(4, 1, 7, &[0xff; 4]), "protocol error: credit of exchange 7 over"),
        (
            &[frame(5, 1, 7, &[0; 5]), frame(5, 1, 7, &[0; 5])].concat(),
            "protocol error: exchange 7 after exchange 7",
        ),
    ];
    for (bytes, text) in requests {
        let (_, mut server) = pair(2);
        let err = hand_over(&mut server, bytes).unwrap_err();
        assert!(err.to_string().starts_with(text), "{err}");
    }
}

#[test]
fn kinds_of_the_future_are_ignored() {
    let (_, mut server) = pair(2);
    assert!(hand_over(&mut server, &frame(3, 200, 12, b"abc")).unwrap().is_empty());
}

#[test]
fn another_version_and_another_protocol_are_told_apart() {
    let mut later = GREETING;
    later[7] = 7;
    let err = hand_over(&mut Session::new(Role::Server, 1), &later).unwrap_err();
    assert_eq!(err.to_string(), "protocol version 7, this server speaks version 1");
    let err = hand_over(&mut Session::new(Role::Client, 1), &later).unwrap_err();
    assert_eq!(err.to_string(), "the server speaks protocol version 7, this program version 1");
    for other in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\x89WOOF\r\n\x01"] {
        let err = hand_over(&mut Session::new(Role::Server, 1), other).unwrap_err();
        assert_eq!(err.to_string(), "the other side does not speak the protocol of woofs");
    }
}
