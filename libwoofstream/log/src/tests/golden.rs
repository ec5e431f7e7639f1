//! The golden woof: `tests/golden/woof-v1.woof` was made once by the function below and never changes. Today's code makes
//! the same bytes. `tests/golden_woof.rs` reads it.

use super::super::files;
use super::super::format::{Geometry, PAGE, shared};
use super::super::region::Region;
use super::*;

/// 2100-01-01T00:00:00Z. So far ahead that no clock is past it: an element is never given an earlier time than the one before.
const CREATED_NS: u64 = 4_102_444_800_000_000_000;

/// What element `seqno` holds: nothing, text, all 16 bytes, bytes that are not UTF-8.
fn golden_content(seqno: u64) -> Vec<u8> {
    match seqno % 4 {
        0 => Vec::new(),
        1 => format!("element {seqno}").into_bytes(),
        2 => vec![seqno as u8; 16],
        _ => vec![0, 0xff, seqno as u8],
    }
}

/// Makes the golden woof: 200 elements, one a second, each fourth with sync, each eighth with a stamp, through a ring that has
/// room for some 160.
fn make(dir: &Path) -> Vec<u8> {
    let path = dir.join("golden");
    let geometry = Geometry::new(&fixed(8, 16), 0x0123_4567_89ab_cdef, CREATED_NS).unwrap();
    let spot = woof_core::sys::Spot::at(&path);
    files::made_as(spot, &geometry, *b"golden woof boot", None).unwrap().take_name(spot, false).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let woof = Woof::live(Region::new(file, geometry, true).unwrap());
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=200 {
        set_last_time(&woof, CREATED_NS + seqno * 1_000_000_000);
        appender.set_sync(seqno % 4 == 0);
        let data = golden_content(seqno);
        if seqno % 8 == 5 {
            let stamp = Stamp { writer: 0xfedc_ba98_7654_3210, seq: seqno / 8 };
            appender.extend_stamped([(stamp, data.as_slice())], |run| assert_eq!(run.first, seqno)).unwrap();
        } else {
            assert_eq!(appender.append(&data).unwrap(), seqno);
        }
    }
    let mut image = std::fs::read(&path).unwrap();
    // Which appender got which slot is a matter of chance.
    image[shared::GENERATIONS..shared::GENERATIONS + PAGE].fill(0);
    image
}

#[test]
fn what_is_written_today_is_what_version_1_is() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/woof-v1.woof");
    let made = make(dir().path());
    let there = std::fs::read(&golden).unwrap_or_default();
    if made != there {
        let kept = std::env::temp_dir().join("woof-v1.woof");
        std::fs::write(&kept, &made).unwrap();
        let at = made.iter().zip(&there).take_while(|(a, b)| a == b).count();
        panic!("the golden woof differs from byte {at} on; what is written today is in {}", kept.display());
    }
}
