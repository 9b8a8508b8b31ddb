//! What is shown of the state: read by views and by the frame, never changed here.

use super::{App, Hold};
use crate::canvas::{ASCII, Look, UNICODE};
use crate::layer::Layer;
use crate::view::{VIEWS, View, World};
use apisec_engine::filter::Filter;

impl App {
    /// What the views may look at.
    #[must_use]
    pub fn world(&self) -> World<'_> {
        World {
            snapshot: self.hold.shown(),
            labels: &self.labels,
            filter: &self.filter,
            read_only: self.setup.read_only,
            plain: self.setup.plain,
            wards: &self.setup.wards,
            enforces: self.setup.enforces,
        }
    }

    /// How things look.
    #[must_use]
    pub fn look(&self) -> Look<'_> {
        let ascii = self.setup.ascii || self.setup.plain;
        Look { theme: &self.theme, glyphs: if ascii { &ASCII } else { &UNICODE }, plain: self.setup.plain }
    }

    /// The focused view, by its place in [`VIEWS`].
    #[must_use]
    pub fn focus(&self) -> usize {
        self.focus
    }

    /// The focused view.
    #[must_use]
    pub fn view(&self) -> Option<&dyn View> {
        self.views.get(self.focus).map(AsRef::as_ref)
    }

    /// Its title.
    #[must_use]
    pub fn view_title(&self) -> &'static str {
        VIEWS.get(self.focus).map_or("", |view| view.title)
    }

    /// The dialogs, lowest first.
    #[must_use]
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// Which moment is on screen.
    #[must_use]
    pub fn hold(&self) -> &Hold {
        &self.hold
    }

    /// The filter.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The message at the bottom.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_ref().map(|(text, _)| text.as_str())
    }

    /// Whether no newer snapshot will come.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Columns and rows of the terminal.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        self.size
    }
}
