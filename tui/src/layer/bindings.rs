//! Which specification describes which service and why, and the operator's word on it: a list of specifications, and behind
//! each the services of this node, to be ticked.

use super::{Layer, LayerReply};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport, row};
use crate::theme::Role;
use crate::view::World;
use crate::widget::dialog::dialog;
use crate::widget::escape::escape;
use crate::widget::list::List;
use apisec_engine::snapshot::{BindingView, SpecificationView};
use ratatui::layout::Rect;
use std::collections::{BTreeMap, BTreeSet};

/// Width of the box where the terminal has room for it.
const WIDTH: u16 = 96;
/// Width of the column of names.
const NAMES: u16 = 36;

/// The dialog.
pub struct Bindings {
    specifications: Vec<SpecificationView>,
    /// Ids of the services that are called, with their names.
    services: Vec<(String, String)>,
    /// What was said here and is not in the snapshot yet, by file and service.
    said: BTreeMap<(String, String), bool>,
    list: List,
    /// The specification whose services are shown, with the place in the list of specifications.
    open: Option<(String, usize)>,
}

impl Bindings {
    /// All specifications.
    #[must_use]
    pub fn new(world: &World<'_>) -> Self {
        let mut dialog = Self {
            specifications: Vec::new(),
            services: Vec::new(),
            said: BTreeMap::new(),
            list: List::default(),
            open: None,
        };
        dialog.look(world);
        dialog
    }

    /// Takes what there is now.
    fn look(&mut self, world: &World<'_>) {
        self.specifications.clone_from(&world.snapshot.specifications);
        let called =
            world.snapshot.workloads.iter().filter(|own| own.calls_in > 0).map(|own| own.id.as_str());
        let bound =
            self.specifications.iter().flat_map(|spec| &spec.services).map(|own| own.service.as_str());
        let all: BTreeSet<&str> = called.chain(bound).collect();
        self.services = all.into_iter().map(|id| (id.to_owned(), world.labels.get(id))).collect();
    }

    fn len(&self) -> usize {
        if self.open.is_some() { self.services.len() } else { self.specifications.len() }
    }

    fn opened(&self) -> Option<&SpecificationView> {
        let (file, _) = self.open.as_ref()?;
        self.specifications.iter().find(|spec| spec.file == *file)
    }

    /// Whether, and why, a specification describes a service.
    fn binding(&self, spec: &SpecificationView, service: &str) -> Option<BindingView> {
        let by = |word: &str| BindingView {
            service: service.to_owned(),
            by: word.to_owned(),
            ..BindingView::default()
        };
        match self.said.get(&(spec.file.clone(), service.to_owned())) {
            Some(describes) => describes.then(|| by("operator")),
            None => spec.services.iter().find(|bound| bound.service == service).cloned(),
        }
    }

    /// Ticks the selected service, or takes the tick away.
    fn toggle(&mut self) -> LayerReply {
        let Some((spec, (service, _))) = self.opened().zip(self.services.get(self.list.index)) else {
            return LayerReply::Stay;
        };
        let describes = self.binding(spec, service).is_none();
        let (file, service) = (spec.file.clone(), service.clone());
        self.said.insert((file.clone(), service.clone()), describes);
        LayerReply::Effect(Effect::Bind { file, service, describes })
    }

    fn title(&self) -> String {
        match self.opened() {
            Some(spec) => format!("Whose is {}", escape(name(&spec.file))),
            None => "Specifications".to_owned(),
        }
    }

    /// Name, and what there is to say about it.
    fn line(&self, index: usize) -> Option<(String, String)> {
        let Some(spec) = self.opened() else {
            let spec = self.specifications.get(index)?;
            return Some((escape(name(&spec.file)).into_owned(), self.summary(spec)));
        };
        let (id, label) = self.services.get(index)?;
        let bound = self.binding(spec, id);
        let mark = if bound.is_some() { "[x]" } else { "[ ]" };
        Some((format!("{mark} {label}"), bound.as_ref().map(reason).unwrap_or_default()))
    }

    fn summary(&self, spec: &SpecificationView) -> String {
        let bound =
            |(id, label): &(String, String)| Some(format!("{label} ({})", self.binding(spec, id)?.by));
        let services: Vec<String> = self.services.iter().filter_map(bound).collect();
        let services = if services.is_empty() { "no service".to_owned() } else { services.join(", ") };
        format!("{} operations → {services}", spec.operations)
    }
}

/// The end of a path says most.
fn name(file: &str) -> &str {
    let skip = file.chars().count().saturating_sub(usize::from(NAMES) - 2);
    file.char_indices().nth(skip).map_or(file, |(at, _)| file.get(at..).unwrap_or(file))
}

fn reason(bound: &BindingView) -> String {
    let why = match bound.by.as_str() {
        "operator" => "you said so",
        "server" => "callers ask for one of its servers",
        "content" => "it answers for what is described",
        _ => "it bears this name",
    };
    match (bound.documented, bound.undocumented) {
        (0, 0) => why.to_owned(),
        (documented, undocumented) => format!("{why}; {documented} called are in it, {undocumented} in none"),
    }
}

impl Layer for Bindings {
    fn context(&self) -> &'static str {
        "dialog"
    }

    fn can(&self) -> Vec<Action> {
        vec![Action::Open, Action::Close, Action::Up, Action::Down, Action::PageUp, Action::PageDown]
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> LayerReply {
        self.look(world);
        match action {
            Action::Close => match self.open.take() {
                Some((_, place)) => {
                    self.list = List::default();
                    self.list.index = place;
                }
                None => return LayerReply::Close(Vec::new()),
            },
            Action::Open if self.open.is_some() && !world.read_only => return self.toggle(),
            Action::Open if self.open.is_none() => {
                if let Some(spec) = self.specifications.get(self.list.index) {
                    self.open = Some((spec.file.clone(), self.list.index));
                    self.list = List::default();
                }
            }
            _ => drop(self.list.motion(action, self.len())),
        }
        LayerReply::Stay
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect) {
        let count = self.len();
        let height = (count.max(1) as u16).saturating_add(2).min(area.height.saturating_sub(2));
        let inner = dialog(canvas, area, &self.title(), WIDTH, height);
        let visible = self.list.visible(count, usize::from(inner.height));
        canvas.report.viewport = Some(Viewport { offset: visible.start, page: usize::from(inner.height) });
        for (y, index) in (0u16..).zip(visible) {
            let Some((name, said)) = self.line(index) else { continue };
            let here = row(inner, y);
            canvas.put(Rect { width: NAMES.min(here.width), ..here }, 0, 0, &name, Role::Strong);
            canvas.put(here, NAMES + 1, 0, &said, Role::Dim);
            if index == self.list.index {
                canvas.paint(here, Role::Selected);
            }
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list.drawn(viewport);
    }
}
