//! Gives memory that is free back to the kernel (adr/0015).
//!
//! The allocator of glibc does so by itself only for what is free at the end of one of its heaps, and there is always
//! something small behind it: what a bad minute needed would be held for ever.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "malloc_trim(3) has no safe form"))]

/// Gives back whatever is free.
pub fn give_back() {
    // SAFETY: it takes no pointer and gives none, locks what it looks at, and touches only what nobody uses.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
