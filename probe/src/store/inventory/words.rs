//! Sets of the contract's words as texts that a person reads in the shell: `integer,null`.

use apisec_proto::body::shape::{Classes, Formats, Kinds, Tally};
use apisec_proto::sensitive::Sensitive;

pub(super) fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(",")
}

pub(super) fn kinds(text: &str) -> Kinds {
    Kinds(bits(text, Kinds::WORDS) as u8)
}

pub(super) fn formats(text: &str) -> Formats {
    Formats(bits(text, Formats::WORDS))
}

pub(super) fn classes(text: &str) -> Classes {
    let mut classes = Classes::default();
    text.split(',').filter_map(class).for_each(|class| classes.insert(class));
    classes
}

/// `card=3,email=5`; a class alone counts once.
pub(super) fn counted(tally: &Tally) -> String {
    tally.iter().map(|(class, count)| format!("{}={count}", class.name())).collect::<Vec<_>>().join(",")
}

pub(super) fn tally(text: &str) -> Tally {
    let pair = |part: &str| {
        let (word, count) = part.split_once('=').unwrap_or((part, "1"));
        Some((class(word)?, count.parse().ok()?))
    };
    let mut tally = Tally::default();
    text.split(',').filter_map(pair).for_each(|(class, count)| tally.add_many(class, count));
    tally
}

fn class(word: &str) -> Option<Sensitive> {
    Sensitive::ALL.into_iter().find(|class| class.name() == word)
}

/// The members that are known; a newer program may have written others.
fn bits(text: &str, words: &[&str]) -> u16 {
    let bit = |word: &str| words.iter().position(|known| *known == word);
    text.split(',').filter_map(bit).fold(0, |bits, at| bits | 1 << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_survives() {
        for bits in 0..=u8::MAX {
            assert_eq!(kinds(&join(Kinds(bits).words())), Kinds(bits));
        }
        for bits in 0..1 << Formats::WORDS.len() {
            assert_eq!(formats(&join(Formats(bits).words())), Formats(bits));
        }
        for bits in 0..1 << Sensitive::ALL.len() {
            assert_eq!(classes(&join(Classes(bits).names())), Classes(bits));
        }
        let mut counts = Tally::default();
        counts.add_many(Sensitive::Card, 3);
        counts.add_many(Sensitive::Email, u32::MAX);
        assert_eq!(
            (counted(&counts).as_str(), tally(&counted(&counts))),
            ("email=4294967295,card=3", counts)
        );
        assert_eq!((kinds("shape,string"), tally("card=many,x=1,=,")), (Kinds::STRING, Tally::default()));
    }
}
