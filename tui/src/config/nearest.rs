//! The valid word that is nearest to a mistyped one.

/// The nearest of `names`, if it is near enough that a typing mistake is likely: a third of the letters.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = typed.chars().count().max(3) / 3;
    let with_distance = names.map(|name| (distance(typed, name), name));
    with_distance.filter(|(distance, _)| *distance <= near).min().map(|(_, name)| name)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line.saturating_add(1);
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal.saturating_add(usize::from(letter != *other));
            diagonal = *cell;
            before = replaced.min(before.saturating_add(1)).min(diagonal.saturating_add(1));
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = line.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, expected) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn typing_mistakes_only() {
        let names = ["theme", "plain", "ascii", "read_only"];
        assert_eq!(nearest("thme", names.into_iter()), Some("theme"));
        assert_eq!(nearest("read-only", names.into_iter()), Some("read_only"));
        assert_eq!(nearest("walrus", names.into_iter()), None);
    }
}
