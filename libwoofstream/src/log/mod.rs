//! The log: one memory-mapped file, appended to and read by many processes at once.
