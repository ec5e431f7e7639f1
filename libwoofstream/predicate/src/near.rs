//! Finds what was probably meant by a name that is not known.

/// The candidate that a name is a typing error away from, if there is one.
pub(super) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // In a short name a second error makes it another name.
    let most = if name.len() < 5 { 1 } else { 2 };
    let distances = candidates.iter().map(|candidate| (distance(name, candidate), *candidate));
    distances
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}

/// How many letters were left out, put in, mistaken or exchanged with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if from.len().abs_diff(to.len()) > 2 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (row, a) in (1..).zip(&from) {
        let mut next = vec![row];
        for (column, b) in (1..).zip(&to) {
            let at = |up: usize, left: usize| rows[row - up][column - left];
            let mut least = (at(1, 0) + 1).min(next[column - 1] + 1).min(at(1, 1) + usize::from(a != b));
            if row > 1 && column > 1 && *a == to[column - 2] && *b == from[row - 2] {
                least = least.min(at(2, 2) + 1);
            }
            next.push(least);
        }
        rows.push(next);
    }
    rows[from.len()][to.len()]
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
