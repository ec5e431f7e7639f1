//! Starts writers and kills them, over and over.

use crate::books::{Told, element};
use crate::child::{self, Style};
use crate::random::{Random, wait};
use libwoofstream::log::Appender;
use std::path::Path;
use std::time::{Duration, Instant};

/// What came of it.
pub(crate) struct Kept {
    pub(crate) told: Vec<Told>,
    /// How long the next append of another process took after each kill.
    pub(crate) next_append: Vec<Duration>,
}

/// Lets `rounds` writers live one after another, numbered from `first_life`; each is killed after a random time. Right after
/// each kill the survivor, whose elements are those of `first_life - 1`, appends one itself.
pub(crate) fn keep(
    dir: &Path,
    first_life: u64,
    rounds: u64,
    longest_us: u64,
    mut survivor: Appender,
    styles: &[Style],
    random: &mut Random,
) -> Kept {
    let mut kept = Kept { told: Vec::new(), next_append: Vec::new() };
    let mut own = Told { life: first_life - 1, acks: Vec::new() };
    let mut data = Vec::new();
    for life in first_life..first_life + rounds {
        let style = styles[usize::try_from(random.below(styles.len() as u64)).unwrap()];
        let time = random.life(longest_us);
        let mut writer = child::start(dir, life, style);
        wait(time);
        writer.kill().unwrap();
        let killed = Instant::now();
        let number = own.acks.len() as u64;
        element(own.life, number, &mut data);
        own.acks.push((number, survivor.append(&data).unwrap()));
        kept.next_append.push(killed.elapsed());
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&woof_kit::wait(&mut writer)),
            Some(9),
            "writer {life:x} ended by itself: {}",
            std::io::read_to_string(writer.stderr.take().unwrap()).unwrap()
        );
        kept.told.push(told(dir, life));
    }
    kept.told.push(own);
    kept
}

/// What a dead writer had noted.
fn told(dir: &Path, life: u64) -> Told {
    let path = child::acks(dir, life);
    let noted = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(noted.len() % 16, 0);
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let acks: Vec<(u64, u64)> =
        noted.chunks_exact(16).map(|line| (word(&line[..8]), word(&line[8..]))).collect();
    assert!(acks.iter().map(|(number, _)| *number).eq(0..acks.len() as u64), "writer {life:x}");
    Told { life, acks }
}
