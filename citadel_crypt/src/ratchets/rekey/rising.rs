//! A number that never falls (I7).

/// Holds a value that can only be raised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rising<T>(T);

impl<T: Copy + Ord> Rising<T> {
    /// Starts at `value`.
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub(super) const fn get(&self) -> T {
        self.0
    }

    /// Raises the value to `to`; says whether that changed it.
    pub(super) fn raise(&mut self, to: T) -> bool {
        let rises = to > self.0;
        if rises {
            self.0 = to;
        }
        rises
    }
}
