//! What a namespace says of its handlers: bindings, the log of triggers, dead letters, and what is open of all that.

pub mod bind;
pub mod bindings;
pub mod dead;
pub mod element;
pub mod holder;
pub mod left;
pub mod own;
pub mod record;
pub mod summary;
