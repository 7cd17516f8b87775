//! Functions compiled several times, for the vectors that a machine may have.
//!
//! Loops over bytes are written plainly, in chunks of a fixed size that the compiler turns into vector code. What it may use
//! depends on the machine the program was built for, which is any of its architecture. [`vectorised!`] compiles such a loop
//! again for wider vectors, and picks the widest at run time.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// What vector instructions the machine has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
#[repr(u8)]
pub(crate) enum Vectors {
    /// What all machines of its architecture have.
    Baseline = 1,
    /// AVX2, and instructions that count bits.
    Avx2 = 2,
    /// AVX-512 with those that count bits.
    Avx512 = 3,
}

/// What was found out; 0 before anybody has asked.
static FOUND: AtomicU8 = AtomicU8::new(0);
static IS_OFF: AtomicBool = AtomicBool::new(false);

/// What the machine has.
#[inline]
pub(crate) fn vectors() -> Vectors {
    match FOUND.load(Relaxed) {
        1 => Vectors::Baseline,
        2 => Vectors::Avx2,
        3 => Vectors::Avx512,
        _ => detect(),
    }
}

#[cold]
fn detect() -> Vectors {
    let found = if IS_OFF.load(Relaxed) { Vectors::Baseline } else { of_machine() };
    FOUND.store(found as u8, Relaxed);
    found
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn of_machine() -> Vectors {
    macro_rules! has_all {
        ($($feature:tt),*) => { $(std::arch::is_x86_feature_detected!($feature))&&* };
    }
    if !has_all!("avx2", "bmi1", "bmi2", "popcnt", "lzcnt") {
        Vectors::Baseline
    } else if has_all!("avx512f", "avx512bw", "avx512vl", "avx512vpopcntdq") {
        Vectors::Avx512
    } else {
        Vectors::Avx2
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn of_machine() -> Vectors {
    Vectors::Baseline
}

/// Whether vectors wider than the architecture's own are used; for tests and comparisons.
pub fn use_vectors(on: bool) {
    IS_OFF.store(!on, Relaxed);
    FOUND.store(0, Relaxed);
}

/// Makes a function of `body`, a function marked `#[inline(always)]` with the same arguments.
macro_rules! vectorised {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)? = $body:ident;)*) => {$(
        $(#[$meta])*
        #[inline]
        $vis fn $name($($arg: $type),*) $(-> $ret)? {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            {
                #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512vl,avx512vpopcntdq")]
                fn avx512($($arg: $type),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
                fn avx2($($arg: $type),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                match $crate::wide::vectors() {
                    // SAFETY: the machine has all that the function was compiled for.
                    $crate::wide::Vectors::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: the same.
                    $crate::wide::Vectors::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::wide::Vectors::Baseline => {}
                }
            }
            $body($($arg),*)
        }
    )*};
}
pub(crate) use vectorised;
