//! One element of a woof, read again when its handler is about to run, so that triggers that wait take no memory for their data.

use woof_log::{Item, Mark, Woof};

/// An element with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) time_ns: u64,
    pub(super) mark: Mark,
    pub(super) data: Vec<u8>,
}

/// Reads an element, or says why it cannot be handled.
pub(super) fn read(woof: &Woof, seqno: u64) -> Result<Element, &'static str> {
    match woof.cursor(seqno).of_one().next() {
        Some(Item::Elem { seqno: at, time_ns, mark, data, .. }) if at == seqno => {
            Ok(Element { time_ns, mark, data: data.to_vec() })
        }
        Some(Item::Damaged { .. }) => Err("the element is damaged"),
        Some(_) => Err("the element was overwritten before it was handled"),
        None => Err("the element is not there"),
    }
}
