//! The commands as a user runs them: real processes, pipes and files. One module a command; what the library does is
//! tested in the library, here it is the wiring.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

mod bits;
mod copies;
mod daemon;
mod descriptors;
mod edited;
mod flags;
mod frame;
mod keep;
mod keep_copies;
mod keep_reach;
mod keep_seen;
mod keep_twice;
mod leftovers;
mod moved;
mod names;
mod no_proc;
mod progress;
mod room;
mod security;
mod server;
mod shows;
mod stopped;
mod streams;
mod support;
mod times;
mod wattr;
mod wcat;
mod wcount;
mod wcreate;
mod wecho;
mod wfilter;
mod wfind;
mod wget;
mod whead;
mod wkey;
mod wmerge;
mod wns;
mod woofs;
mod wput;
mod wput_faults;
mod wrm;
mod wrun;
mod wrun_at;
mod wserve;
mod wserve_deploy;
mod wserve_guard;
mod wserve_load;
mod wserve_restart;
mod wserve_tls;
mod wsplit;
mod wstat;
mod wtail;
mod wtee;
