//! Programs that run: what they are started with, where, what they write, and how they end.

pub mod asked;
pub mod environment;
pub mod follow;
pub mod groups;
pub mod input;
pub mod lines;
pub mod logged;
pub mod process;
pub mod program;
pub mod run;
pub mod runner;
pub mod runners;
pub mod seals;
pub mod written;
