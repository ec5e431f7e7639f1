//! A bit of a woof that changes while the machine runs: what was acknowledged stays, or it is said that the file is damaged.

use crate::support::Sandbox;
use std::os::unix::fs::FileExt as _;

/// Where the seqno that the next element gets is in the file, and the oldest that is kept (`docs/format-woof.md`).
const NEXT_SEQNO: u64 = 4160;
const FIRST_SEQNO: u64 = 4168;

#[test]
fn a_seqno_that_a_bit_changed_loses_nothing_that_was_acknowledged() {
    for (place, bit) in
        [NEXT_SEQNO, FIRST_SEQNO].into_iter().flat_map(|place| (0..16).map(move |bit| (place, bit)))
    {
        let sandbox = Sandbox::new();
        assert_eq!(sandbox.run("wcreate", &["w"], b"").status, 0);
        let lines: String = (1..=100).map(|n| format!("{n}\n")).collect();
        assert_eq!(sandbox.run("wput", &["w", "-q"], lines.as_bytes()).status, 0);
        let file = std::fs::File::options().read(true).write(true).open(sandbox.dir().join("w")).unwrap();
        let mut word = [0; 8];
        file.read_exact_at(&mut word, place).unwrap();
        file.write_all_at(&(u64::from_le_bytes(word) ^ (1 << bit)).to_le_bytes(), place).unwrap();
        let put = sandbox.run("wput", &["w", "101"], b"");
        let what = format!("bit {bit} at {place}");
        assert_eq!((put.status, put.stderr.as_str()), (0, ""), "{what}");
        let got = sandbox.run("wget", &["w", "..", "-u"], b"");
        assert_eq!((got.status, got.text()), (0, format!("{lines}101\n").as_str()), "{what}");
    }
}
