fn main() -> std::process::ExitCode {
    woofcmds::main()
}
