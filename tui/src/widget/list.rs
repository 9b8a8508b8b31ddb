//! A cursor in a list that is longer than the screen: moves and scrolls, knows nothing of what is listed.

use crate::action::Action;
use crate::canvas::Viewport;
use std::ops::Range;

/// Rows that a page key keeps in sight.
const OVERLAP: usize = 1;

/// Where the operator is in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The selected row.
    pub index: usize,
    viewport: Viewport,
}

impl List {
    /// Moves by `action` in a list of `len` rows. False when the action is not a motion.
    pub fn motion(&mut self, action: &Action, len: usize) -> bool {
        let page = self.viewport.page.saturating_sub(OVERLAP).max(1);
        let index = match action {
            Action::Up => self.index.saturating_sub(1),
            Action::Down => self.index.saturating_add(1),
            Action::PageUp => self.index.saturating_sub(page),
            Action::PageDown => self.index.saturating_add(page),
            Action::First => 0,
            Action::Last => usize::MAX,
            Action::Select(row) => *row,
            _ => return false,
        };
        self.index = index.min(len.saturating_sub(1));
        true
    }

    /// The rows to show in `height` lines, so that the selected one is among them.
    #[must_use]
    pub fn visible(&self, len: usize, height: usize) -> Range<usize> {
        let height = height.max(1);
        let index = self.index.min(len.saturating_sub(1));
        let lowest = (index + 1).saturating_sub(height);
        let offset = self.viewport.offset.clamp(lowest, index.max(lowest)).min(len.saturating_sub(height));
        offset..len.min(offset + height)
    }

    /// As [`List::visible`], where rows are as tall as `heights` says; the last one may be cut.
    #[must_use]
    pub fn visible_of(&self, heights: &[usize], height: usize) -> Range<usize> {
        let index = self.index.min(heights.len().saturating_sub(1));
        let tall = |rows: Range<usize>| heights.get(rows).map_or(0, |rows| rows.iter().sum::<usize>());
        let last = (0..heights.len()).find(|start| tall(*start..heights.len()) <= height).unwrap_or(index);
        let mut start = self.viewport.offset.min(index).min(last);
        while start < index && tall(start..index + 1) > height {
            start += 1;
        }
        let end = (start..heights.len()).find(|end| tall(start..*end) >= height).unwrap_or(heights.len());
        start..end
    }

    /// Remembers what was visible.
    pub fn drawn(&mut self, viewport: Viewport) {
        self.viewport = viewport;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_keep_a_row_and_stop_at_the_ends() {
        let mut list = List::default();
        list.drawn(Viewport { offset: 0, page: 10 });
        assert!(list.motion(&Action::PageDown, 25));
        assert_eq!(list.index, 9);
        list.motion(&Action::Last, 25);
        assert_eq!(list.index, 24);
        assert_eq!(list.visible(25, 10), 15..25);
        list.motion(&Action::First, 25);
        assert_eq!(list.visible(25, 10), 0..10);
        assert!(!list.motion(&Action::Sort, 25));
    }

    #[test]
    fn scrolls_only_as_far_as_needed() {
        let mut list = List { index: 12, ..List::default() };
        list.drawn(Viewport { offset: 5, page: 10 });
        assert_eq!(list.visible(100, 10), 5..15);
        list.index = 15;
        assert_eq!(list.visible(100, 10), 6..16);
    }

    #[test]
    fn tall_rows_scroll_until_the_selected_one_is_whole() {
        let mut list = List { index: 3, ..List::default() };
        assert_eq!(list.visible_of(&[1, 3, 1, 2, 1], 5), 2..5);
        list.index = 0;
        assert_eq!(list.visible_of(&[1, 3, 1, 2, 1], 5), 0..3);
        assert_eq!(list.visible_of(&[9], 5), 0..1);
        assert_eq!(list.visible_of(&[], 5), 0..0);
    }

    proptest! {
        #[test]
        fn the_selected_row_is_always_visible(index in 0usize..500, offset in 0usize..500, len in 1usize..400, height in 1usize..80) {
            let mut list = List { index, ..List::default() };
            list.drawn(Viewport { offset, page: height });
            let rows = list.visible(len, height);
            prop_assert!(rows.contains(&index.min(len - 1)));
            prop_assert!(rows.end <= len && rows.len() == height.min(len));
        }
    }
}
