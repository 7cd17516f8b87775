//! A way from C code to a closure.
//!
//! A [`Port`] is a closure that C code on the same thread can call: through [`entry`], by the port's number, with bytes, and it
//! is answered with a code and with bytes.

use std::cell::RefCell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::rc::Rc;

/// What answers: it is given which of its functions is called, and the bytes for that. It writes its answer into the buffer,
/// which is empty, and returns what the answer is.
pub type Handler = dyn Fn(u32, &[u8], &mut Vec<u8>) -> i32;

/// A larger buffer is not kept, bytes.
const KEPT_BYTES: usize = 64 << 10;

struct Line {
    handler: Box<Handler>,
    /// The last answer, which C code may still be reading.
    answer: RefCell<Vec<u8>>,
}

thread_local! {
    static LINES: RefCell<Vec<Option<Rc<Line>>>> = const { RefCell::new(Vec::new()) };
}

/// A closure that can be called, until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u32,
    /// Not for other threads.
    local: PhantomData<*const ()>,
}

impl Port {
    /// Makes `handler` one that can be called.
    pub fn open(handler: Box<Handler>) -> Port {
        let line = Rc::new(Line { handler, answer: RefCell::default() });
        let number = LINES.with_borrow_mut(|lines| {
            let free = lines.iter().position(Option::is_none).unwrap_or(lines.len());
            if free == lines.len() {
                lines.push(None);
            }
            lines[free] = Some(line);
            free
        });
        Port { number: u32::try_from(number).expect("a thread has few ports"), local: PhantomData }
    }

    /// What it is called by, on this thread.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // A thread that ends may have no ports any more. What the closure owns is dropped outside of the borrow.
        let line = LINES.try_with(|lines| lines.borrow_mut()[self.number as usize].take());
        drop(line);
    }
}

/// Bytes for C code: where they are and how many.
#[repr(C)]
#[derive(Debug)]
pub struct Bytes {
    at: *const u8,
    len: usize,
}

/// What [`entry`] is the address of: `int (*)(uint32_t port, uint32_t function, const char *, size_t, struct {const char *;
/// size_t;} *answer)`.
type Entry = unsafe extern "C" fn(u32, u32, *const u8, usize, *mut Bytes) -> i32;

/// The address of the C function that calls a port of its thread. What is answered stays where it is until the port is called
/// again or closed. A port that is closed answers -1 and no bytes.
pub fn entry() -> *mut c_void {
    (call as Entry) as *mut c_void
}

/// # Safety
/// `bytes` and `len` are bytes that nothing changes during the call, unless `len` is 0; `answer` may be written.
unsafe extern "C" fn call(port: u32, function: u32, bytes: *const u8, len: usize, answer: *mut Bytes) -> i32 {
    let bytes = match len {
        0 => &[],
        // SAFETY: by the contract of this function.
        len => unsafe { std::slice::from_raw_parts(bytes, len) },
    };
    let line = LINES.with_borrow(|lines| lines.get(port as usize).cloned().flatten());
    let (code, place) = match line {
        None => (-1, Bytes { at: std::ptr::null(), len: 0 }),
        Some(line) => {
            // Taken, so that a call from within this one has a buffer of its own.
            let mut buf = line.answer.take();
            buf.clear();
            buf.shrink_to(KEPT_BYTES);
            let code = (line.handler)(function, bytes, &mut buf);
            let place = Bytes { at: buf.as_ptr(), len: buf.len() };
            line.answer.replace(buf);
            (code, place)
        }
    };
    // SAFETY: by the contract of this function.
    unsafe { answer.write(place) };
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(port: u32, function: u32, bytes: &[u8]) -> (i32, Vec<u8>) {
        let mut answer = Bytes { at: std::ptr::null(), len: 0 };
        // SAFETY: the bytes outlive the call, and the answer is a local variable.
        let code = unsafe { call(port, function, bytes.as_ptr(), bytes.len(), &mut answer) };
        // SAFETY: the answer is read before the port is called again.
        let bytes = if answer.len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(answer.at, answer.len) } };
        (code, bytes.to_vec())
    }

    #[test]
    fn a_port_answers_until_it_is_closed() {
        let port = Port::open(Box::new(|function, bytes, out| {
            out.extend(bytes.iter().rev());
            function as i32 + 1
        }));
        assert_eq!(ask(port.number(), 6, b"abc"), (7, b"cba".to_vec()));
        assert_eq!(ask(port.number(), 7, b""), (8, Vec::new()));
        let number = port.number();
        drop(port);
        assert_eq!(ask(number, 6, b"abc"), (-1, Vec::new()));
        assert_eq!(ask(number + 1, 6, b"abc"), (-1, Vec::new()));
    }

    #[test]
    fn numbers_are_given_again() {
        let (first, second) = (Port::open(Box::new(|_, _, _| 1)), Port::open(Box::new(|_, _, _| 2)));
        let number = first.number();
        drop(first);
        let third = Port::open(Box::new(|_, _, _| 3));
        assert_eq!(third.number(), number);
        assert_eq!((ask(second.number(), 0, b"").0, ask(third.number(), 0, b"").0), (2, 3));
    }

    #[test]
    fn a_call_within_a_call_does_not_spoil_its_answer() {
        let own = Rc::new(std::cell::Cell::new(0));
        let known = own.clone();
        let port = Port::open(Box::new(move |function, _, out| {
            out.extend_from_slice(b"outer");
            if function == 0 {
                assert_eq!(ask(known.get(), 1, b""), (1, b"outer!".to_vec()));
            }
            out.push(b'!');
            function as i32
        }));
        own.set(port.number());
        assert_eq!(ask(port.number(), 0, b""), (0, b"outer!".to_vec()));
    }

    #[test]
    fn a_large_answer_is_not_kept() {
        let port = Port::open(Box::new(|_, _, out| {
            let before = out.capacity();
            out.resize(1 << 20, 1);
            before as i32
        }));
        assert_eq!(ask(port.number(), 0, b"").1.len(), 1 << 20);
        assert!(ask(port.number(), 0, b"").0 <= KEPT_BYTES as i32);
    }
}
