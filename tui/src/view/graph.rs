//! Who calls whom: a drawing of workloads and the calls between them, or the same as a table.

mod detail;
mod edges;
mod paint;
mod plan;
mod route;

use super::{MOTIONS, Reply, View, World, nothing};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport, row, split_top};
use crate::format::count;
use crate::theme::Role;
use crate::widget::panel::panel;
pub(crate) use detail::workload_lines;
use edges::Edges;
use plan::Plan;
use ratatui::layout::Rect;

/// Most chains that are listed below the drawing.
const MAX_CHAINS: usize = 3;

/// The view.
#[derive(Default)]
pub(super) struct Graph {
    /// The table is shown, not the drawing.
    table: bool,
    plan: Plan,
    /// Workload id of the selected node.
    selected: String,
    edges: Edges,
}

impl View for Graph {
    fn refresh(&mut self, world: &World<'_>) {
        self.edges.refresh(world);
        if world.plain {
            self.table = true;
        }
        self.plan.refresh(world);
        if self.plan.place(&self.selected).is_none() {
            self.selected = self.plan.busiest().map(|node| node.id.clone()).unwrap_or_default();
        }
    }

    fn can(&self, world: &World<'_>) -> Vec<Action> {
        let mut can = Vec::new();
        if self.table {
            can.extend(self.edges.can());
        } else if !self.plan.nodes.is_empty() {
            can.extend([Action::Open, Action::Copy]);
            let moves = [Action::Up, Action::Down, Action::Left, Action::Right, Action::First, Action::Last];
            can.extend(moves.into_iter().filter(|action| self.moved(action).is_some()));
        }
        if !world.plain {
            can.push(Action::Table);
        }
        can
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        if *action == Action::Table && !world.plain {
            self.table = !self.table;
            return Reply::Done;
        }
        if self.table {
            return self.edges.update(action, world);
        }
        match action {
            Action::Open => match self.plan.place(&self.selected).and_then(|at| self.plan.nodes.get(at)) {
                Some(node) => return Reply::Open(Box::new(detail::of(world, &self.plan, node))),
                None => return Reply::Ignored,
            },
            Action::Copy if !self.selected.is_empty() => {
                return Reply::Effect(Effect::Copy(self.selected.clone()));
            }
            Action::Select(node) => {
                let Some(node) = self.plan.nodes.get(*node) else { return Reply::Ignored };
                self.selected = node.id.clone();
            }
            _ => match self.moved(action) {
                Some(id) => self.selected = id,
                None if MOTIONS.contains(action) || matches!(action, Action::Left | Action::Right) => {}
                None => return Reply::Ignored,
            },
        }
        Reply::Done
    }

    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        if self.table {
            return self.edges.draw(world, canvas, area);
        }
        let note = format!(
            "{} workloads, {} edges, on the edges {}",
            self.plan.workloads,
            self.plan.links.len(),
            self.plan.unit()
        );
        let body = panel(canvas, area, "Graph", &note, true);
        if self.plan.nodes.is_empty() {
            return nothing(world, canvas, body, "calls between workloads");
        }
        let chains = world.snapshot.chains.len().min(MAX_CHAINS) as u16;
        let below = if chains == 0 || body.height < 16 { 0 } else { chains + 1 };
        let (drawing, bottom) = split_top(body, body.height - below);
        paint::paint(&self.plan, &self.selected, canvas, drawing);
        if below > 0 {
            draw_chains(world, canvas, bottom);
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.edges.drawn(viewport);
    }
}

impl Graph {
    /// The node that `action` leads to from the selected one.
    fn moved(&self, action: &Action) -> Option<String> {
        let nodes = &self.plan.nodes;
        let here = nodes.get(self.plan.place(&self.selected)?)?;
        let nearest = |level: Option<usize>| {
            let level = level?;
            nodes
                .iter()
                .filter(|node| node.level == level)
                .min_by_key(|node| node.middle().abs_diff(here.middle()))
        };
        let column = || nodes.iter().filter(|node| node.level == here.level);
        let target = match action {
            Action::Up => column().filter(|node| node.y < here.y).max_by_key(|node| node.y),
            Action::Down => column().filter(|node| node.y > here.y).min_by_key(|node| node.y),
            Action::Left => nearest(here.level.checked_sub(1)),
            Action::Right => nearest(Some(here.level + 1)),
            Action::First => nodes.iter().min_by_key(|node| (node.level, node.y)),
            Action::Last => nodes.iter().max_by_key(|node| (node.level, node.y)),
            _ => None,
        };
        target.map(|node| node.id.clone()).filter(|id| *id != self.selected)
    }
}

fn draw_chains(world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
    let mut chains: Vec<_> = world.snapshot.chains.iter().collect();
    chains.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.path.cmp(&b.path)));
    let body = panel(canvas, area, "Ways through proxies", &count(chains.len() as u64), false);
    for (y, chain) in (0u16..).zip(chains.into_iter().take(usize::from(body.height))) {
        let arrow = format!(" {} ", canvas.look.glyphs.arrow);
        let names: Vec<String> = chain.path.iter().map(|id| world.labels.get(id)).collect();
        let here = row(body, y);
        let end = canvas.put(here, 1, 0, &format!("{:>7}", count(chain.calls)), Role::Strong);
        canvas.put(here, end + 2, 0, &names.join(&arrow), Role::Text);
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture;
    use crate::view::tests::{app, draw, press, text};

    #[test]
    fn the_cursor_follows_the_edges() {
        let mut app = app(fixture::shop(), (200, 60));
        press(&mut app, "2 home");
        let first = text(&draw(&mut app));
        press(&mut app, "right right enter");
        assert!(text(&draw(&mut app)).contains("process:envoy:15001"), "{first}");
    }

    #[test]
    fn the_table_has_every_number_of_every_edge() {
        let mut app = app(fixture::shop(), (200, 60));
        press(&mut app, "2 t");
        let shown = text(&draw(&mut app));
        for edge in fixture::shop().edges {
            assert!(shown.contains(&edge.calls.to_string()), "{} {}", edge.src, edge.dst);
        }
        insta::assert_snapshot!("graph_table_200x60", shown);
    }

    #[test]
    fn the_drawing_names_every_workload_and_rate() {
        let mut app = app(fixture::shop(), (220, 60));
        press(&mut app, "2");
        let shown = text(&draw(&mut app));
        for workload in fixture::shop().workloads {
            assert!(shown.contains(&workload.name), "{} is missing\n{shown}", workload.name);
        }
        for edge in fixture::shop().edges {
            let rate = format!("{}/s", crate::format::rate(edge.rate));
            assert!(shown.contains(&rate), "{rate} is missing\n{shown}");
        }
    }
}
