//! Has the linker take a function of the C library that the standard library uses only if it is there.
//!
//! Handlers are started with `posix_spawn`, in a directory of their own. A static C library gives a program no more than what is
//! asked for by name, and that one is not: the standard library would fork instead, and a fork of a server with its woofs mapped takes longer than all else
//! that starting a program does.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| {
        std::env::var(name).is_ok_and(|found| found.split(',').any(|one| one == value))
    };
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_FEATURE", "crt-static") {
        println!("cargo::rustc-link-arg-bins=-Wl,-u,posix_spawn_file_actions_addchdir_np");
    }
}
