//! The binary: everything is in the library.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// It gives back what is free (adr/0015).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    kernos::daemon::main()
}
