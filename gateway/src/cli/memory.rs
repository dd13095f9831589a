//! What the C library keeps of memory that is no longer in use.

/// Have the memory of large bodies and answers given back to the system. Left to itself
/// glibc moves its limit for that up to 32 MiB with the blocks it sees, and keeps what
/// they leave behind in every thread's heap (mallopt(3), `M_MMAP_THRESHOLD`). What the
/// environment says of it goes before.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn give_back() {
    /// Blocks of so many bytes are given back as soon as they are free: more than most
    /// bodies have, since the system clears their pages anew each time.
    const GIVEN_BACK_FROM: std::ffi::c_int = 1 << 20;
    /// So many free bytes at the end of a heap stay there, for the next call.
    const KEPT: std::ffi::c_int = 8 << 20;
    let settings = [
        (
            "MALLOC_MMAP_THRESHOLD_",
            libc::M_MMAP_THRESHOLD,
            GIVEN_BACK_FROM,
        ),
        ("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD, KEPT),
    ];
    for (name, parameter, bytes) in settings {
        if std::env::var_os(name).is_none() {
            #[expect(unsafe_code, reason = "no crate has a safe face for it")]
            // SAFETY: two numbers, which glibc keeps under its own lock.
            let _ = unsafe { libc::mallopt(parameter, bytes) };
        }
    }
}

/// Other libraries are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn give_back() {}
