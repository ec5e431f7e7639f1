//! Files that are no woof, or not any more, and places where none can be made.

use super::*;
use woof_core::error::Code;

fn refusal(path: &Path) -> String {
    open(path).err().map(|err| err.text().to_owned()).unwrap()
}

#[test]
fn what_is_not_a_woof_is_named() {
    let dir = woof_kit::tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(&text, "date,temp\n").unwrap();
    assert_eq!(refusal(&text), "not a woof");
    std::fs::write(&text, "").unwrap();
    assert_eq!(refusal(&text), "not a woof");
    assert_eq!(refusal(dir.path()), "not a woof but a directory");
    assert_eq!(refusal(Path::new("/dev/null")), "not a woof but a device");
    assert_eq!(refusal(&dir.path().join("none")), "no such woof");
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert_eq!(refusal(&fifo), "not a woof but a FIFO");
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    assert_eq!(refusal(&dir.path().join("socket")), "not a woof but a socket or a device");
}

#[test]
fn a_truncated_file_and_another_version_are_named_and_nothing_is_mapped() {
    let (dir, path, _woof) = woof(&fixed(10, 10));
    let image = std::fs::read(&path).unwrap();
    let copy = dir.path().join("copy");
    for len in [100, 4096, 12_288, image.len() - 1] {
        std::fs::write(&copy, &image[..len]).unwrap();
        assert!(refusal(&copy).starts_with("truncated file"), "{len}: {}", refusal(&copy));
    }
    let mut other = image.clone();
    other[8] = 2;
    std::fs::write(&copy, &other).unwrap();
    assert_eq!(refusal(&copy), "woof format version 2, this program reads version 1");
    let mut damaged = image;
    damaged[33] ^= 1;
    std::fs::write(&copy, &damaged).unwrap();
    assert_eq!(refusal(&copy), "damaged header: its checksum does not match");
}

#[test]
fn shared_words_of_an_enemy_are_an_error_and_no_endless_loop() {
    use super::super::format::shared;
    let (dir, path, woof) = woof(&fixed(10, 10));
    woof.appender().unwrap().append(b"one").unwrap();
    let image = std::fs::read(&path).unwrap();
    let offsets =
        [shared::NEXT_SEQNO, shared::FIRST_SEQNO, shared::NEXT_POS, shared::FIRST_POS, shared::LAST_TIME];
    for offset in offsets {
        for value in [0, 1 << 40, u64::MAX - 100, u64::MAX / 2] {
            let mut image = image.clone();
            image[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(value));
            let woof = match open_image(dir.path(), &image) {
                Ok(woof) => woof,
                Err(err) => {
                    assert_eq!(err.text(), "damaged header: its seqnos cannot be", "{offset} {value}");
                    continue;
                }
            };
            let status = woof.status();
            assert!(status.used <= status.ring_len);
            let mut cursor = woof.cursor(1);
            for _ in 0..100 {
                if cursor.next().is_none() {
                    break;
                }
            }
            let mut appender = woof.appender().unwrap();
            for _ in 0..100 {
                // Some of these values are as good as any; none may hang or panic.
                let _ = appender.append(b"two");
            }
        }
    }
}

#[test]
fn a_woof_is_not_made_over_anything_that_is_there() {
    let (dir, path, _woof) = woof(&Options::default());
    assert_eq!(create(&path, &Options::default()).unwrap_err().code(), Code::Exists);
    let text = dir.path().join("text");
    std::fs::write(&text, "precious").unwrap();
    assert_eq!(create(&text, &Options::default()).unwrap_err().code(), Code::Exists);
    assert_eq!(reset(&text, &Options::default()).unwrap_err().text(), "not a woof");
    assert_eq!(remove(&text).unwrap_err().text(), "not a woof");
    assert_eq!(std::fs::read(&text).unwrap(), b"precious");
    let missing = dir.path().join("none/w");
    assert!(create(&missing, &Options::default()).unwrap_err().text().contains("(wcreate -p makes it)"));
    let kernel = create(Path::new("/proc/none/w"), &Options::default()).unwrap_err();
    assert_eq!(kernel.text(), "create: no directory /proc/none");
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_file_that_is_longer_than_the_disk_takes_is_an_error_at_creation_and_nothing_stays() {
    let dir = woof_kit::tempdir().unwrap();
    let path = dir.path().join("w");
    // More than many file systems take in one file.
    let options = Options { capacity: 16 << 40, ..Options::default() };
    let Err(err) = create(&path, &options) else {
        std::fs::remove_file(&path).unwrap();
        return woof_kit::skip("needs a disk that does not take a file of 16 TiB");
    };
    assert_eq!(err.code(), Code::TooLarge, "{err}");
    assert!(err.text().contains("file too large: it would be 17"), "{err}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
