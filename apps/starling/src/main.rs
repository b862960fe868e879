//! The program: everything stands in the library, so that tests reach it.

/// Ten thousand links come and go at a supernode; the system's allocator keeps a sixth more for the same (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    starling::cli::run()
}
