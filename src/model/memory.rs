//! How this process keeps memory. Knows nothing of what it is for.

/// Has memory that tensors leave behind stay with this process for the next ones: glibc would give
/// each large block back to the system, and take the next one from it page by page, several times a
/// step. For the whole process: a process that computes calls it once, before it allocates much.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_memory() {
    const ALWAYS: i32 = 1 << 30;
    const MOST_BEFORE_2_35: i32 = 1 << 25;
    // SAFETY: these set parameters of the allocator, which may be done at any time.
    unsafe {
        if libc::mallopt(libc::M_MMAP_THRESHOLD, ALWAYS) == 0 {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MOST_BEFORE_2_35);
        }
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        // What threads other than the first have to themselves is given back all the same.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Other allocators keep memory as they see fit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_memory() {}
