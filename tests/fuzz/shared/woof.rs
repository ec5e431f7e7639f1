//! What the fuzz target `woof_open` and the smoke test do with a file that may be anything: open it, read all, search it,
//! append, read again. Whatever the file is, this returns, and in little time and memory.

use libwoofstream::log::{self, Item, Woof};
use std::path::Path;

/// Where the boot id is.
const BOOT_ID: usize = 4096 + 256;

/// Changes `image` in place as `input` says: 4 bytes each of what to do, where (in words of 8 bytes) and with what. The first
/// byte says whether its checksums are then made right again, and whether it is of this boot.
pub(crate) fn forge(image: &mut [u8], input: &[u8]) {
    let Some((how, changes)) = input.split_first() else { return };
    for change in changes.chunks_exact(4) {
        let word = usize::from(u16::from_le_bytes([change[1], change[2]]));
        // Most of the file is zeros: a third of the changes go to the shared words, a third to the fixed part.
        let at = match change[0] % 3 {
            0 => 4096 + word % 40 * 8,
            1 => word % 16 * 8,
            _ => word * 8,
        };
        let Some(place) = image.get_mut(at..at + 8) else { continue };
        let old = u64::from_le_bytes(place.try_into().unwrap_or_default());
        let by = u64::from(change[3]);
        let new = match change[0] / 3 % 8 {
            0 => by,
            1 => old.wrapping_add(by).wrapping_sub(128),
            2 => old ^ 1 << (by % 64),
            3 => u64::MAX - by,
            4 => 1 << (by % 64),
            5 => old.wrapping_add(4096 * by),
            6 => (1 << 62) - by,
            _ => old.rotate_left(change[3].into()),
        };
        place.copy_from_slice(&new.to_le_bytes());
    }
    if how & 1 != 0 {
        log::record::seal(image);
    }
    if how & 2 != 0
        && let Ok(boot_id) = libwoofstream::sys::boot_id()
        && let Some(place) = image.get_mut(BOOT_ID..BOOT_ID + 16)
    {
        place.copy_from_slice(&boot_id);
    }
}

/// Uses the file at `path` as a woof. Gives whether it was one.
pub(crate) fn exercise(path: &Path, image: &[u8]) -> bool {
    std::fs::write(path, image).expect("a temporary file can be written");
    let Ok(woof) = log::open(path) else { return false };
    read_all(&woof, image.len());
    if let Ok(mut appender) = woof.appender() {
        for round in 0..6u8 {
            appender.set_sync(round >= 3);
            let data = vec![round; usize::from(round) * 3];
            if let Ok(seqno) = appender.append(&data) {
                let mut cursor = woof.cursor(seqno);
                let back = cursor.next();
                assert!(
                    matches!(back, Some(Item::Elem { seqno: at, data: is, .. }) if at == seqno && is == data),
                    "{seqno} was appended, and there is {back:?}"
                );
            }
        }
        let items = [&b"a"[..]; 200];
        let _ = appender.extend(items, |_| {});
    }
    read_all(&woof, image.len());
    let again = log::open(path);
    if let Ok(again) = &again {
        read_all(again, image.len());
    }
    true
}

fn read_all(woof: &Woof, len: usize) {
    let status = woof.status();
    assert!(status.used <= status.ring_len);
    let _ = woof.seqno_at(status.created_ns);
    let mut cursor = woof.cursor(woof.first_seqno());
    let mut items = 0;
    while let Some(item) = cursor.next() {
        items += 1;
        assert!(items <= len, "more elements than bytes");
        if let Item::Elem { data, .. } = item {
            assert!(data.len() <= len);
        }
    }
}
