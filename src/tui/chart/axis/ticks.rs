//! Where an axis has labels: at round values, as many as there is room for.

use crate::tui::look::text::clock;

/// Ticks of a linear axis within two ends, ascending, with their labels: multiples of 1, 2 or 5
/// times a power of ten, no closer together than the `most`th part of the axis. There are at least
/// two where `most` is 2 or more.
pub fn ticks(ends: (f64, f64), most: usize) -> Vec<(f64, String)> {
    labelled(ends, most, round_up, |step| round_up(step / 2.6), number)
}

/// The same for what comes in whole numbers only.
pub fn whole_ticks(ends: (f64, f64), most: usize) -> Vec<(f64, String)> {
    labelled(ends, most, |v| round_up(v).max(1.0), |step| round_up(step / 2.6).max(1.0), number)
}

/// The same for seconds, which are round by the clock.
pub(super) fn clock_ticks(ends: (f64, f64), most: usize) -> Vec<(f64, String)> {
    labelled(ends, most, round_time, |step| round_time(step / 3.1), |v, _| clock(v))
}

/// The same on a logarithmic axis, whose ends are above 0: 1, 2 and 5 times powers of ten, or
/// powers of ten alone; as on a linear one where it is short.
pub fn log_ticks((low, high): (f64, f64), most: usize) -> Vec<(f64, String)> {
    let within = |v: &f64| *v >= low * (1.0 - 1e-9) && *v <= high * (1.0 + 1e-9);
    if !(low > 0.0 && high > low && high.is_finite()) {
        return Vec::new();
    }
    let decades = high.log10() - low.log10();
    let powers = low.log10().floor() as i32..=high.log10().floor() as i32;
    let fine: Vec<f64> = powers
        .clone()
        .flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(p)))
        .filter(within)
        .collect();
    if fine.len() < 2 {
        return ticks((low, high), most);
    }
    let every = (decades / most.max(1) as f64).ceil().max(1.0) as i32;
    let coarse: Vec<f64> = powers
        .filter(|p| p.rem_euclid(every) == 0)
        .map(|p| 10_f64.powi(p))
        .filter(within)
        .collect();
    let places = match coarse.len() {
        _ if 2_f64.log10() * most as f64 >= decades => fine,
        0 | 1 if most >= 2 => vec![fine[0], fine[fine.len() - 1]],
        _ => coarse,
    };
    places.into_iter().map(|v| (v, number(v, v))).collect()
}

/// Multiples of the step that `round` makes of the `most`th part of the axis. Where fewer than two
/// lie on it, the first and the last of the `finer` step.
fn labelled(
    (low, high): (f64, f64),
    most: usize,
    round: impl Fn(f64) -> f64,
    finer: impl Fn(f64) -> f64,
    label: impl Fn(f64, f64) -> String,
) -> Vec<(f64, String)> {
    let most = most.max(1);
    let mut step = round((high - low) / most as f64);
    // Beyond that, neighbours are the same floating-point number.
    let can_be_told_apart = low.abs().max(high.abs()) / step < 1e12;
    if !(low < high && step > 0.0 && can_be_told_apart) {
        return Vec::new();
    }
    let multiples = |step: f64| -> Vec<f64> {
        let (first, last) =
            ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        (first..=last).map(|k| k as f64 * step).collect()
    };
    let mut places = multiples(step);
    if places.len() < 2 && most >= 2 {
        step = finer(step);
        places = multiples(step);
        if let [first, .., last] = places[..] {
            places = vec![first, last];
        }
    }
    places.into_iter().map(|v| (v, label(v, step))).collect()
}

