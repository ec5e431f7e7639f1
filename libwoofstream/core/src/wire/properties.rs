//! Properties that hold for every sequence of messages.

use super::*;
use crate::error::{Code, Result};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// A message that owns its payload.
type Owned = (u8, u8, u16, Vec<u8>);

/// Any message but `End`; some longer than a frame.
fn any_message() -> impl Strategy<Value = Owned> {
    let payload = prop_oneof![
        20 => vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 1_048_570..1_048_590usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    (1..=254u8, any::<u8>().prop_map(|flags| flags & !MORE), any::<u16>(), payload)
}

fn write(messages: &[Owned]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::preamble(&mut out);
    for (kind, flags, reserved, payload) in messages {
        encode::raw(&mut out, &Raw { kind: Kind(*kind), flags: *flags, reserved: *reserved, payload });
    }
    encode::end(&mut out, Ok(()));
    out
}

/// Decodes input that comes in pieces of these sizes, over and over. What was read, and how it ended.
fn read(input: &[u8], sizes: &[usize]) -> (Vec<Owned>, Result<usize>) {
    let mut decoder = Decoder::new(1 << 30);
    let (mut messages, mut ends) = (Vec::new(), 0);
    let (mut start, mut end) = (0, 0);
    let mut sizes = sizes.iter().cycle();
    loop {
        match decoder.step(&input[start..end]) {
            Err(err) => return (messages, Err(err)),
            Ok((used, step)) => {
                start += used;
                match step {
                    Step::Need(need) if end == input.len() => {
                        assert!(need > 0);
                        return (messages, decoder.finish(end - start).map(|()| ends));
                    }
                    Step::Need(_) => end = input.len().min(end + sizes.next().unwrap()),
                    Step::Preamble => {}
                    Step::Message(raw) => {
                        messages.push((raw.kind.0, raw.flags, raw.reserved, raw.payload.to_vec()));
                    }
                    Step::End(_) => ends += 1,
                }
            }
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("NaN equals nothing", |f| !f.is_nan()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        vec(any::<u8>(), 0..300).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::List),
            btree_map(any::<String>(), inner, 0..20).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_whatever_the_reads(
        messages in vec(any_message(), 0..12),
        sizes in vec(prop_oneof![1..50usize, 1..2_000_000usize], 1..8),
    ) {
        let (got, ends) = read(&write(&messages), &sizes);
        prop_assert!(got == messages);
        prop_assert_eq!(ends.unwrap(), 1);
    }

    #[test]
    fn a_cut_stream_gives_a_prefix_of_its_messages_and_says_so(
        messages in vec((1..=254u8, any::<u8>().prop_map(|flags| flags & !MORE), any::<u16>(), vec(any::<u8>(), 0..30)), 0..6),
        size in 1..64usize,
    ) {
        let whole = write(&messages);
        for len in 1..whole.len() {
            let (got, result) = read(&whole[..len], &[size]);
            prop_assert!(messages.starts_with(&got));
            prop_assert_eq!(result.unwrap_err().code(), Code::Cut);
        }
    }

    #[test]
    fn changed_bytes_never_panic(
        messages in vec(any_message(), 0..4),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
    ) {
        let mut input = write(&messages);
        for (at, byte) in changes {
            let at = at.index(input.len().min(200));
            input[at] = byte;
        }
        let (got, _) = read(&input, &[4096]);
        for (kind, flags, reserved, payload) in &got {
            let raw = Raw { kind: Kind(*kind), flags: *flags, reserved: *reserved, payload };
            let _ = raw.decode();
            let _ = raw.data();
        }
    }

    #[test]
    fn a_dir_comes_back_as_it_was(attrs in btree_map(any::<String>(), any_value(), 0..10)) {
        let dir = Dir { attrs };
        let mut out = Vec::new();
        encode::dir(&mut out, &dir).unwrap();
        prop_assert_eq!(Dir::decode(&out[8..]).unwrap(), dir);
    }

    #[test]
    fn any_bytes_decode_or_are_refused(payload in vec(any::<u8>(), 0..300)) {
        let _ = Dir::decode(&payload);
        for kind in 0..=11 {
            let _ = Raw { kind: Kind(kind), ..Raw::bytes(&payload) }.decode();
        }
    }
}
