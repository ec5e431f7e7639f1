//! What is done before a reader waits for input.

use super::Writer;
use crate::error::Result;

/// What is told when a reader is about to wait for input, so that what was batched goes out first.
///
/// ```
/// use woof_core::chan::BeforeWait;
/// use woof_core::error::Result;
/// struct Count(u32);
/// impl BeforeWait for Count {
///     fn before_wait(&mut self) -> Result<()> {
///         self.0 += 1;
///         Ok(())
///     }
/// }
/// ```
pub trait BeforeWait {
    /// Sends what was batched.
    ///
    /// # Errors
    /// Those of sending it; the reader then does not wait, and gives the error on.
    fn before_wait(&mut self) -> Result<()>;

    /// False when there is nothing to send, which saves asking whether input is there already.
    fn pending(&self) -> bool {
        true
    }
}

/// Nothing is batched.
impl BeforeWait for () {
    fn before_wait(&mut self) -> Result<()> {
        Ok(())
    }

    fn pending(&self) -> bool {
        false
    }
}

impl BeforeWait for Writer {
    fn before_wait(&mut self) -> Result<()> {
        self.flush()
    }

    fn pending(&self) -> bool {
        self.is_pending()
    }
}

impl<W: BeforeWait + ?Sized> BeforeWait for &mut W {
    fn before_wait(&mut self) -> Result<()> {
        (**self).before_wait()
    }

    fn pending(&self) -> bool {
        (**self).pending()
    }
}

impl<W: BeforeWait> BeforeWait for Option<W> {
    fn before_wait(&mut self) -> Result<()> {
        self.as_mut().map_or(Ok(()), W::before_wait)
    }

    fn pending(&self) -> bool {
        self.as_ref().is_some_and(W::pending)
    }
}

/// All of them, in order; the first error ends it.
impl<W: BeforeWait> BeforeWait for Vec<W> {
    fn before_wait(&mut self) -> Result<()> {
        self.iter_mut().try_for_each(W::before_wait)
    }

    fn pending(&self) -> bool {
        self.iter().any(W::pending)
    }
}

/// Both, the first one first.
impl<A: BeforeWait, B: BeforeWait> BeforeWait for (A, B) {
    fn before_wait(&mut self) -> Result<()> {
        self.0.before_wait()?;
        self.1.before_wait()
    }

    fn pending(&self) -> bool {
        self.0.pending() || self.1.pending()
    }
}
