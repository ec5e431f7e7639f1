//! The commands as a user runs them: real processes, pipes and files. One module a command; what the library does is
//! tested in the library, here it is the wiring.

mod frame;
mod streams;
mod support;
mod wcat;
mod wcount;
mod wecho;
mod wfilter;
mod whead;
mod wmerge;
mod wsplit;
mod wtee;
