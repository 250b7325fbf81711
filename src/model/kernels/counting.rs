//! What a piece of work asks of ATen, counted: on a device each operator is a launch or more.

use super::shim;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Operators that were called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCounts {
    /// All calls, those within others, those that make views and those that only get memory too.
    pub calls: u64,
    /// Operators that work on memory, by name, as `aten::mul`, and how often they were called. Of
    /// one that is only made of others on every device these are counted in its place; what others
    /// call themselves is not.
    pub working: BTreeMap<String, u64>,
}

impl OperatorCounts {
    /// Calls of operators that work on memory.
    pub fn in_all(&self) -> u64 {
        self.working.values().sum()
    }

    fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let number = |text: &str| text.parse().unwrap_or(0);
        let calls = lines.next().map_or(0, number);
        let working = lines.filter_map(|line| line.rsplit_once(' '));
        Self { calls, working: working.map(|(n, times)| (n.to_owned(), number(times))).collect() }
    }
}

/// Runs `body`, and counts the operators of ATen that it calls on this thread.
pub fn count_operators<T>(body: impl FnOnce() -> T) -> (T, OperatorCounts) {
    let (given, text) = shim::counted(body);
    (given, OperatorCounts::read(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn what_works_is_counted_and_views_and_allocations_and_wrappers_are_not() {
        let x = Tensor::ones([4, 6], (Kind::Float, Device::Cpu));
        let (_, counts) = count_operators(|| {
            let y = (&x + 1.0).view([6, 4]).transpose(0, 1).reshape([24]); // an add and a copy
            let _ = Tensor::empty([3], (Kind::Float, Device::Cpu));
            y.to_kind(Kind::Double) // one copy
        });
        let of = |name: &str| counts.working.get(name).copied().unwrap_or(0);
        assert_eq!((of("aten::add"), of("aten::clone")), (1, 1), "{counts:?}");
        assert_eq!(of("aten::_to_copy"), 1, "{counts:?}");
        assert_eq!(counts.in_all(), 3, "{counts:?}");
        assert!(counts.calls > 3);
        let (_, none) = count_operators(|| ());
        assert_eq!(none, OperatorCounts::default());
    }
}
