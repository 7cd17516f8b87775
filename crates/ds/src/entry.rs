//! One heap allocation holding a key, its optional metadata and a small value, behind one eight-byte handle.
//!
//! # Layout
//! All fields follow each other without padding; only an object is aligned.
//!
//! ```text
//! flags u8 | meta u24 ? | expire_at_ms u64 ? | klen | key … | payload
//!
//! flags    bits 0-1 payload kind (none, bytes, int, object), 2 has expire, 3 has meta, 4 raw, 5 epoch, 6 user
//! klen     u8 below 255; else the byte 255 and a u32
//! payload  none: nothing      bytes: vlen (like klen), then the bytes
//!          int: i64           object: padding to `align_of::<T>()`, then T
//! ```
//!
//! A set member costs two bytes beside its key. A 16-byte key with a value of up to ten bytes and a clock fills one
//! 32-byte allocation, and one of 40 with an expiry.
//!
//! # Invariants
//! - The allocation's size is `size_class(content)`, where `content` is computed from the fields above; so it need not be
//!   stored, and whatever the allocator would waste in rounding up is ours to grow into.
//! - Alignment is eight: the low three bits of the pointer are free for tags (see [`crate::elem`]).
//! - The entry owns the allocation and, with the kind `object`, the `T` in it. Both are released exactly once: the handle is
//!   neither `Copy` nor `Clone`, and code that moves a payload out forgets the source.
//! - Behind `&Entry` only the meta bytes change ([`Entry::set_meta`]); no reference to them is ever made, and `Entry` is not
//!   `Sync`, so nobody reads them meanwhile. Everything else changes behind `&mut Entry`.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;

const KIND_MASK: u8 = 0b11;
const KIND_NONE: u8 = 0;
const KIND_BYTES: u8 = 1;
const KIND_INT: u8 = 2;
const KIND_OBJECT: u8 = 3;
const HAS_EXPIRE: u8 = 1 << 2;
const HAS_META: u8 = 1 << 3;
const RAW: u8 = 1 << 4;
const EPOCH: u8 = 1 << 5;
const USER: u8 = 1 << 6;

/// Bytes that come into the cache together.
const LINE: usize = 64;
/// Alignment of every entry, in bytes.
const ALIGN: usize = 8;
/// A length byte of this value says that the length follows as a `u32`.
const LEN_ESCAPE: u8 = 255;
/// The largest value of the clock kept by [`Entry::meta`].
pub const META_MAX: u32 = (1 << 24) - 1;

/// The bytes that jemalloc, built with a quantum of eight, sets aside for a request of `n` bytes: multiples of 8 up to 64, of
/// 16 up to 128, then four classes for each doubling. O(1).
#[inline]
pub const fn size_class(n: usize) -> usize {
    if n <= 64 {
        if n == 0 { 8 } else { (n + 7) & !7 }
    } else if n <= 128 {
        (n + 15) & !15
    } else {
        let spacing = 1 << ((2 * n - 1).ilog2() - 3);
        (n + spacing - 1) & !(spacing - 1)
    }
}

