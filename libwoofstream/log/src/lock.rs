//! Locks between processes that a killed holder cannot keep.
//!
//! A lock is a word of the mapping: 0, or the token of its holder. A token is a slot number and that slot's generation.
//! Whoever opens a woof for appending takes a free slot by locking one byte of the file (an open file description lock,
//! at [`SLOT_LOCKS`] + slot), and raises the slot's generation. The kernel gives the byte back when the process is gone,
//! however it went, in whatever container. So a holder is dead when its byte is free or its slot has a newer
//! generation, and then its lock is taken over, with the duty to repair what it left. No process number is kept anywhere.
//!
//! Failure contract: a holder that is killed delays the next by at most [`LOOK_AGAIN`]; one that is stopped (`SIGSTOP`) in
//! the middle keeps the others waiting until it goes on, or until they have no more patience ([`Slot::lock_within`]).

use super::format::shared;
use super::futex;
use super::map::Map;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use woof_core::error::{Code, Error, Result};
use woof_core::limits::APPENDERS_MAX;
use woof_core::sys;

/// Where the byte locks of the slots are: far behind the end of any woof.
const SLOT_LOCKS: i64 = 1 << 62;
/// How long to sleep before looking whether the holder still lives.
const LOOK_AGAIN: Duration = Duration::from_micros(300);
/// Others are asleep on the lock.
const WAITERS: u32 = 1 << 31;
const SLOT_BITS: u32 = 10;
const GENERATION_MASK: u32 = (1 << 21) - 1;
/// How often to look at a lock before sleeping, where the holder can run meanwhile.
const SPINS: u32 = 100;

/// How a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Taken {
    /// It was free.
    Clean,
    /// Its holder died with it: what it guards must be repaired first.
    FromDead,
}

/// A slot in the table of appenders. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Slot {
    token: u32,
    /// An open file description of its own, which holds the byte lock: locks of one description do not exclude each
    /// other, and a mapping made from it would keep it alive.
    file: File,
}

impl Slot {
    /// Takes a free slot.
    ///
    /// # Errors
    /// When all slots are taken, or the file system has no open file description locks.
    pub(super) fn take(map: &Map, file: &File) -> Result<Slot> {
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        let file = File::options().read(true).write(true).open(&again).map_err(|err| match err.kind() {
            std::io::ErrorKind::NotFound => sys::not_in_proc(&again, &err),
            _ => Error::io("", "open for appending", err),
        })?;
        super::room::reserve_shared(&file).map_err(|err| Error::io("", "open for appending", err))?;
        let start = u32::try_from(sys::random_u64() % u64::from(APPENDERS_MAX)).unwrap_or(0);
        for n in 0..APPENDERS_MAX {
            let slot = (start + n) % APPENDERS_MAX;
            let range = byte(slot);
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&range)) {
                Ok(_) => {
                    let at = shared::GENERATIONS + slot as usize * 4;
                    // Never 0, so that no token is the word of a free lock.
                    let generation = map.load32(at, Ordering::Acquire) % GENERATION_MASK + 1;
                    map.store32(at, generation, Ordering::SeqCst);
                    return Ok(Slot { token: generation << SLOT_BITS | slot, file });
                }
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => {}
                Err(err) => {
                    let err = std::io::Error::from_raw_os_error(err as i32);
                    return Err(Error::io("", "lock for appending", err));
                }
            }
        }
        Err(Error::new(Code::Full, "", format!("{APPENDERS_MAX} programs are appending already, the limit")))
    }

    /// Takes the lock at `offset`, waiting for it as long as its holder lives.
    #[inline]
    pub(super) fn lock(&self, map: &Map, offset: usize) -> Taken {
        loop {
            if let Some(taken) = self.lock_within(map, offset, None) {
                return taken;
            }
        }
    }

    /// As [`Slot::lock`], waiting no longer than `patience`; `None` when it is not had by then. Without any patience it is not looked whether
    /// the holder is dead either, as to repair what it left may take long.
    #[inline]
    pub(super) fn lock_within(&self, map: &Map, offset: usize, patience: Option<Duration>) -> Option<Taken> {
        if map.exchange32(offset, 0, self.token) {
            return Some(Taken::Clean);
        }
        self.wait_for(map, offset, patience)
    }

    /// Takes the lock at `offset` if it is free or its holder is dead.
    pub(super) fn try_lock(&self, map: &Map, offset: usize) -> Option<Taken> {
        if map.exchange32(offset, 0, self.token) {
            return Some(Taken::Clean);
        }
        let word = map.load32(offset, Ordering::Acquire);
        (word != 0
            && self.is_dead(map, word & !WAITERS)
            && map.exchange32(offset, word, self.token | WAITERS))
        .then_some(Taken::FromDead)
    }

    /// Sleeps until the lock at `offset` is given back, its holder may be dead, or some time has passed.
    pub(super) fn wait_release(map: &Map, offset: usize) {
        let word = map.load32(offset, Ordering::Acquire);
        if word == 0 || (word & WAITERS == 0 && !map.exchange32(offset, word, word | WAITERS)) {
            return;
        }
        futex::wait(map.word(offset), word | WAITERS, Some(LOOK_AGAIN));
    }

    #[cold]
    fn wait_for(&self, map: &Map, offset: usize, patience: Option<Duration>) -> Option<Taken> {
        for _ in 0..SPINS {
            if map.load32(offset, Ordering::Relaxed) == 0 && map.exchange32(offset, 0, self.token) {
                return Some(Taken::Clean);
            }
            std::hint::spin_loop();
        }
        if patience == Some(Duration::ZERO) {
            return None;
        }
        let end = patience.and_then(|patience| Instant::now().checked_add(patience));
        loop {
            // From here on the lock is taken with the mark that others may be asleep: one wake-up too many at most.
            if map.exchange32(offset, 0, self.token | WAITERS) {
                return Some(Taken::Clean);
            }
            let word = map.load32(offset, Ordering::Acquire);
            if word == 0 {
                continue;
            }
            if self.is_dead(map, word & !WAITERS) {
                if map.exchange32(offset, word, self.token | WAITERS) {
                    return Some(Taken::FromDead);
                }
                continue;
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return None;
            }
            if word & WAITERS != 0 || map.exchange32(offset, word, word | WAITERS) {
                futex::wait(map.word(offset), word | WAITERS, Some(LOOK_AGAIN));
            }
        }
    }

    /// Gives the lock at `offset` back. Everything stored before is seen by all before anything that is loaded after it is loaded.
    #[inline]
    pub(super) fn unlock(map: &Map, offset: usize) {
        let old = map.swap32(offset, 0, Ordering::SeqCst);
        map.stores_before_loads_after_exchange();
        if old & WAITERS != 0 {
            futex::wake_one(map.word(offset));
        }
    }

    /// Gives the lock at `offset` back and wakes all who wait for it.
    pub(super) fn unlock_for_all(map: &Map, offset: usize) {
        if map.swap32(offset, 0, Ordering::Release) & WAITERS != 0 {
            futex::wake_all(map.word(offset));
        }
    }

    /// True when nobody can ever again be the holder that `token` names.
    fn is_dead(&self, map: &Map, token: u32) -> bool {
        if token == self.token {
            // Our own, from an operation that a panic ended: nobody else will give it back.
            return true;
        }
        let slot = token & (APPENDERS_MAX - 1);
        if map.load32(shared::GENERATIONS + slot as usize * 4, Ordering::Acquire) != token >> SLOT_BITS {
            return true;
        }
        let mut range = byte(slot);
        match fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut range)) {
            // Our own slot's byte never conflicts with ourselves, and its token was looked at above.
            Ok(_) => i32::from(range.l_type) == libc::F_UNLCK,
            // Without an answer the holder counts as alive.
            Err(_) => false,
        }
    }
}

