//! Tests of the log, by what is put at risk: plain use, concurrency, kills, power losses, bad files.

mod bad_files;
mod clock;
mod concurrency;
mod crash;
mod golden;
mod hold;
mod once;
mod plain;
mod review;
mod room;
mod stamps;
mod sync_faults;
mod twice;
mod words;

use super::*;
use std::path::{Path, PathBuf};

/// In memory, since the tests open thousands of woofs and flush each.
fn dir() -> woof_kit::TempDir {
    woof_kit::in_memory().unwrap()
}

/// A directory with a woof named `w` made with `options`.
fn woof(options: &Options) -> (woof_kit::TempDir, PathBuf, Woof) {
    let dir = dir();
    let path = dir.path().join("w");
    create(&path, options).unwrap();
    let woof = open(&path).unwrap();
    (dir, path, woof)
}

/// A small woof with an element size: `history` elements of up to `size` bytes.
fn fixed(history: u64, size: u64) -> Options {
    Options { history, element_size: Some(size), ..Options::default() }
}

/// Has the clock have been at `time_ns` when the newest element was appended, as far as the next one knows.
fn set_last_time(woof: &Woof, time_ns: u64) {
    let region = woof.region();
    region.map.store(format::shared::LAST_TIME, time_ns, std::sync::atomic::Ordering::SeqCst);
    region.seal_words();
}

/// All that a cursor from `seqno` gives now: elements as (seqno, data), the rest as text.
fn read_from(woof: &Woof, seqno: u64) -> Vec<(u64, String)> {
    let mut cursor = woof.cursor(seqno);
    let mut all = Vec::new();
    while let Some(item) = cursor.next() {
        all.push(match item {
            Item::Elem { seqno, data, .. } => (seqno, String::from_utf8_lossy(data).into_owned()),
            Item::Gone { from, to } => (from, format!("gone to {to}")),
            Item::Damaged { seqno } => (seqno, "damaged".to_owned()),
        });
    }
    all
}

/// What element `seqno` of these tests holds: its number, with a length that varies.
fn content(seqno: u64) -> Vec<u8> {
    let mut data = format!("{seqno}:").into_bytes();
    data.resize(data.len() + (seqno * 7 % 23) as usize, b'x');
    data
}

/// The stamps of all elements from `seqno` on.
fn stamps_from(woof: &Woof, seqno: u64) -> Vec<(u64, Stamp)> {
    let mut cursor = woof.cursor(seqno);
    let mut all = Vec::new();
    while let Some(item) = cursor.next() {
        if let Item::Elem { seqno, stamp: Some(stamp), .. } = item {
            all.push((seqno, stamp));
        }
    }
    all
}

/// The marks of all elements from `seqno` on.
fn marks_from(woof: &Woof, seqno: u64) -> Vec<(u64, Mark)> {
    let mut cursor = woof.cursor(seqno);
    let mut all = Vec::new();
    while let Some(item) = cursor.next() {
        if let Item::Elem { seqno, mark, .. } = item {
            all.push((seqno, mark));
        }
    }
    all
}

/// What [`Woof::stamps_of`] gives, one by one.
fn stamps_of(woof: &Woof, writer: u64, seqno: u64) -> Vec<(u64, Stamp)> {
    let each = |run: StampRun| {
        (0..run.count).map(move |n| (run.seqno + n, Stamp { writer, seq: run.seq + n })).collect::<Vec<_>>()
    };
    woof.stamps_of(writer, seqno).into_iter().flat_map(each).collect()
}

/// Opens a copy of an image as a woof.
fn open_image(dir: &Path, image: &[u8]) -> woof_core::error::Result<Woof> {
    let path = dir.join("image");
    write_sparse(&path, image);
    open(&path)
}

/// Writes a file with holes where there are only zeros: images of woofs with `sync` are mostly that.
fn write_sparse(path: &Path, image: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(path).unwrap();
    file.set_len(image.len() as u64).unwrap();
    for (number, page) in image.chunks(4096).enumerate() {
        if *page != [0; 4096][..page.len()] {
            file.write_all_at(page, number as u64 * 4096).unwrap();
        }
    }
}
