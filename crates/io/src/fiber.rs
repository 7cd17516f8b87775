//! Fibers: functions with a stack of their own, that can be left in the middle and gone on with later.
//!
//! A thread starts a fiber and waits until it is done or calls [`suspend`]. Then the thread has a [`Fiber`], which it
//! resumes when it likes. A fiber never leaves its thread.
//!
//! Stacks are kept for the next fiber, so that one costs no system call, only the two switches in and out. A stack is
//! address space; the system gives it memory where it is touched, and a guard page ends it.

use std::cell::{Cell, RefCell};
use std::ptr;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

/// Address space of a stack.
const STACK_BYTES: usize = 4 << 20;
/// Stacks that a thread keeps for later.
const SPARE_STACKS: usize = 4;

thread_local! {
    /// The fiber that runs on this thread; null outside of any.
    static CURRENT: Cell<*const Yielder<(), ()>> = const { Cell::new(ptr::null()) };
    static SPARE: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// How far a fiber has come.
pub enum Step<T: 'static> {
    /// Its function has returned.
    Done(T),
    /// It has called [`suspend`].
    Suspended(Fiber<T>),
}

/// A fiber that waits to be resumed.
///
/// Dropping one leaks its stack and all that lives there: frames of C code cannot be unwound. So its owner sees to it
/// that the function comes to its end.
#[must_use = "a fiber that is dropped is never finished"]
pub struct Fiber<T: 'static> {
    coroutine: Option<Coroutine<(), (), T, DefaultStack>>,
}

/// Runs `function` on a stack of its own until it returns or suspends.
///
/// # Panics
/// When the system has no memory for a stack. A panic of `function` goes on in the caller.
pub fn start<T: 'static>(function: impl FnOnce() -> T + 'static) -> Step<T> {
    let stack = SPARE
        .with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("address space for a stack"));
    let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
        CURRENT.set(yielder);
        function()
    });
    Fiber { coroutine: Some(coroutine) }.resume()
}

/// Leaves the fiber that runs; returns when it is resumed.
///
/// # Panics
/// Outside of a fiber.
pub fn suspend() {
    let current = CURRENT.get();
    assert!(!current.is_null(), "only a fiber can be suspended");
    // SAFETY: `CURRENT` is the yielder of the fiber that runs on this thread. It lives on the fiber's stack below this
    // frame until the fiber's function returns, and `resume` takes it away whenever control leaves the fiber.
    unsafe { (*current).suspend(()) };
    CURRENT.set(current);
}

/// Whether the caller runs in a fiber.
pub fn is_active() -> bool {
    !CURRENT.get().is_null()
}

impl<T: 'static> Fiber<T> {
    /// Goes on where the fiber left.
    pub fn resume(mut self) -> Step<T> {
        let mut coroutine = self.coroutine.take().expect("only `resume` takes it, and consumes the fiber");
        let restore = Restore(CURRENT.replace(ptr::null()));
        let result = coroutine.resume(());
        drop(restore);
        match result {
            CoroutineResult::Yield(()) => Step::Suspended(Fiber { coroutine: Some(coroutine) }),
            CoroutineResult::Return(value) => {
                let stack = coroutine.into_stack();
                SPARE.with_borrow_mut(|spare| {
                    if spare.len() < SPARE_STACKS {
                        spare.push(stack);
                    }
                });
                Step::Done(value)
            }
        }
    }
}

impl<T: 'static> Drop for Fiber<T> {
    fn drop(&mut self) {
        std::mem::forget(self.coroutine.take());
    }
}

/// Puts the fiber back that resumed another one, even if that one panics.
struct Restore(*const Yielder<(), ()>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    fn finish<T>(mut step: Step<T>) -> (T, usize) {
        let mut times = 0;
        loop {
            match step {
                Step::Done(value) => return (value, times),
                Step::Suspended(fiber) => {
                    times += 1;
                    step = fiber.resume();
                }
            }
        }
    }

    #[test]
    fn runs_to_the_end_without_suspending() {
        let word = String::from("owned");
        let (value, times) = finish(start(move || word + " by the fiber"));
        assert_eq!((value.as_str(), times), ("owned by the fiber", 0));
        assert!(!is_active());
    }

    #[test]
    fn suspends_and_goes_on() {
        let log = Rc::new(RefCell::new(Vec::new()));
        let inner = log.clone();
        let mut step = start(move || {
            for i in 0..3 {
                inner.borrow_mut().push(i);
                suspend();
            }
            "end"
        });
        for i in 0..3 {
            let Step::Suspended(fiber) = step else { panic!("it suspends three times") };
            assert!(!is_active());
            assert_eq!(log.borrow().len(), i + 1);
            step = fiber.resume();
        }
        assert!(matches!(step, Step::Done("end")));
    }

    #[test]
    fn fibers_nest_and_interleave() {
        let outer = start(|| {
            let inner = start(|| {
                suspend();
                1
            });
            suspend();
            finish(inner).0 + 1
        });
        let other = finish(start(|| {
            suspend();
            10
        }));
        assert_eq!(other, (10, 1));
        let Step::Suspended(outer) = outer else { panic!("the outer one suspends") };
        assert!(matches!(outer.resume(), Step::Done(2)));
    }

    #[test]
    fn a_panic_comes_out_where_the_fiber_was_resumed() {
        let step = start(|| {
            suspend();
            assert!(!is_active(), "inside");
        });
        let Step::Suspended(fiber) = step else { panic!("it suspends first") };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(fiber.resume())));
        assert!(caught.is_err());
        assert!(!is_active());
    }

    #[test]
    #[should_panic(expected = "only a fiber")]
    fn nobody_else_can_be_suspended() {
        suspend();
    }

    #[test]
    fn a_stack_has_room() {
        fn deep(n: u64) -> u64 {
            let pad = std::hint::black_box([n; 32]);
            if n == 0 { 0 } else { deep(n - 1) + u64::from(pad[7] == n) }
        }
        assert_eq!(finish(start(|| deep(4000))).0, 4000);
    }
}
