//! The tree, its window, and the rules.

use super::*;
use crate::fixture;
use crate::label::Labels;
use crate::view::tests::{app, draw, press, text};
use apisec_engine::command::TemplateRule;
use apisec_engine::filter::Filter;
use apisec_engine::snapshot::Snapshot;

fn forest(snapshot: &Snapshot, open: &dyn Fn(&str) -> bool) -> Forest {
    let (labels, filter) = (Labels::of(snapshot), Filter::default());
    let world = World {
        snapshot,
        labels: &labels,
        filter: &filter,
        read_only: false,
        plain: false,
        wards: &[],
        enforces: true,
    };
    Forest::of(&world, Order { column: 1, ascending: false }, open)
}

#[test]
fn every_endpoint_is_a_leaf_and_every_sum_is_right() {
    let snapshot = fixture::shop();
    let forest = forest(&snapshot, &|_| true);
    let leaves = forest.rows.iter().filter(|row| matches!(row.kind, Kind::Method(_))).count();
    assert_eq!(leaves, snapshot.endpoints.len());
    let total: u64 = forest.rows.iter().filter(|row| row.depth == 0).map(|row| row.sums.calls).sum();
    assert_eq!(total, snapshot.endpoints.iter().map(|endpoint| endpoint.calls).sum::<u64>());
    for (at, row) in forest.rows.iter().enumerate() {
        let parent = row.parent.map(|parent| &forest.rows[parent]);
        assert_eq!(row.depth, parent.map_or(0, |parent| parent.depth + 1));
        assert!(row.parent.is_none_or(|parent| parent < at));
    }
}

#[test]
fn single_children_share_a_row() {
    let forest = forest(&fixture::shop(), &|_| true);
    assert!(forest.rows.iter().any(|row| row.label == "/api/v1"));
    assert!(forest.rows.iter().any(|row| row.label == "/v1/charges"));
}

#[test]
fn closed_nodes_hide_what_is_below() {
    assert_eq!(
        forest(&fixture::shop(), &|_| false).rows.len(),
        forest(&fixture::shop(), &|_| false).services
    );
}

#[test]
fn deep_and_odd_paths_are_cut_into_segments_and_back() {
    let deep = "/a".repeat(500);
    for path in ["", "/", "//", "a/b", "/a//b/", "*", deep.as_str(), "/日本/語"] {
        let parts: Vec<&str> = forest::segments(path).collect();
        assert_eq!(parts.concat(), path);
        assert!(parts.len() <= 24);
    }
}

/// What the window shows is what the whole tree would show there, at every offset.
#[test]
fn the_window_shows_the_same_rows_as_the_whole_tree() {
    let tall = {
        let mut app = app(fixture::shop(), (120, 200));
        press(&mut app, "3");
        text(&draw(&mut app))
    };
    let names = |screen: &str, skip: usize, take: usize| -> Vec<String> {
        screen
            .lines()
            .skip(skip)
            .take(take)
            .map(|line| line.chars().take(60).collect::<String>().trim_end().to_owned())
            .collect()
    };
    let all = names(&tall, 4, 110);
    let rows = forest(&fixture::shop(), &|_| true).rows.len();
    let mut app = app(fixture::shop(), (120, 20));
    press(&mut app, "3");
    for _ in 0..rows {
        let shown = names(&text(&draw(&mut app)), 4, 15);
        assert!(all.windows(15).any(|window| window == shown), "{shown:#?}");
        press(&mut app, "down");
    }
}

#[test]
fn merge_and_split_ask_first_and_then_send() {
    let mut app = app(fixture::shop(), (120, 40));
    press(&mut app, "3 / s t a t i c enter");
    press(&mut app, "home down");
    let before = press(&mut app, "s");
    assert_eq!(before, []);
    assert!(text(&draw(&mut app)).contains("Split a parameter"), "{}", text(&draw(&mut app)));
    let expected =
        TemplateRule::Split { service: "unit:nginx.service".into(), path: "/static/{file}".into() };
    assert_eq!(press(&mut app, "enter"), [Effect::Send(Command::Add(expected))]);
    assert_eq!(press(&mut app, "u"), [Effect::Send(Command::UndoRule)]);
}

#[test]
fn merging_says_what_it_folds() {
    let mut app = app(fixture::crowded(100), (120, 40));
    press(&mut app, "3 home down down m");
    let shown = text(&draw(&mut app));
    assert!(shown.contains("become one parameter"), "{shown}");
    assert!(matches!(
        press(&mut app, "enter").as_slice(),
        [Effect::Send(Command::Add(TemplateRule::Merge { .. }))]
    ));
}

#[test]
fn escape_leaves_everything_as_it_was() {
    let mut app = app(fixture::shop(), (120, 40));
    assert_eq!(press(&mut app, "3 / s t a t i c enter home down s esc"), []);
}

#[test]
fn read_only_changes_nothing() {
    let mut app = app(fixture::shop(), (120, 40));
    app.setup.read_only = true;
    assert_eq!(press(&mut app, "3 / s t a t i c enter home down s enter u"), []);
    assert!(!app.possible().contains(&Action::Merge) && !app.possible().contains(&Action::UndoRule));
}

#[test]
fn collapse_keeps_the_parent_selected() {
    let mut app = app(fixture::shop(), (120, 40));
    press(&mut app, "3 home down left");
    press(&mut app, "left left");
    let shown = text(&draw(&mut app));
    assert!(shown.lines().nth(4).expect("a row").starts_with("▸"), "{shown}");
    press(&mut app, "right");
    assert!(text(&draw(&mut app)).lines().nth(4).expect("a row").starts_with("▾"));
}
