use super::*;
use crate::policy::MethodRule;
use proptest::prelude::*;

const BYPASS: &str = include_str!("../../../../../tests/corpus/bypass.txt");

/// One line of the corpus.
struct Case<'a> {
    line: &'a str,
    verdict: Verdict,
    rule: MethodRule,
    pattern: PathPattern,
    method: &'a str,
    target: Vec<u8>,
    asked: Option<&'a str>,
}

fn cases() -> Vec<Case<'static>> {
    let lines = BYPASS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let verdict = match words[0] {
                "block" => Verdict::Match,
                "pass" => Verdict::Pass,
                "undecided" => Verdict::Undecided,
                word => panic!("{word}"),
            };
            Case {
                line,
                verdict,
                rule: MethodRule::parse(words[1]).unwrap(),
                pattern: PathPattern::parse(&words[2].replace("\\u00e9", "\u{e9}")).unwrap(),
                method: words[3],
                target: bytes(words[4]),
                asked: words.get(5).map(|word| word.split_once(':').unwrap().1),
            }
        })
        .collect()
}

fn bytes(word: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word;
    while let Some(one) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\\x") {
            out.push(u8::from_str_radix(&after[..2], 16).unwrap());
            rest = &after[2..];
        } else if let Some(after) = rest.strip_prefix("{repeat:") {
            let (inner, after) = after.split_once('}').unwrap();
            let (text, times) = inner.rsplit_once(':').unwrap();
            out.extend(text.repeat(times.parse().unwrap()).bytes());
            rest = after;
        } else {
            out.extend(one.to_string().bytes());
            rest = &rest[one.len_utf8()..];
        }
    }
    out
}

#[test]
fn no_spelling_gets_around_a_block() {
    let cases = cases();
    assert!(cases.len() > 90, "{}", cases.len());
    for case in cases {
        let path = case.pattern.judge(&case.target, false);
        let method = case.rule.covers_any(case.method.as_bytes(), case.asked.map(str::as_bytes));
        let verdict = if method { path } else { Verdict::Pass };
        assert_eq!(verdict, case.verdict, "{}", case.line);
    }
}

#[test]
fn where_case_matters_it_does() {
    let pattern = PathPattern::parse("/Api/{x}").unwrap();
    assert_eq!(pattern.judge(b"/Api/1", true), Verdict::Match);
    assert_eq!(pattern.judge(b"/api/1", true), Verdict::Pass);
    assert_eq!(pattern.judge(b"/%41pi/1", true), Verdict::Match);
}

#[test]
fn what_is_no_pattern_says_so() {
    for text in [
        "", "a", "/a?b", "/a#b", "/a{b}", "/{a}b", "/{}", "/{a*}/b", "/{a{b}}", "/a/../b", "/%2e%2e",
        "/\u{7}",
    ] {
        assert!(PathPattern::parse(text).is_err(), "{text}");
    }
    assert_eq!(PathPattern::parse(&"/a".repeat(17)), Err(PatternError::TooLong));
    assert!(PathPattern::parse(&"/a".repeat(16)).is_ok());
}

#[test]
fn templates_of_the_inventory() {
    for (template, want) in [
        ("/users/{id:int}/orders", "/users/{id:int}/orders"),
        ("/files/{hash}.json", "/files/{any}"),
        ("/a/{rest}", "/a/{rest*}"),
        ("/a/b/{cut}", "/a/b/{rest*}"),
        ("/", "/"),
    ] {
        assert_eq!(PathPattern::of_template(template).unwrap().to_string(), want);
    }
    assert_eq!(PathPattern::of_template("{overflow}"), None);
    assert_eq!(PathPattern::of_template("*"), None);
}

/// Spells a path in one of the ways that servers undo.
fn disguise(segments: &[String], choices: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let choice = choices[at % choices.len()];
        out.extend(match choice % 6 {
            0 => &b"/"[..],
            1 => b"//",
            2 => b"/./",
            3 => b"/x/../",
            4 => b"/%2e/",
            _ => b"/y/%2E./",
        });
        for (nth, byte) in segment.bytes().enumerate() {
            match (usize::from(choice) >> 3).wrapping_add(nth) % 4 {
                0 => out.extend(format!("%{byte:02x}").bytes()),
                1 => out.push(byte.to_ascii_uppercase()),
                _ => out.push(byte),
            }
        }
    }
    out
}

proptest! {
    /// What matches as written matches in every disguise, and what does not match as written does not either.
    #[test]
    fn a_disguise_changes_no_verdict(
        segments in proptest::collection::vec("[a-c]{1,2}", 1..5),
        pattern in proptest::collection::vec(prop_oneof!["[a-c]{1,2}", Just("{x}".to_owned())], 1..5),
        choices in proptest::collection::vec(any::<u8>(), 1..6),
    ) {
        let pattern = PathPattern::parse(&format!("/{}", pattern.join("/"))).unwrap();
        let plain = format!("/{}", segments.join("/"));
        prop_assert_eq!(
            pattern.judge(plain.as_bytes(), false),
            pattern.judge(&disguise(&segments, &choices), false)
        );
    }

    /// A template's pattern covers every path that has this template's shape.
    #[test]
    fn a_template_is_covered(path in "(/([a-z]{1,9}|[0-9]{1,5}|[0-9a-f]{32})){1,8}") {
        let mut template = String::new();
        crate::inventory::segment::type_path(&path, &mut template, |_| {});
        let pattern = PathPattern::of_template(&template).unwrap();
        prop_assert_eq!(pattern.judge(path.as_bytes(), false), Verdict::Match, "{}", template);
    }

    #[test]
    fn nothing_panics(text in any::<String>(), target in proptest::collection::vec(any::<u8>(), 0..1100)) {
        if let Ok(pattern) = PathPattern::parse(&text) {
            prop_assert_eq!(&PathPattern::parse(&pattern.to_string()).unwrap(), &pattern);
            let _verdict = pattern.judge(&target, false);
        }
    }
}
