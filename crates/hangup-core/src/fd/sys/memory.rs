//! Memory that processes share.

use std::ffi::c_void;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{self, MapFlags, MremapFlags, ProtFlags};

use super::{raw, Raw};

/// Words in a [`Page`].
pub(crate) const PAGE_WORDS: usize = 512;
const PAGE: usize = PAGE_WORDS * size_of::<AtomicU64>();

/// A page of words at a fixed place, behind which the memory can be exchanged while others use it.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct Page(pub(crate) [AtomicU64; PAGE_WORDS]);

impl Page {
    /// Has its words be those at `offset` of a memory file from now on; without a file, new ones, all zero, that forked
    /// children share.
    pub(crate) fn replace(&'static self, file: Option<(&OwnedFd, u64)>) -> Raw<()> {
        if rustix::param::page_size() != PAGE {
            return Err(Errno::INVAL.raw_os_error());
        }
        let place = ptr::from_ref(self).cast_mut().cast::<c_void>();
        let (access, how) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::FIXED);
        let mapped = match file {
            // SAFETY: the page is all that is mapped over, and lives as long as the process. It holds nothing but
            // atomics, for which any bits are valid and which anybody may change at any time; the kernel
            // changes the mapping at one moment, before and after which an access finds memory.
            Some((file, offset)) => unsafe { mm::mmap(place, PAGE, access, how, file, offset) },
            // SAFETY: as above.
            None => unsafe { mm::mmap_anonymous(place, PAGE, access, how) },
        };
        mapped.map(drop).map_err(raw)
    }

    /// The words that it has now, under another address: they stay when they are replaced here.
    pub(crate) fn second_view(&'static self) -> Raw<SharedWords> {
        let place = ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: an old size of 0 leaves the old mapping as it is, and maps what it shares once more (mremap(2)).
        let start = unsafe { mm::mremap(place, 0, PAGE, MremapFlags::MAYMOVE) }.map_err(raw)?;
        Ok(SharedWords {
            start: NonNull::new(start.cast()).ok_or(Errno::NOMEM.raw_os_error())?,
            len: PAGE_WORDS,
        })
    }
}

/// Words that other processes see as well.
#[derive(Debug)]
pub(crate) struct SharedWords {
    start: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: it owns its mapping, and what it gives access to are atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// New ones, all zero, that forked children share; a multiple of a page.
    pub(crate) fn anonymous(len: usize) -> Raw<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let size = len * size_of::<AtomicU64>();
        // SAFETY: a new mapping at a place of the kernel's choice.
        let start =
            unsafe { mm::mmap_anonymous(ptr::null_mut(), size, access, MapFlags::SHARED) }.map_err(raw)?;
        Ok(Self { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM.raw_os_error())?, len })
    }

    /// Those of a memory file, all of them. EINVAL if it could become shorter.
    pub(crate) fn map(file: &OwnedFd, writable: bool) -> Raw<Self> {
        let seals = rustix::fs::fcntl_get_seals(file).map_err(raw)?;
        let size = rustix::fs::fstat(file).map_err(raw)?.st_size as usize;
        if !seals.contains(SealFlags::SHRINK) || size == 0 || size % PAGE != 0 {
            return Err(Errno::INVAL.raw_os_error());
        }
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at a place of the kernel's choice, which cannot lose its memory: the seal says so.
        let start =
            unsafe { mm::mmap(ptr::null_mut(), size, access, MapFlags::SHARED, file, 0) }.map_err(raw)?;
        Ok(Self {
            start: NonNull::new(start.cast()).ok_or(Errno::NOMEM.raw_os_error())?,
            len: size / size_of::<AtomicU64>(),
        })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: mapped at a page's boundary, as long as this lives; atomics may be changed by others, and relaxed
        // and acquiring loads of eight bytes may be made from memory that is mapped for reading.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody borrows from it. Fails for a bad address alone.
        let _ = unsafe { mm::munmap(self.start.as_ptr().cast(), self.len * size_of::<AtomicU64>()) };
    }
}

/// A file in memory, of so many bytes for good, that its owner alone may open.
pub(crate) fn memory_file(name: &str, size: u64) -> Raw<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags), // Linux before 6.3
        made => made,
    };
    let file = file.map_err(raw)?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).map_err(raw)?;
    rustix::fs::ftruncate(&file, size).map_err(raw)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).map_err(raw)?;
    Ok(file)
}
