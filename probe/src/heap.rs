//! Memory that is not needed any more goes back to the node. An allocator keeps what large blocks were, the longer the larger
//! they were: of a second of many calls, or of a program whose symbols were read, far more than is ever in use again.

/// Blocks of at least so many bytes are apart, and leave when they are freed.
#[cfg(target_env = "gnu")]
const APART: i32 = 128 << 10;

/// Sets the allocator for the whole process: to be called once, at its start. Elsewhere than with glibc nothing is done.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "mallopt has no safe wrapper"))]
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: numbers only; what glibc does not know it refuses.
    unsafe {
        // Set, they are not adapted to the largest block that was seen.
        libc::mallopt(libc::M_MMAP_THRESHOLD, APART);
        libc::mallopt(libc::M_TRIM_THRESHOLD, APART);
    }
}

/// Gives back what is free now: to be called where much was freed.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "malloc_trim has no safe wrapper"))]
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}
