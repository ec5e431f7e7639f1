//! One element of a woof, read again when its handler is about to run, so that triggers that wait take no memory for their data.

use woof_log::{Item, Mark, Woof};

/// An element with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// When it was put, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Which handler was named, and how deep the put was.
    pub mark: Mark,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Reads an element, or says why it cannot be handled.
pub fn read(woof: &Woof, seqno: u64) -> Result<Element, &'static str> {
    match woof.cursor(seqno).of_one().next() {
        Some(Item::Elem { seqno: at, time_ns, mark, data, .. }) if at == seqno => {
            Ok(Element { time_ns, mark, data: data.to_vec() })
        }
        Some(Item::Damaged { .. }) => Err("the element is damaged"),
        Some(_) => Err("the element was overwritten before it was handled"),
        None => Err("the element is not there"),
    }
}
