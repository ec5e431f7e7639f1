//! The golden woof stays readable for ever. It is of another boot, so opening it recovers it: that is tested with it.
//!
//! `tests/golden/woof-v1-no-sum.woof` is of before shared words were tied by a sum. `tests/golden/woof-v1.woof` never changes; `libwoofstream/src/log/tests/golden.rs` has how it was made. A new version of
//! the format gets a file and a test of its own, next to these.

use libwoofstream::content::ContentType;
use libwoofstream::log::{self, Item, Mark, Stamp, StampRun};

const WOOF_V1: &str = "tests/golden/woof-v1.woof";
const WITHOUT_SUM: &str = "tests/golden/woof-v1-no-sum.woof";

/// When its first element would have been, without its seconds: 2100-01-01T00:00:00Z.
const CREATED_NS: u64 = 4_102_444_800_000_000_000;

/// Who put element 197.
const WRITER: u64 = 0xfedc_ba98_7654_3210;

#[test]
fn version_1_is_read_as_it_was_meant() {
    for golden in [WOOF_V1, WITHOUT_SUM] {
        let dir = woof_kit::tempdir().unwrap();
        let path = dir.path().join("w");
        std::fs::copy(golden, &path).unwrap();
        let woof = log::open(&path).unwrap();
        let options = woof.options();
        assert_eq!((options.history, options.element_size, options.sync), (8, Some(16), false));
        assert_eq!(options.content, ContentType::Text);
        let expected: [(u64, &[u8]); 8] = [
            (193, b"element 193"),
            (194, &[194; 16]),
            (195, &[0, 0xff, 195]),
            (196, b""),
            (197, b"element 197"),
            (198, &[198; 16]),
            (199, &[0, 0xff, 199]),
            (200, b""),
        ];
        let mut cursor = woof.cursor(1);
        assert_eq!(cursor.next(), Some(Item::Gone { from: 1, to: 192 }));
        for (seqno, data) in expected {
            let time_ns = CREATED_NS + seqno * 1_000_000_000;
            let stamp = (seqno == 197).then_some(Stamp { writer: WRITER, seq: 24 });
            assert_eq!(cursor.next(), Some(Item::Elem { seqno, time_ns, stamp, mark: Mark::NONE, data }));
        }
        assert_eq!(cursor.next(), None);
        assert_eq!(woof.stamps_of(WRITER, 1), [StampRun { seq: 24, seqno: 197, count: 1 }]);
        let status = woof.status();
        assert_eq!((status.first_seqno, status.next_seqno), (193, 201));
        assert_eq!((status.recoveries, status.last_cut), (1, 0));
        assert_eq!(status.file_len, 24_576);
        assert_eq!(woof.seqno_at(CREATED_NS + 196_000_000_000).unwrap(), 196);
        assert_eq!(woof.appender().unwrap().append(b"goes on").unwrap(), 201);
    }
}

#[test]
fn what_the_document_shows_of_it_is_in_it() {
    let golden = std::fs::read(WOOF_V1).unwrap();
    let document = std::fs::read_to_string("docs/format-woof.md").unwrap();
    let mut lines = 0;
    for line in document.lines().filter_map(|line| line.strip_prefix("    0000")) {
        let mut words = line.split_whitespace();
        let at = usize::from_str_radix(words.next().unwrap(), 16).unwrap();
        let bytes: Vec<u8> = words.take(16).map(|word| u8::from_str_radix(word, 16).unwrap()).collect();
        assert_eq!(&golden[at..at + 16], bytes, "at {at:#x}");
        lines += 1;
    }
    assert!(lines > 8, "only {lines} lines of the dump were found");
}
