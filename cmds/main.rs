//! The program `woof`: all commands in one binary.

fn main() -> std::process::ExitCode {
    woofcmds::main()
}