/// What an entry holds beside its key, borrowed.
#[derive(Debug, PartialEq)]
pub enum Payload<'a, T> {
    /// Nothing: a set member.
    None,
    /// A byte string kept in the entry.
    Bytes(&'a [u8]),
    /// An integer kept in the entry.
    Int(i64),
    /// An owned object.
    Object(&'a T),
}

/// What to put into an entry; see [`Payload`].
#[derive(Debug)]
pub enum NewPayload<'a, T> {
    /// Nothing: a set member.
    None,
    /// A byte string, copied into the entry; at most `u32::MAX` bytes.
    Bytes(&'a [u8]),
    /// An integer.
    Int(i64),
    /// An object, which the entry owns from now on.
    Object(T),
}

/// An owned key with optional payload, expiry and clock; see the module's page for the layout.
pub struct Entry<T> {
    ptr: NonNull<u8>,
    owns: PhantomData<T>,
}

const _: () = assert!(size_of::<Entry<u64>>() == 8 && size_of::<Option<Entry<u64>>>() == 8);

// SAFETY: an entry is the only owner of its allocation and of the T in it, so moving it to a thread moves just a T.
unsafe impl<T: Send> Send for Entry<T> {}

/// Where the fields of an entry lie, in bytes from its start.
#[derive(Clone, Copy)]
struct Shape {
    key: usize,
    klen: usize,
    /// Start of the value's bytes, of the integer or of the object; the end of the key without payload.
    value: usize,
    /// Length of the value's bytes; zero with other payloads.
    vlen: usize,
    /// All bytes in use.
    content: usize,
}

#[inline(always)]
const fn len_bytes(len: usize) -> usize {
    if len < LEN_ESCAPE as usize { 1 } else { 5 }
}

/// Where the length of the key lies.
#[inline(always)]
const fn klen_offset(flags: u8) -> usize {
    1 + 3 * ((flags & HAS_META != 0) as usize) + 8 * ((flags & HAS_EXPIRE != 0) as usize)
}

impl Shape {
    /// The places of an entry with these flags and lengths. `vlen` counts only with a payload of bytes.
    #[inline]
    fn plan<T>(flags: u8, klen: usize, vlen: usize) -> Shape {
        let key = klen_offset(flags) + len_bytes(klen);
        let end = key + klen;
        let (value, vlen, content) = match flags & KIND_MASK {
            KIND_NONE => (end, 0, end),
            KIND_BYTES => {
                let value = end + len_bytes(vlen);
                (value, vlen, value + vlen)
            }
            KIND_INT => (end, 0, end + 8),
            _ => {
                let value = end.next_multiple_of(align_of::<T>());
                (value, 0, value + size_of::<T>())
            }
        };
        Shape { key, klen, value, vlen, content }
    }
}

impl<T> Entry<T> {
    /// Copies `key` and what comes with it into a new allocation.
    ///
    /// `expire_at_ms` is absolute Unix time. With `meta` the entry has a 24-bit clock, which without it can never be added.
    /// Panics if key or value exceed `u32::MAX` bytes. O(length).
    pub fn new(key: &[u8], payload: NewPayload<'_, T>, expire_at_ms: Option<u64>, meta: Option<u32>) -> Self {
        let mut flags = 0;
        if expire_at_ms.is_some() {
            flags |= HAS_EXPIRE;
        }
        if meta.is_some() {
            flags |= HAS_META;
        }
        Self::build(flags, key, payload, expire_at_ms.unwrap_or(0), meta.unwrap_or(0))
    }

    /// Makes an entry of `flags` (whose kind comes from `payload`).
    #[inline]
    fn build(flags: u8, key: &[u8], payload: NewPayload<'_, T>, expire_at_ms: u64, meta: u32) -> Self {
        const { assert!(align_of::<T>() <= ALIGN, "an object must not need more than the entry's alignment") };
        let (kind, vlen) = match &payload {
            NewPayload::None => (KIND_NONE, 0),
            NewPayload::Bytes(bytes) => (KIND_BYTES, bytes.len()),
            NewPayload::Int(_) => (KIND_INT, 0),
            NewPayload::Object(_) => (KIND_OBJECT, 0),
        };
        assert!(key.len() <= u32::MAX as usize && vlen <= u32::MAX as usize, "lengths are 32 bits");
        let flags = flags & !KIND_MASK | kind;
        let shape = Shape::plan::<T>(flags, key.len(), vlen);
        let entry = Self::allocate(shape.content);
        // SAFETY: the allocation holds `shape.content` bytes and every field lies inside by construction of `shape`.
        unsafe {
            entry.at(0).write(flags);
            if flags & HAS_EXPIRE != 0 {
                entry.at(expire_offset(flags)).cast::<u64>().write_unaligned(expire_at_ms);
            }
            entry.write_len(klen_offset(flags), key.len());
            entry.at(shape.key).copy_from_nonoverlapping(key.as_ptr(), key.len());
            match payload {
                NewPayload::None => {}
                NewPayload::Bytes(bytes) => {
                    entry.write_len(shape.key + shape.klen, bytes.len());
                    entry.at(shape.value).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                NewPayload::Int(value) => entry.at(shape.value).cast::<i64>().write_unaligned(value),
                NewPayload::Object(object) => entry.at(shape.value).cast::<T>().write(object),
            }
        }
        if flags & HAS_META != 0 {
            entry.set_meta(meta);
        }
        entry
    }

    #[inline]
    fn allocate(content: usize) -> Self {
        let layout = layout(content);
        // SAFETY: the layout's size is at least eight.
        let ptr = unsafe { alloc(layout) };
        let Some(ptr) = NonNull::new(ptr) else { handle_alloc_error(layout) };
        Self { ptr, owns: PhantomData }
    }

    #[inline(always)]
    fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: callers stay inside the allocation, as computed by `Shape`.
        unsafe { self.ptr.as_ptr().add(offset) }
    }

    /// Writes a length at `offset`, one byte or five.
    ///
    /// # Safety
    /// `len_bytes(len)` bytes from `offset` on are inside the allocation.
    #[inline(always)]
    unsafe fn write_len(&self, offset: usize, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if len < LEN_ESCAPE as usize {
                self.at(offset).write(len as u8);
            } else {
                self.at(offset).write(LEN_ESCAPE);
                self.at(offset + 1).cast::<u32>().write_unaligned(len as u32);
            }
        }
    }

    /// Reads a length at `offset` and the offset behind it.
    ///
    /// # Safety
    /// `offset` is where `write_len` wrote.
    #[inline(always)]
    unsafe fn read_len(&self, offset: usize) -> (usize, usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let byte = self.at(offset).read();
            if byte != LEN_ESCAPE {
                (byte as usize, offset + 1)
            } else {
                (self.at(offset + 1).cast::<u32>().read_unaligned() as usize, offset + 5)
            }
        }
    }

    #[inline(always)]
    fn flags(&self) -> u8 {
        // SAFETY: every entry starts with its flags.
        unsafe { self.at(0).read() }
    }

    #[inline(always)]
    fn set_flag(&mut self, flag: u8, on: bool) {
        let flags = self.flags();
        // SAFETY: as in `flags`; the caller changes no flag that the layout depends on.
        unsafe { self.at(0).write(if on { flags | flag } else { flags & !flag }) }
    }

    #[inline]
    fn shape(&self) -> Shape {
        let flags = self.flags();
        // SAFETY: both lengths lie where `build` wrote them.
        unsafe {
            let (klen, key) = self.read_len(klen_offset(flags));
            let vlen = if flags & KIND_MASK == KIND_BYTES { self.read_len(key + klen).0 } else { 0 };
            Shape::plan::<T>(flags, klen, vlen)
        }
    }

    /// The key. O(1).
    #[inline(always)]
    pub fn key(&self) -> &[u8] {
        // SAFETY: the key lies behind its length and is written only when the entry is built.
        unsafe {
            let (klen, key) = self.read_len(klen_offset(self.flags()));
            std::slice::from_raw_parts(self.at(key), klen)
        }
    }

    /// Whether the key is `other`; quicker than comparing slices when keys are short.
    #[inline(always)]
    pub fn key_eq(&self, other: &[u8]) -> bool {
        bytes_eq(self.key(), other)
    }

    /// [`crate::hash::hash`] of the key.
    #[inline]
    pub fn hash(&self) -> u64 {
        crate::hash::hash(self.key())
    }

    /// The payload. O(1).
    #[inline]
    pub fn payload(&self) -> Payload<'_, T> {
        let shape = self.shape();
        // SAFETY: the kind says what was written at `shape.value`; changing it needs `&mut self`.
        unsafe {
            match self.flags() & KIND_MASK {
                KIND_NONE => Payload::None,
                KIND_BYTES => Payload::Bytes(std::slice::from_raw_parts(self.at(shape.value), shape.vlen)),
                KIND_INT => Payload::Int(self.at(shape.value).cast::<i64>().read_unaligned()),
                _ => Payload::Object(&*self.at(shape.value).cast::<T>()),
            }
        }
    }

    /// The object, if the payload is one.
    #[inline]
    pub fn object_mut(&mut self) -> Option<&mut T> {
        if self.flags() & KIND_MASK != KIND_OBJECT {
            return None;
        }
        // SAFETY: the kind says that a T lies there, and `&mut self` that nobody else refers to it.
        Some(unsafe { &mut *self.at(self.shape().value).cast::<T>() })
    }

    /// The payload's bytes for change in place, if it is a byte string.
    #[inline]
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        if self.flags() & KIND_MASK != KIND_BYTES {
            return None;
        }
        let shape = self.shape();
        // SAFETY: `vlen` bytes lie there, and `&mut self` says that nobody else refers to them.
        Some(unsafe { std::slice::from_raw_parts_mut(self.at(shape.value), shape.vlen) })
    }

    /// Makes `bytes` the payload, in place where the size class stays. Key, expiry, clock and marks stay. An object is
    /// dropped.
    pub fn set_bytes(&mut self, bytes: &[u8]) {
        let flags = self.flags();
        if flags & KIND_MASK == KIND_BYTES {
            let shape = self.shape();
            if shape.vlen == bytes.len() {
                // SAFETY: the same number of bytes lies there; `bytes` cannot overlap because we hold `&mut self`.
                unsafe { self.at(shape.value).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
                return;
            }
        }
        self.replace_payload(NewPayload::Bytes(bytes));
    }

    /// Makes `value` the payload; see [`Entry::set_bytes`].
    pub fn set_int(&mut self, value: i64) {
        if self.flags() & KIND_MASK == KIND_INT {
            // SAFETY: the kind says that an i64 lies there.
            unsafe { self.at(self.shape().value).cast::<i64>().write_unaligned(value) }
            return;
        }
        self.replace_payload(NewPayload::Int(value));
    }

    /// Makes `object` the payload; see [`Entry::set_bytes`]. The old payload, if an object, is dropped.
    pub fn set_object(&mut self, object: T) {
        match self.object_mut() {
            Some(old) => *old = object,
            None => drop(self.replace_payload(NewPayload::Object(object))),
        }
    }

    /// Takes the object out, leaving no payload; `None`, changing nothing, if there is none.
    pub fn take_object(&mut self) -> Option<T> {
        if self.flags() & KIND_MASK == KIND_OBJECT { self.replace_payload(NewPayload::None) } else { None }
    }

    /// Puts `payload` in the place of the old one, which comes back if it was an object. In place where the size class stays,
    /// else in a new allocation. O(length).
    pub fn replace_payload(&mut self, payload: NewPayload<'_, T>) -> Option<T> {
        const { assert!(align_of::<T>() <= ALIGN, "an object must not need more than the entry's alignment") };
        let (kind, vlen) = match &payload {
            NewPayload::None => (KIND_NONE, 0),
            NewPayload::Bytes(bytes) => (KIND_BYTES, bytes.len()),
            NewPayload::Int(_) => (KIND_INT, 0),
            NewPayload::Object(_) => (KIND_OBJECT, 0),
        };
        assert!(vlen <= u32::MAX as usize, "lengths are 32 bits");
        let flags = self.flags();
        let old_shape = self.shape();
        let new_flags = flags & !KIND_MASK | kind;
        let new_shape = Shape::plan::<T>(new_flags, old_shape.klen, vlen);
        if size_class(new_shape.content) != size_class(old_shape.content) {
            let rebuilt = self.rebuild(flags, self.key(), payload, self.expire_at_ms().unwrap_or(0));
            return mem::replace(self, rebuilt).into_object();
        }
        // SAFETY: everything up to the end of the key stays; the new payload ends inside the same size class, which is the
        // allocation's size. The old object is moved out before it is overwritten and the kind changes with it.
        unsafe {
            let old = (flags & KIND_MASK == KIND_OBJECT).then(|| self.at(old_shape.value).cast::<T>().read());
            self.at(0).write(new_flags);
            match payload {
                NewPayload::None => {}
                NewPayload::Bytes(bytes) => {
                    self.write_len(new_shape.key + new_shape.klen, bytes.len());
                    self.at(new_shape.value).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                NewPayload::Int(value) => self.at(new_shape.value).cast::<i64>().write_unaligned(value),
                NewPayload::Object(object) => self.at(new_shape.value).cast::<T>().write(object),
            }
            old
        }
    }

    /// A new entry with this one's marks and clock, and the given rest.
    fn rebuild(&self, flags: u8, key: &[u8], payload: NewPayload<'_, T>, expire_at_ms: u64) -> Self {
        Self::build(flags, key, payload, expire_at_ms, self.meta())
    }

    /// Moves the payload out of an entry that is going away, as something to build another from.
    ///
    /// Bytes are borrowed, so the entry has to outlive the result; a moved object must then not be dropped with it, which
    /// [`Entry::forget_object`] sees to.
    ///
    /// # Safety
    /// An object in the result is a second owner until `forget_object` is called on `self`.
    unsafe fn lend_payload(&self) -> NewPayload<'_, T> {
        match self.payload() {
            Payload::None => NewPayload::None,
            Payload::Bytes(bytes) => NewPayload::Bytes(bytes),
            Payload::Int(value) => NewPayload::Int(value),
            Payload::Object(object) => {
                // SAFETY: `object` refers to a T; the caller sees to it that ours is not dropped.
                let object = unsafe { std::ptr::read(object) };
                NewPayload::Object(object)
            }
        }
    }

    /// Frees the allocation without dropping the object in it.
    fn forget_object(self) {
        let layout = layout(self.shape().content);
        let ptr = self.ptr;
        mem::forget(self);
        // SAFETY: allocated with the same layout (the module's invariant), and the handle is forgotten.
        unsafe { dealloc(ptr.as_ptr(), layout) }
    }

    /// Frees the allocation and hands out the object, if there is one.
    fn into_object(self) -> Option<T> {
        let object = (self.flags() & KIND_MASK == KIND_OBJECT).then(|| {
            // SAFETY: a T lies there, and `forget_object` below does not drop it again.
            unsafe { self.at(self.shape().value).cast::<T>().read() }
        });
        self.forget_object();
        object
    }

    /// Builds a replacement around the moved payload and frees the old allocation.
    fn relocate(self, flags: u8, key: Option<&[u8]>, expire_at_ms: u64) -> Self {
        let source = mem::ManuallyDrop::new(self);
        // SAFETY: `source` is never dropped: `forget_object` frees it below, and a panic before that only leaks it.
        let payload = unsafe { source.lend_payload() };
        let rebuilt = source.rebuild(flags, key.unwrap_or(source.key()), payload, expire_at_ms);
        mem::ManuallyDrop::into_inner(source).forget_object();
        rebuilt
    }

    /// When the entry expires, in absolute Unix milliseconds.
    #[inline]
    pub fn expire_at_ms(&self) -> Option<u64> {
        let flags = self.flags();
        if flags & HAS_EXPIRE == 0 {
            return None;
        }
        // SAFETY: the flag says that the field is there.
        Some(unsafe { self.at(expire_offset(flags)).cast::<u64>().read_unaligned() })
    }

    /// Sets or removes the expiry. Moves to another allocation when the field appears or goes. O(length) then, else O(1).
    pub fn set_expire(&mut self, expire_at_ms: Option<u64>) {
        let flags = self.flags();
        match expire_at_ms {
            Some(at_ms) if flags & HAS_EXPIRE != 0 => {
                // SAFETY: the flag says that the field is there.
                unsafe { self.at(expire_offset(flags)).cast::<u64>().write_unaligned(at_ms) }
            }
            None if flags & HAS_EXPIRE == 0 => {}
            _ => {
                let new_flags = flags ^ HAS_EXPIRE;
                self.replace_with(|old| old.relocate(new_flags, None, expire_at_ms.unwrap_or(0)));
            }
        }
    }

    /// The same entry under another key (RENAME): payload, expiry, clock and marks move.
    pub fn with_key(self, new_key: &[u8]) -> Self {
        assert!(new_key.len() <= u32::MAX as usize, "lengths are 32 bits");
        let expire_at_ms = self.expire_at_ms().unwrap_or(0);
        let flags = self.flags();
        self.relocate(flags, Some(new_key), expire_at_ms)
    }

    /// Replaces `*self` by `change(*self)`. Aborts the process if `change` panics, since `*self` is gone then.
    fn replace_with(&mut self, change: impl FnOnce(Self) -> Self) {
        struct AbortOnUnwind;
        impl Drop for AbortOnUnwind {
            fn drop(&mut self) {
                std::process::abort();
            }
        }
        let guard = AbortOnUnwind;
        // SAFETY: the value read is consumed by `change`, and its result is written over it without dropping it again; a
        // panic in between aborts.
        unsafe {
            let old = std::ptr::read(self);
            std::ptr::write(self, change(old));
        }
        mem::forget(guard);
    }

    /// Whether the entry was created with a clock.
    #[inline]
    pub fn has_meta(&self) -> bool {
        self.flags() & HAS_META != 0
    }

    /// The 24-bit clock (LRU or LFU, as the owner decides); zero in an entry created without.
    #[inline]
    pub fn meta(&self) -> u32 {
        if !self.has_meta() {
            return 0;
        }
        // SAFETY: the flag says that three bytes follow the flags.
        unsafe {
            let low = self.at(1).read() as u32;
            let high = self.at(2).cast::<u16>().read() as u32;
            low | high << 8
        }
    }

    /// Sets the clock to the low 24 bits of `meta`; does nothing in an entry created without. A shared reference is enough,
    /// as a read has to leave its trace.
    #[inline]
    pub fn set_meta(&self, meta: u32) {
        if !self.has_meta() {
            return;
        }
        // SAFETY: the flag says that three bytes follow the flags. No reference to them exists, and no other thread has this
        // entry (not Sync).
        unsafe {
            self.at(1).write(meta as u8);
            self.at(2).cast::<u16>().write((meta >> 8) as u16);
        }
    }

    /// A mark of the owner's: the string was built in place (encoding `raw`).
    #[inline]
    pub fn raw(&self) -> bool {
        self.flags() & RAW != 0
    }

    /// Sets the mark read by [`Entry::raw`].
    #[inline]
    pub fn set_raw(&mut self, on: bool) {
        self.set_flag(RAW, on);
    }

    /// A mark of the owner's: the snapshot epoch in which the entry was last seen.
    #[inline]
    pub fn epoch(&self) -> bool {
        self.flags() & EPOCH != 0
    }

    /// Sets the mark read by [`Entry::epoch`].
    #[inline]
    pub fn set_epoch(&mut self, on: bool) {
        self.set_flag(EPOCH, on);
    }

    /// A mark free for the owner's use.
    #[inline]
    pub fn user_bit(&self) -> bool {
        self.flags() & USER != 0
    }

    /// Sets the mark read by [`Entry::user_bit`].
    #[inline]
    pub fn set_user_bit(&mut self, on: bool) {
        self.set_flag(USER, on);
    }

    /// Bytes that the allocator has set aside for this entry, the heap behind an object not included. O(1).
    #[inline]
    pub fn allocated_size(&self) -> usize {
        size_class(self.shape().content)
    }

    /// Starts loading the entry's memory into the cache. Never faults, costs about a nanosecond.
    #[inline(always)]
    pub fn prefetch(&self) {
        prefetch(self.ptr.as_ptr());
        // Size classes that are no power of two straddle lines, and key and value are wanted at once.
        prefetch(self.ptr.as_ptr().wrapping_add(40));
    }

    /// The address of the allocation: an identity for indexes as long as no call takes `&mut self`.
    #[inline(always)]
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.ptr
    }

    /// Hands the allocation to the caller, who has to give it back to [`Entry::from_raw`].
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        let ptr = self.ptr;
        mem::forget(self);
        ptr
    }

    /// Takes back an allocation.
    ///
    /// # Safety
    /// `ptr` came from `into_raw` of an entry of the same `T`, and is given back once (or the result is never dropped).
    #[inline(always)]
    pub(crate) unsafe fn from_raw(ptr: NonNull<u8>) -> Self {
        Self { ptr, owns: PhantomData }
    }
}

