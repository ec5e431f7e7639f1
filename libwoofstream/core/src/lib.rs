//! What every part of woofstream shares, and what names none of them: messages and streams ([`wire`]), the channels they go
//! through ([`chan`]), what elements are ([`content`]), names and namespaces ([`name`]), who may do what ([`access`]), errors and
//! limits.
//!
//! Nothing here prints, exits, reads arguments or the environment, or installs signal handlers: callers do.

pub mod access;
pub mod attrs;
pub mod chan;
pub mod content;
pub mod duration;
pub mod element;
pub mod error;
pub mod limits;
mod mark;
pub mod name;
pub mod number;
pub mod options;
pub mod sys;
pub mod text;
pub mod wire;
