//! Structured messages: what is read, what is refused, and that claims take no memory.

use super::*;
use crate::wire::{Addr, Dir, Fault, Value, encode};
use std::collections::BTreeMap;

fn payload_of(dir: &Dir) -> Vec<u8> {
    let mut out = Vec::new();
    encode::dir(&mut out, dir).unwrap();
    out.split_off(8)
}

fn dir_refusal(payload: &[u8]) -> (Code, String) {
    let err = Dir::decode(payload).unwrap_err();
    (err.code(), err.to_string())
}

#[test]
fn a_dir_is_a_map_in_order_of_the_names() {
    let dir = Dir::new().set("size", 300u64).set("name", "a");
    let expected = b"\x82\xa4name\xa1a\xa4size\xcd\x01\x2c";
    assert_eq!(payload_of(&dir), expected);
    assert_eq!(Dir::decode(expected).unwrap(), dir);
}

#[test]
fn every_value_comes_back_as_it_was() {
    let map = BTreeMap::from([("k".to_owned(), Value::from(1i64))]);
    let dir = Dir::new()
        .set("bool", true)
        .set("bytes", &b"\xff\x00"[..])
        .set("float", 21.5)
        .set("int", i64::MIN)
        .set("list", vec![Value::Nil, Value::from("x")])
        .set("map", map)
        .set("nil", None::<bool>)
        .set("text", "Grüße\n")
        .set("uint", u64::MAX);
    let back = Dir::decode(&payload_of(&dir)).unwrap();
    assert_eq!(back, dir);
    assert_eq!(back.int("int"), Some(i64::MIN));
    assert_eq!((back.uint("int"), back.int("uint"), back.uint("uint")), (None, None, Some(u64::MAX)));
}

#[test]
fn integers_of_every_width_read_the_same() {
    for five in [
        &b"\x05"[..],
        b"\xcc\x05",
        b"\xcd\x00\x05",
        b"\xce\x00\x00\x00\x05",
        b"\xd0\x05",
        b"\xd1\x00\x05",
        b"\xd3\x00\x00\x00\x00\x00\x00\x00\x05",
        b"\xcf\x00\x00\x00\x00\x00\x00\x00\x05",
    ] {
        let payload = [b"\x81\xa1n", five].concat();
        assert_eq!(Dir::decode(&payload).unwrap(), Dir::new().set("n", 5i64));
    }
    // A float of four bytes, and a map with a length of four bytes.
    let payload = b"\xdf\x00\x00\x00\x01\xa1n\xca\x3f\x80\x00\x00";
    assert_eq!(Dir::decode(payload).unwrap(), Dir::new().set("n", 1.0));
}

#[test]
fn lengths_that_are_only_claimed_take_no_memory() {
    let early = (Code::Damaged, "dir message is damaged: it ends early".to_owned());
    assert_eq!(dir_refusal(b"\xdf\xff\xff\xff\xff"), early);
    assert_eq!(dir_refusal(b"\x81\xa1a\xdd\xff\xff\xff\xff"), early);
    assert_eq!(dir_refusal(b"\x81\xa1a\xdb\xff\xff\xff\xff"), early);
    assert_eq!(dir_refusal(b"\x81\xa1a\xc6\xff\xff\xff\xff"), early);
    assert_eq!(dir_refusal(b"\x81\xdb\xff\xff\xff\xff"), early);
}

#[test]
fn nesting_is_limited_both_ways() {
    // The map of the Dir is the first level.
    let nested = |levels: usize| (1..levels).fold(Value::Nil, |inner, _| Value::List(vec![inner]));
    let deepest = Dir::new().set("a", nested(limits::STRUCTURED_DEPTH_MAX - 1));
    assert_eq!(Dir::decode(&payload_of(&deepest)).unwrap(), deepest);

    let mut out = vec![1];
    let refused = "dir message is nested deeper than 32";
    let err = encode::dir(&mut out, &Dir::new().set("a", nested(100))).unwrap_err();
    assert_eq!((err.code(), err.to_string()), (Code::TooLarge, refused.to_owned()));
    assert_eq!(out, [1]);
    assert_eq!(
        dir_refusal(&[&b"\x81\xa1a"[..], &[0x91; 100_000]].concat()),
        (Code::TooLarge, refused.to_owned())
    );
    assert_eq!(dir_refusal(&[&b"\x81\xa1a"[..], &[0x91; 40], b"\xc0"].concat()).0, Code::TooLarge);
}

#[test]
fn size_is_limited_both_ways() {
    let mut out = Vec::new();
    let err = encode::dir(&mut out, &Dir::new().set("a", vec![0u8; limits::STRUCTURED_MAX])).unwrap_err();
    assert_eq!(err.to_string(), "dir message is 1048584 bytes, the limit is 1048576");
    assert!(out.is_empty());
    assert_eq!(dir_refusal(&vec![0; 1_048_577]).0, Code::TooLarge);
    let largest = Dir::new().set("a", vec![0u8; limits::STRUCTURED_MAX - 8]);
    assert_eq!(Dir::decode(&payload_of(&largest)).unwrap(), largest);
}

#[test]
fn what_is_no_dir_is_damaged() {
    assert_eq!(dir_refusal(b"").1, "dir message is damaged: it ends early");
    assert_eq!(dir_refusal(b"\x80\x00").1, "dir message is damaged: 1 bytes after its value");
    assert_eq!(dir_refusal(b"\x82\xa1a\x01\xa1a\x02").1, "dir message is damaged: a name comes twice");
    assert_eq!(dir_refusal(b"\x81\x01\x02").0, Code::Damaged);
    assert_eq!(dir_refusal(b"\xc0").0, Code::Damaged);
    assert_eq!(dir_refusal(b"\xc1").0, Code::Damaged);
    assert_eq!(dir_refusal(b"\x81\xa1a\xd4\x01\x02").0, Code::Damaged);
}

#[test]
fn keys_from_the_future_are_ignored_and_missing_ones_are_empty() {
    let fault: Fault = decode(Kind::ERR, b"\x82\xa4text\xa2no\xa6future\x93\x01\x02\x03").unwrap();
    assert_eq!(fault, Fault { text: "no".into(), ..Fault::default() });
    let addr: Addr = decode(Kind::ADDR, b"\x83\xa4name\xa1f\xa5lines\x92\x01\xcd\x00\x02\xa1x\xc0").unwrap();
    assert_eq!(addr, Addr { name: "f".into(), lines: Some((1, 2)), ..Addr::default() });
}

#[test]
fn an_addr_is_written_without_the_ranges_it_has_not() {
    let addr = Addr { name: "f".into(), seqnos: Some((5, 10)), ..Addr::default() };
    let mut out = Vec::new();
    encode::addr(&mut out, &addr).unwrap();
    assert_eq!(&out[8..], b"\x82\xa4name\xa1f\xa6seqnos\x92\x05\x0a");
    assert_eq!(decode::<Addr>(Kind::ADDR, &out[8..]).unwrap(), addr);
}

#[test]
fn a_fault_is_told_however_long_it_is() {
    let fault = Fault { code: "io".into(), text: "ü".repeat(1 << 20), ..Fault::default() };
    let mut out = Vec::new();
    encode::err(&mut out, &fault);
    let back: Fault = decode(Kind::ERR, &out[8..]).unwrap();
    assert_eq!(back.code, "io");
    assert_eq!(back.text, "ü".repeat(8 << 10));
}