impl<T> Drop for Entry<T> {
    #[inline]
    fn drop(&mut self) {
        let shape = self.shape();
        // SAFETY: the kind says whether a T lies there, it is dropped once, and the layout is the allocation's by the module's
        // invariant.
        unsafe {
            if mem::needs_drop::<T>() && self.flags() & KIND_MASK == KIND_OBJECT {
                self.at(shape.value).cast::<T>().drop_in_place();
            }
            dealloc(self.ptr.as_ptr(), layout(shape.content));
        }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key().escape_ascii().to_string())
            .field("payload", &self.payload())
            .field("expire_at_ms", &self.expire_at_ms())
            .field("meta", &self.meta())
            .finish()
    }
}

/// Where the expiry lies, if there is one.
#[inline(always)]
const fn expire_offset(flags: u8) -> usize {
    1 + 3 * ((flags & HAS_META != 0) as usize)
}

#[inline(always)]
fn layout(content: usize) -> Layout {
    let size = size_class(content);
    debug_assert!(size <= isize::MAX as usize - ALIGN);
    // SAFETY: the alignment is a power of two and two 32-bit lengths are far below `isize::MAX`.
    unsafe { Layout::from_size_align_unchecked(size, ALIGN) }
}

/// Starts loading the line at `ptr`; any address will do.
#[inline(always)]
pub(crate) fn prefetch<P>(ptr: *const P) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch never faults, and SSE is part of the baseline.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(ptr.cast());
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    let _ = ptr;
}

