//! What the fuzz target `woof_open` and the smoke test do with a file that may be anything: open it, read all, search it,
//! append, read again. Whatever the file is, this returns, and in little time and memory.

use libwoofstream::log::{self, Item, Stamp, Woof};
use std::path::Path;

/// Where the boot id is.
const BOOT_ID: usize = 4096 + 256;

/// Changes `image` in place as `input` says: 4 bytes each of what to do, where (in words of 8 bytes) and with what. The first
/// byte says whether its checksums are then made right again, whether it is of this boot, and whether the changes are to flags and
/// lengths of records.
pub(crate) fn forge(image: &mut [u8], input: &[u8]) {
    let Some((how, changes)) = input.split_first() else { return };
    for change in changes.chunks_exact(4) {
        let word = usize::from(u16::from_le_bytes([change[1], change[2]]));
        if how & 4 != 0 {
            forge_flags(image, word, change[0], change[3]);
            continue;
        }
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

/// Changes the flags of one of the records that the index knows, by the bits of `by`; with an odd `what`, also its length.
fn forge_flags(image: &mut [u8], which: usize, what: u8, by: u8) {
    let word = |image: &[u8], at: usize| {
        let bytes = image.get(at..at.saturating_add(8)).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default()) as usize
    };
    let (slots, ring_len, ring) = (word(image, 64), word(image, 72), word(image, 88));
    let pos = word(image, 12_288 + which % slots.max(1) * 8);
    let at = ring.saturating_add(pos % ring_len.max(1)).saturating_add(32);
    if let Some(place) = image.get_mut(at..at.saturating_add(5)) {
        if what & 1 != 0 {
            place[0] = what >> 1 & 31;
        }
        place[4] ^= by;
    }
}

/// The writer id of the stamped elements in the golden woof.
const WRITER: u64 = 0xfedc_ba98_7654_3210;

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
        let stamped = [(Stamp { writer: WRITER, seq: 1 << 40 }, &b"s"[..])];
        let mut run = None;
        if appender.extend_stamped(stamped, |appended| run = Some(appended)).is_ok() {
            let first = run.map_or(0, |run| run.first);
            let found = woof.stamps_of(WRITER, first);
            assert!(found.len() == 1 && found[0].seqno == first && found[0].seq == 1 << 40, "{found:?}");
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
    let stamped: u64 = woof.stamps_of(WRITER, 0).iter().map(|run| run.count).sum();
    let mut cursor = woof.cursor(woof.first_seqno());
    let (mut items, mut of_writer) = (0, 0);
    while let Some(item) = cursor.next() {
        items += 1;
        assert!(items <= len, "more elements than bytes");
        if let Item::Elem { data, stamp, .. } = item {
            assert!(data.len() <= len);
            of_writer += u64::from(stamp.is_some_and(|stamp| stamp.writer == WRITER));
        }
    }
    assert_eq!(stamped, of_writer, "stamps");
}
