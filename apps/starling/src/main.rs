//! The program: everything stands in the library, so that tests reach it.

fn main() -> std::process::ExitCode {
    starling::cli::run()
}
