//! Descriptors that are numbers.

pub mod fd {
    //! As `std::os::fd`.

    use std::marker::PhantomData;

    /// Owns a descriptor of the model.
    #[derive(Debug)]
    pub struct OwnedFd(pub i32);

    /// A borrowed descriptor.
    pub struct BorrowedFd<'a>(pub i32, #[doc(hidden)] pub PhantomData<&'a OwnedFd>);

    /// The number of a descriptor.
    pub trait AsRawFd {
        /// The number.
        fn as_raw_fd(&self) -> i32;
    }

    /// What can lend its descriptor.
    pub trait AsFd {
        /// Lends it.
        fn as_fd(&self) -> BorrowedFd<'_>;
    }

    impl AsRawFd for OwnedFd {
        fn as_raw_fd(&self) -> i32 {
            self.0
        }
    }

    impl AsFd for OwnedFd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            BorrowedFd(self.0, PhantomData)
        }
    }
}
