//! The nearest known name to one that is not known.

/// `; did you mean theme?` for `them`; nothing where none of `known` is near.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known.map(|k| (strsim::jaro_winkler(k, name), k)).max_by(|a, b| a.0.total_cmp(&b.0));
    near.filter(|(similarity, _)| *similarity > 0.7)
        .map_or_else(String::new, |(_, k)| format!("; did you mean {k}?"))
}
