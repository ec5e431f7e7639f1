//! Finds what was probably meant by a name that is not known.

/// The candidate that a name is a typing error away from, if there is one.
pub(super) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // In a short name a second error makes it another name.
    let most = if name.len() < 5 { 1 } else { 2 };
    // Letters that were left out, put in, mistaken, or exchanged with their neighbour.
    let distances = candidates.iter().map(|candidate| (strsim::osa_distance(name, candidate), *candidate));
    distances
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_error_away_is_near() {
        let known = ["value", "text", "json", "seqno", "time", "first_time"];
        for (name, near) in [
            ("valeu", Some("value")),
            ("vlaue", Some("value")),
            ("val", None),
            ("values", Some("value")),
            ("Value", Some("value")),
            ("jsn", Some("json")),
            ("tmie", Some("time")),
            ("unit", None),
            ("frist_tiem", Some("first_time")),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), near, "{name}");
        }
    }
}
