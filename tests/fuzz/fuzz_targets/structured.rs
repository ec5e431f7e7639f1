//! Any bytes as the payload of a structured message: decoded or refused, and what is decoded survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libwoofstream::wire::{Kind, Message, Raw, encode};

fuzz_target!(|data: &[u8]| {
    let Some((kind, payload)) = data.split_first() else { return };
    let kind = [Kind::DIR, Kind::ADDR, Kind::ERR][usize::from(kind % 3)];
    let Ok(first) = (Raw { kind, flags: 0, reserved: 0, payload }).decode() else { return };
    let mut out = Vec::new();
    match &first {
        // What was written with short forms that we do not use can be over the limit when it is written again.
        Message::Dir(dir) if encode::dir(&mut out, dir).is_err() => return,
        Message::Addr(addr) if encode::addr(&mut out, addr).is_err() => return,
        Message::Err(fault) => encode::err(&mut out, fault),
        _ => {}
    }
    let again = Raw { kind, flags: 0, reserved: 0, payload: &out[8..] };
    let second = again.decode().expect("what was written is read");
    if !matches!(first, Message::Err(_)) {
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }
});