/// The lock on the byte of a slot.
fn byte(slot: u32) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: SLOT_LOCKS + i64::from(slot),
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::PAGE;
    use super::*;

    const LOCK: usize = shared::APPEND_LOCK;

    fn file() -> (Map, File) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * PAGE as u64).unwrap();
        (Map::new(&file, 3 * PAGE, true).unwrap(), file)
    }

    #[test]
    fn a_lock_of_a_dead_holder_is_taken_over_and_one_of_a_living_holder_is_not() {
        let (map, file) = file();
        let a = Slot::take(&map, &file).unwrap();
        let b = Slot::take(&map, &file).unwrap();
        assert_ne!(a.token, b.token);
        assert_eq!(a.lock(&map, LOCK), Taken::Clean);
        assert_eq!(b.try_lock(&map, LOCK), None);
        drop(a);
        assert_eq!(b.try_lock(&map, LOCK), Some(Taken::FromDead));
        Slot::unlock(&map, LOCK);
        assert_eq!(b.lock(&map, LOCK), Taken::Clean);
    }

    #[test]
    fn a_slot_taken_again_does_not_bring_its_dead_holder_back_to_life() {
        if !woof_kit::many_files(2048) {
            return;
        }
        let (map, file) = file();
        let a = Slot::take(&map, &file).unwrap();
        assert_eq!(a.lock(&map, LOCK), Taken::Clean);
        drop(a);
        // Take all slots, the dead one's among them, so that its byte is locked again.
        let all: Vec<Slot> = (0..APPENDERS_MAX).map(|_| Slot::take(&map, &file).unwrap()).collect();
        assert_eq!(all[0].lock(&map, LOCK), Taken::FromDead);
        let refusal = Slot::take(&map, &file).unwrap_err();
        assert_eq!(refusal.text(), "1024 programs are appending already, the limit");
        drop(all);
        assert!(Slot::take(&map, &file).is_ok());
    }

    #[test]
    fn waiting_threads_get_the_lock_one_after_another() {
        let (map, file) = file();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let slot = Slot::take(&map, &file).unwrap();
                    for _ in 0..2_000 {
                        assert_eq!(slot.lock(&map, LOCK), Taken::Clean);
                        // Not one operation on purpose: only the lock keeps the sum right.
                        let sum = map.load(shared::NEXT_SEQNO, Ordering::Relaxed);
                        map.store(shared::NEXT_SEQNO, sum + 1, Ordering::Relaxed);
                        Slot::unlock(&map, LOCK);
                    }
                });
            }
        });
        assert_eq!(map.load(shared::NEXT_SEQNO, Ordering::Relaxed), 16_000);
    }
}
