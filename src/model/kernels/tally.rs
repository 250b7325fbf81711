//! What a forward pass costs, by the shapes of its operations.

use std::cell::Cell;

/// Multiplications and memory of a forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiplications, each with an addition, of convolutions and matrix products.
    pub multiply_adds: u64,
    /// Numbers that come out of convolutions, batch norms and pools, which the backward pass needs.
    pub kept: u64,
}

thread_local! {
    static WORK: Cell<Option<Work>> = const { Cell::new(None) };
}

/// Runs `body`, and adds up what operations of this thread cost meanwhile.
pub fn tallied<T>(body: impl FnOnce() -> T) -> (T, Work) {
    let before = WORK.replace(Some(Work::default()));
    let given = body();
    (given, WORK.replace(before).unwrap_or_default())
}

/// Adds an operation with an output of this shape, each number of which takes so many
/// multiplications.
pub(super) fn add<const D: usize>(output: [usize; D], multiply_adds: usize) {
    let Some(work) = WORK.get() else { return };
    let kept = output.iter().product::<usize>() as u64;
    WORK.set(Some(Work {
        multiply_adds: work.multiply_adds + kept * multiply_adds as u64,
        kept: work.kept + kept,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_added_up_only_while_somebody_asks() {
        add([2, 3], 7);
        let ((), outer) = tallied(|| {
            add([2, 3], 7);
            let ((), inner) = tallied(|| add([5], 0));
            assert_eq!(inner, Work { multiply_adds: 0, kept: 5 });
        });
        assert_eq!(outer, Work { multiply_adds: 42, kept: 6 });
    }
}
