//! Readers over a slow link beside one that is near the server.

use crate::farm::{Farm, until};
use std::fs;
use std::time::Duration;
use woof_link::LinkOptions;

/// Kilobytes of memory of the server's own, without the woofs, which belong to the system's cache.
fn memory_kb(farm: &Farm) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", farm.server().id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn slow_readers_hold_up_nobody_and_take_no_memory() {
    const READERS: usize = 8;
    let rtt = Duration::from_millis(20);
    let options = LinkOptions { rtt, rate_bytes_per_s: Some(250_000), ..LinkOptions::default() };
    let Some(farm) = Farm::new(options) else { return };
    // 40 MB.
    farm.there(
        "wcreate srv/farm/big --history 50000 --capacity 64MiB; \
         yes \"$(printf %0999d 7)\" | head -n 40000 | wput srv/farm/big > acks",
    );
    let files: Vec<String> = (0..READERS).map(|number| format!("slow{number}")).collect();
    let len = |name: &str| fs::metadata(farm.path(name)).map_or(0, |meta| meta.len());
    let mut slow: Vec<_> =
        files.iter().map(|file| farm.begin(&format!("exec wget $U/big .. -u > {file}"))).collect();
    until("all slow readers at work", || files.iter().all(|file| len(file) > 0));
    // The fast one is on the server's side of the link. It has 20 MB in all, while the slow ones share one in four seconds.
    for _ in 0..2 {
        let mut command = farm.command("bash", &["-c", "wget $U/big 1..10000 -u | sha256sum"]);
        let fast = farm.link.b().enter(|| woof_kit::output(&mut command)).unwrap();
        assert!(fast.status.success(), "{fast:?}");
        let expected = farm.there("yes \"$(printf %0999d 7)\" | head -n 10000 | sha256sum");
        assert_eq!(String::from_utf8(fast.stdout).unwrap(), expected);
    }
    for (reader, file) in slow.iter_mut().zip(&files) {
        assert!(reader.is_running(), "a slow reader has ended");
        assert!(len(file) < 10_000_000, "{file} is no slow reader: {} bytes", len(file));
    }
    let memory = memory_kb(&farm);
    assert!(memory < 64 << 10, "the server has {memory} KiB for {READERS} slow readers of 40 MB each");
    woof_kit::say(&format!("wan: readers: {memory} KiB"));
    // Each goes on when there is room: nobody was forgotten.
    let before: Vec<u64> = files.iter().map(|file| len(file)).collect();
    farm.link.set_rate(None).unwrap();
    until("more at each slow reader", || files.iter().zip(&before).all(|(file, before)| len(file) > *before));
    for reader in slow {
        let ran = reader.end();
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    }
    for file in &files {
        assert_eq!(len(file), 40_000_000, "{file}");
    }
}
