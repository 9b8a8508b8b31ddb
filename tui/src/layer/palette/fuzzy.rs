//! How well some letters match a name: all must occur, in order.

/// A match.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The higher, the better.
    pub(super) score: i32,
    /// Places of the characters that matched.
    pub(super) letters: Vec<usize>,
}

/// Starts a word.
const WORD: i32 = 8;
/// Follows the letter before.
const RUN: i32 = 6;
/// Begins the name.
const FIRST: i32 = 4;
/// Costs of each character of the name, so that the shorter of two wins.
const LENGTH: i32 = 1;

/// Matches `query` against `name`, blanks and case aside; `None` when a letter is missing.
pub(super) fn score(query: &str, name: &str) -> Option<Found> {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let query: Vec<char> = query.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    // Greedy from every start: names are a few words, and the best start is not always the first.
    let starts = (0..name.len().max(1)).filter(|at| query.is_empty() || name.get(*at) == query.first());
    starts.filter_map(|start| from(&query, &name, start)).max_by_key(|found| found.score)
}

fn from(query: &[char], name: &[char], start: usize) -> Option<Found> {
    let mut score = -(name.len() as i32) * LENGTH;
    let mut letters: Vec<usize> = Vec::with_capacity(query.len());
    let mut at = start;
    for letter in query {
        let rest = || name.iter().enumerate().skip(at);
        let next = rest().next().filter(|(_, c)| *c == letter);
        let word = || rest().find(|(place, c)| *c == letter && starts_word(name, *place));
        let (place, _) = next.or_else(word).or_else(|| rest().find(|(_, c)| *c == letter))?;
        score += if place == 0 {
            FIRST + WORD
        } else if starts_word(name, place) {
            WORD
        } else {
            0
        };
        score += if letters.last().is_some_and(|last| last + 1 == place) { RUN } else { 0 };
        letters.push(place);
        at = place + 1;
    }
    Some(Found { score, letters })
}

fn starts_word(name: &[char], place: usize) -> bool {
    place.checked_sub(1).is_none_or(|before| name.get(before).is_some_and(|c| !c.is_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_letters_must_occur_in_order() {
        assert!(score("tiuq", "quit").is_none());
        assert_eq!(score("qt", "quit").map(|found| found.letters), Some(vec![0, 3]));
        assert!(score("", "quit").is_some());
        assert!(score("x", "").is_none());
    }

    #[test]
    fn starts_of_words_and_runs_win() {
        let of = |name| score("so", name).map(|found| found.score);
        assert!(of("sort") > of("show-overview"));
        assert!(of("show-overview") > of("suspended-foo"));
        assert_eq!(score("rev", "sort-reverse").map(|found| found.letters), Some(vec![5, 6, 7]));
    }
}
