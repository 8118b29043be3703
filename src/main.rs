//! The `confvault` program: a thin shell over the library.

fn main() -> std::process::ExitCode {
    confvault::cli::main()
}
