//! The program `woofd`: the server, and what else stays.

fn main() -> std::process::ExitCode {
    woofdaemon::main()
}