/// The smallest of 1, 2, 5, 10, ... that is not below.
fn round_up(v: f64) -> f64 {
    let power = 10_f64.powf(v.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|s| *s >= v * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// The same for seconds.
fn round_time(v: f64) -> f64 {
    const STEPS: [f64; 15] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0,
        7_200.0, 21_600.0,
    ];
    STEPS.into_iter().find(|s| *s >= v).unwrap_or_else(|| 86_400.0 * round_up(v / 86_400.0))
}

/// `1200000` as `1.2M`, with as many decimals as multiples of `step` need to be told apart.
fn number(v: f64, step: f64) -> String {
    let magnitude = |v: f64| (v.abs().log10() + 1e-9).floor();
    let (divisor, mark) = match v.abs() {
        a if a >= 1e6 => (1e6, "M"),
        a if a >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let decimals = (-magnitude(step / divisor)).max(0.0) as usize;
    if v != 0.0 && (v.abs() >= 1e9 || decimals > 4) {
        let digits = (magnitude(v) - magnitude(step)).max(0.0) as usize;
        return format!("{v:.digits$e}");
    }
    if v == 0.0 && decimals > 4 {
        return "0".into();
    }
    format!("{:.decimals$}{mark}", v / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_as_exact_as_their_step() {
        assert_eq!((number(25_000.0, 5_000.0), number(1.5e6, 5e5)), ("25k".into(), "1.5M".into()));
        assert_eq!((number(2e20, 1e20), number(5e-6, 5e-6)), ("2e20".into(), "5e-6".into()));
    }

    #[test]
    fn values_have_round_ticks_however_few_fit() {
        let labels = |ends, most| ticks(ends, most).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(labels((37.3, 87.1), 3), ["40", "60", "80"]);
        assert_eq!(labels((0.0, 2.2), 3), ["0", "1", "2"]);
        assert_eq!(labels((1.0, 9.0), 2), ["2", "8"]);
        assert_eq!(labels((0.92, 0.96), 3), ["0.92", "0.94", "0.96"]);
        assert_eq!(labels((3.0, 3.0), 3), [""; 0]);
        let whole = whole_ticks((0.0, 1.5), 4).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(whole, ["0", "1"], "there are no halves");
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten_and_what_lies_between_where_there_is_room() {
        let labels =
            |ends, most| log_ticks(ends, most).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(labels((0.37, 2.5), 6), ["0.5", "1", "2"]);
        assert_eq!(labels((0.001, 20.0), 5), ["0.001", "0.01", "0.1", "1", "10"]);
        assert_eq!(labels((0.2, 8.0), 3), ["0.2", "5"]);
        assert_eq!(labels((0.56, 0.67), 3), ["0.60", "0.65"]);
        assert_eq!(labels((1.0, 1e9), 3), ["1", "1000", "1M", "1e9"]);
        assert!(labels((0.0, 1.0), 3).is_empty());
    }

    /// Whether `v` is 1, 2 or 5 times a power of ten.
    fn is_round(v: f64) -> bool {
        let mantissa = v / 10_f64.powf((v.log10() + 1e-9).floor());
        [1.0, 2.0, 5.0].iter().any(|m| (mantissa - m).abs() < 1e-6)
    }

    /// Whether all lie within the ends, ascend, and read differently.
    fn are_told_apart(ticks: &[(f64, String)], (low, high): (f64, f64)) -> bool {
        let slack = 1e-6 * (high - low);
        let labels: std::collections::HashSet<_> = ticks.iter().map(|t| &t.1).collect();
        ticks.iter().all(|t| t.0 >= low - slack && t.0 <= high + slack)
            && ticks.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && labels.len() == ticks.len()
    }

    proptest::proptest! {
        #[test]
        fn ticks_are_multiples_of_a_round_step_and_at_least_two(
            low in -1e3_f64..1e3,
            power in -3_f64..8.0,
            most in 1_usize..20,
        ) {
            let ends = (low, low + 10_f64.powf(power));
            let found = ticks(ends, most);
            proptest::prop_assert!(are_told_apart(&found, ends), "{found:?}");
            proptest::prop_assert!(found.len() <= most + 1 && (most < 2 || found.len() >= 2));
            if let [a, b, c, ..] = &found[..] {
                proptest::prop_assert!(is_round(b.0 - a.0), "{found:?}");
                proptest::prop_assert!((c.0 - b.0) / (b.0 - a.0) - 1.0 < 1e-6, "{found:?}");
            }
            for (at, _) in &found {
                let finest = 10_f64.powf(((ends.1 - ends.0) / most as f64 / 2.6).log10().floor());
                proptest::prop_assert!(((at / finest).round() - at / finest).abs() < 1e-4);
            }
        }

        #[test]
        fn logarithmic_ticks_are_round_and_at_least_two(
            low in -6_f64..6.0,
            decades in 0.02_f64..12.0,
            most in 2_usize..20,
        ) {
            let ends = (10_f64.powf(low), 10_f64.powf(low + decades));
            let found = log_ticks(ends, most);
            proptest::prop_assert!(are_told_apart(&found, ends), "{found:?}");
            proptest::prop_assert!(found.len() >= 2, "{found:?}");
            if decades > 1.0 {
                proptest::prop_assert!(found.iter().all(|t| is_round(t.0)), "{found:?}");
            }
        }
    }
}
