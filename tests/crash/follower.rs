//! Reads along while the writers are killed.

use crate::books::Seen;
use libwoofstream::log::{Item, Waker, Woken, Woof};

/// Follows a woof from its first element until the waker ends it, and then reads what is still there.
pub(crate) fn follow(woof: &Woof, waker_out: &std::sync::mpsc::Sender<Waker>) -> Seen {
    let mut cursor = woof.cursor(1);
    let waker = cursor.waker();
    waker_out.send(waker.clone()).unwrap();
    let mut seen = Seen::new();
    loop {
        take(&mut cursor, &mut seen);
        match cursor.wait(&waker) {
            Woken::More => {}
            Woken::Stopped => break,
            ended => panic!("{ended:?}"),
        }
    }
    take(&mut cursor, &mut seen);
    seen
}

/// All that a woof keeps now.
pub(crate) fn read(woof: &Woof) -> Seen {
    let mut seen = Seen::new();
    take(&mut woof.cursor(1), &mut seen);
    seen
}

fn take(cursor: &mut libwoofstream::log::Cursor, seen: &mut Seen) {
    loop {
        match cursor.next() {
            Some(Item::Elem { seqno, time_ns, data, .. }) => seen.element(seqno, time_ns, data),
            Some(Item::Gone { from, to }) => seen.gone(from, to),
            Some(Item::Damaged { seqno }) => panic!("element {seqno} is damaged"),
            None => return,
        }
    }
}
