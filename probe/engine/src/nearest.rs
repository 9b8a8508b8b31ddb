//! The valid word that is nearest to a mistyped one.

/// Longer words are not compared: no name of ours is as long.
const LONGEST: usize = 64;

/// The nearest of `names`, if it is near enough that a typing mistake is likely: a third of the letters.
#[must_use]
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters = typed.chars().count();
    if letters > LONGEST {
        return None;
    }
    let near = letters.max(3) / 3;
    let with_distance = names.map(|name| (distance(typed, name), name));
    with_distance.filter(|(distance, _)| *distance <= near).min().map(|(_, name)| name)
}

/// Letters to insert, remove, replace or exchange with their neighbour (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (line, letter) in left.chars().enumerate() {
        let mut row = vec![line.saturating_add(1)];
        for (column, other) in right.iter().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let next = column.saturating_add(1);
            let removed = cell(&last, next).saturating_add(1);
            let inserted = cell(&row, column).saturating_add(1);
            let replaced = cell(&last, column).saturating_add(usize::from(letter != *other));
            let neighbour = column.checked_sub(1).and_then(|before| Some((before, right.get(before)?)));
            let exchanged = match neighbour {
                Some((before, neighbour)) if *neighbour == letter && previous == Some(*other) => {
                    cell(&before_last, before).saturating_add(1)
                }
                _ => usize::MAX,
            };
            row.push(removed.min(inserted).min(replaced).min(exchanged));
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
            ("drak", "dark", 1),
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn typing_mistakes_only() {
        let names = ["theme", "plain", "ascii", "read_only"];
        assert_eq!(nearest("thme", names.into_iter()), Some("theme"));
        assert_eq!(nearest("tehme", names.into_iter()), Some("theme"));
        assert_eq!(nearest("read-only", names.into_iter()), Some("read_only"));
        assert_eq!(nearest("walrus", names.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(100_000), names.into_iter()), None);
    }
}