/// Starts loading the first lines of `bytes`, as many as a small listpack has. Never faults.
#[inline]
pub fn prefetch_bytes(bytes: &[u8]) {
    let len = bytes.len().min(4 * LINE);
    let mut at = 0;
    while at < len {
        prefetch(bytes.as_ptr().wrapping_add(at));
        at += LINE;
    }
    if len > 0 {
        prefetch(bytes.as_ptr().wrapping_add(len - 1));
    }
}

/// Equality of short strings without the call to `memcmp`: two overlapping loads cover 8 to 16 bytes, four 17 to 32.
#[inline(always)]
pub fn bytes_eq(a: &[u8], b: &[u8]) -> bool {
    #[inline(always)]
    fn word(s: &[u8], at: usize) -> u64 {
        u64::from_ne_bytes(s[at..at + 8].try_into().expect("eight bytes"))
    }
    #[inline(always)]
    fn half(s: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(s[at..at + 4].try_into().expect("four bytes"))
    }
    let len = a.len();
    if len != b.len() {
        return false;
    }
    match len {
        8..=16 => (word(a, 0) ^ word(b, 0)) | (word(a, len - 8) ^ word(b, len - 8)) == 0,
        17..=32 => {
            (word(a, 0) ^ word(b, 0))
                | (word(a, 8) ^ word(b, 8))
                | (word(a, len - 16) ^ word(b, len - 16))
                | (word(a, len - 8) ^ word(b, len - 8))
                == 0
        }
        4..=7 => (half(a, 0) ^ half(b, 0)) | (half(a, len - 4) ^ half(b, len - 4)) == 0,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests;
