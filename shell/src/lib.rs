//! The shell of woofstream. Its place is kept here; the language itself is not there yet, and the command
//! table does not list `wsh` until it is.
