//! Large arrays in huge pages, as numpy asks for them: the allocator of the extension module, on Linux.
//!
//! A fresh array costs a page fault every 4 KiB, and on a virtual machine a fault costs microseconds (2 - 3.5 measured):
//! for 36 MB of ids 25 ms, twice what it takes to compute them. With `madvise` the same array costs 3 ms. Ruled
//! out by design: outputs made by numpy (every kernel would have to know its sizes first), arrays kept for the next call
//! (the core owns nothing between calls).
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; it hands everything to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{c_int, c_void};

/// The system's allocator, which asks for huge pages where an array holds several of them.
pub struct HugePages;

/// Smaller arrays come from memory that was used before.
const MIN_BYTES: usize = 4 << 20;
const PAGE: usize = 4096;
const MADV_HUGEPAGE: c_int = 14;

unsafe extern "C" {
    fn madvise(address: *mut c_void, bytes: usize, advice: c_int) -> c_int;
}

/// A hint: what the kernel answers does not matter.
fn advise(array: *mut u8, bytes: usize) {
    if bytes >= MIN_BYTES && !array.is_null() {
        let skipped = array.align_offset(PAGE);
        let whole = bytes.saturating_sub(skipped) / PAGE * PAGE;
        // SAFETY: the pages lie within the array; the advice changes no content.
        unsafe { madvise(array.wrapping_add(skipped).cast(), whole, MADV_HUGEPAGE) };
    }
}

// SAFETY: all memory comes from and goes back to `System`, under the layouts given.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let array = unsafe { System.alloc(layout) };
        advise(array, layout.size());
        array
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let array = unsafe { System.alloc_zeroed(layout) };
        advise(array, layout.size());
        array
    }

    unsafe fn realloc(&self, array: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let moved = unsafe { System.realloc(array, layout, bytes) };
        advise(moved, bytes);
        moved
    }

    unsafe fn dealloc(&self, array: *mut u8, layout: Layout) {
        unsafe { System.dealloc(array, layout) }
    }
}
