//! A place where something borrowed can be found for a while.
//!
//! Callbacks that live for ever need things that live for the length of a call: the caller *lends* such a thing, makes the call,
//! and has it back when the call returns. Meanwhile whoever has the [`Loan`] can borrow it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A type whose lifetime is left open.
pub trait Lent {
    /// The type for one lifetime.
    type With<'a>;
}

/// The place.
///
/// # Field ownership
/// `place` is null, or the address of a value that is mutably borrowed by a [`Loan::lend`] further up the stack (or on the stack of
/// a fiber that is suspended inside of one). While [`Loan::with`] hands the value out it is null, so nobody gets it twice.
pub struct Loan<L: Lent> {
    place: Cell<Option<NonNull<()>>>,
    lent: PhantomData<L>,
    /// Not for other threads.
    local: PhantomData<*const ()>,
}

impl<L: Lent> Default for Loan<L> {
    fn default() -> Self {
        Loan { place: Cell::new(None), lent: PhantomData, local: PhantomData }
    }
}

/// Puts back what was there, also when it is left by a panic.
struct Restore<'c>(&'c Cell<Option<NonNull<()>>>, Option<NonNull<()>>);

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

impl<L: Lent> Loan<L> {
    /// Lends `value` for as long as `work` takes. What is lent already is out of reach meanwhile.
    pub fn lend<'a, R>(&self, value: &mut L::With<'a>, work: impl FnOnce() -> R) -> R {
        let _restore = Restore(&self.place, self.place.replace(Some(NonNull::from(value).cast())));
        work()
    }

    /// Borrows what is lent; `None` if there is nothing, or if it is borrowed already.
    pub fn with<R>(&self, visit: impl for<'a> FnOnce(&mut L::With<'a>) -> R) -> Option<R> {
        let place = self.place.take()?;
        let _restore = Restore(&self.place, Some(place));
        // SAFETY: the address is that of a value that `lend` has borrowed mutably and does not touch before it takes the
        // address away. It was a value of this type for some lifetime; `visit` works for every lifetime, so it cannot tell
        // which, nor keep anything of it. `place` is null until `visit` is done, so this is the only reference.
        Some(visit(unsafe { place.cast::<L::With<'_>>().as_mut() }))
    }

    /// Whether nothing is lent, or what is lent is borrowed.
    pub fn is_empty(&self) -> bool {
        self.place.get().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers;

    impl Lent for Numbers {
        type With<'a> = &'a mut Vec<u32>;
    }

    #[test]
    fn what_is_lent_is_found_and_comes_back() {
        let loan = Loan::<Numbers>::default();
        assert_eq!(loan.with(|_| ()), None);
        let mut numbers = vec![1];
        let sum = loan.lend(&mut &mut numbers, || {
            loan.with(|numbers| numbers.push(2));
            loan.with(|numbers| numbers.iter().sum::<u32>())
        });
        assert_eq!(sum, Some(3));
        assert!(loan.is_empty());
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn nobody_borrows_it_twice() {
        let loan = Loan::<Numbers>::default();
        let mut numbers = vec![];
        loan.lend(&mut &mut numbers, || {
            let inner = loan.with(|_| loan.with(|_| ()));
            assert_eq!(inner, Some(None));
            assert_eq!(loan.with(|_| ()), Some(()));
        });
    }

    #[test]
    fn loans_nest() {
        let loan = Loan::<Numbers>::default();
        let (mut outer, mut inner) = (vec![1], vec![2]);
        loan.lend(&mut &mut outer, || {
            loan.lend(&mut &mut inner, || loan.with(|numbers| numbers.push(3)));
            loan.with(|numbers| numbers.push(4));
        });
        assert_eq!((outer, inner), (vec![1, 4], vec![2, 3]));
    }

    #[test]
    fn a_panic_takes_it_back() {
        let loan = Loan::<Numbers>::default();
        let mut numbers = vec![];
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            loan.lend(&mut &mut numbers, || loan.with(|_| panic!("inside")))
        }));
        assert!(caught.is_err());
        assert!(loan.is_empty());
    }
}
