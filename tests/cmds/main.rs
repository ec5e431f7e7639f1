//! The commands as a user runs them: real processes, pipes and files. One module a command; what the library does is
//! tested in the library, here it is the wiring.

mod frame;
mod support;
mod wcat;
mod wecho;
mod wrun;
