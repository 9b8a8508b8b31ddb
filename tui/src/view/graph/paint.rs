//! The drawing itself: lines into a grid, the visible part of the grid and the nodes onto the canvas.

use super::plan::{Link, Node, Plan};
use super::route::{Leg, Route, label_width, node_width};
use crate::action::Action;
use crate::canvas::Canvas;
use crate::theme::Role;
use ratatui::layout::Rect;

/// From this share of errors on an edge is drawn as failing.
const FAILING: f64 = 0.05;

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

/// Draws the part of the plan around the selected node that fits into `area`.
pub(super) fn paint(plan: &Plan, selected: &str, canvas: &mut Canvas<'_>, area: Rect) {
    let plan = &*plan.fitted(usize::from(area.width));
    let route = Route::of(plan);
    let focus = plan.place(selected).and_then(|at| plan.nodes.get(at));
    let offset = focus.map_or((0, 0), |node| scroll(node, &route, area));
    let mut grid = Grid::new(area, offset);
    for leg in &route.legs {
        if let Some(link) = plan.links.get(leg.link) {
            grid.leg(leg, link, &route, plan, tone(plan, link, selected));
        }
    }
    grid.paint(canvas, area);
    for leg in &route.legs {
        if let Some(link) = plan.links.get(leg.link) {
            ends(leg, link, &route, plan, selected, &mut Window { canvas, area, offset });
        }
    }
    for (at, node) in plan.nodes.iter().enumerate() {
        draw_node(at, node, &route, plan, selected, &mut Window { canvas, area, offset });
    }
    edges_of_screen(&route, canvas, area, offset);
}

/// The upper left corner of what is shown: the selected node in the middle, as far as the drawing reaches.
fn scroll(node: &Node, route: &Route, area: Rect) -> (usize, usize) {
    let axis = |middle: usize, shown: usize, all: usize| {
        middle.saturating_sub(shown / 2).min(all.saturating_sub(shown))
    };
    let x = route.columns.get(node.level).copied().unwrap_or(0)
        + route.widths.get(node.level).copied().unwrap_or(0) / 2;
    // A column and a row of margin.
    (
        axis(x + 1, usize::from(area.width), route.width + 2),
        axis(node.middle(), usize::from(area.height), route.height),
    )
}

/// How a link looks: the higher, the more it is seen where links cross.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Tone {
    #[default]
    Calm,
    Failing,
    Near,
    NearFailing,
}

impl Tone {
    const fn role(self) -> Role {
        match self {
            Self::Calm => Role::Edge,
            Self::Near => Role::EdgeNear,
            Self::Failing | Self::NearFailing => Role::EdgeError,
        }
    }
}

fn tone(plan: &Plan, link: &Link, selected: &str) -> Tone {
    let failing = link.calls > 0 && link.errors as f64 / link.calls as f64 >= FAILING;
    match (touches(plan, link, selected), failing) {
        (false, false) => Tone::Calm,
        (false, true) => Tone::Failing,
        (true, false) => Tone::Near,
        (true, true) => Tone::NearFailing,
    }
}

fn touches(plan: &Plan, link: &Link, id: &str) -> bool {
    [link.src, link.dst].iter().any(|end| plan.nodes.get(*end).is_some_and(|node| node.id == id))
}

/// Line pieces of the visible cells.
struct Grid {
    cells: Vec<(u8, Tone, bool)>,
    width: usize,
    offset: (usize, usize),
}

impl Grid {
    fn new(area: Rect, offset: (usize, usize)) -> Self {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        Self { cells: vec![(0, Tone::Calm, false); width * height], width, offset }
    }

    fn add(&mut self, x: usize, y: usize, bits: u8, tone: Tone, solid: bool) {
        // One column of margin on the left.
        let (Some(x), Some(y)) = ((x + 1).checked_sub(self.offset.0), y.checked_sub(self.offset.1)) else {
            return;
        };
        if x < self.width
            && let Some(cell) = self.cells.get_mut(y * self.width + x)
        {
            *cell = (cell.0 | bits, cell.1.max(tone), cell.2 || solid);
        }
    }

    fn across(&mut self, from: usize, to: usize, y: usize, tone: Tone, solid: bool) {
        for x in from..to {
            self.add(x, y, LEFT | RIGHT, tone, solid);
        }
    }

    /// From the right side of a node (or of the column) over its track to the left side of the next column.
    fn leg(&mut self, leg: &Leg, link: &Link, route: &Route, plan: &Plan, tone: Tone) {
        let solid = !link.back;
        let column = |level: usize| route.columns.get(level).copied().unwrap_or(0);
        let left = column(leg.level);
        let start = if leg.first { left + own_width(plan, link) } else { left };
        let end = column(leg.level + 1);
        if leg.from == leg.to {
            return self.across(start, end, leg.from, tone, solid);
        }
        let turn = left + route.widths.get(leg.level).copied().unwrap_or(0) + 1 + leg.track;
        self.across(start, turn, leg.from, tone, solid);
        let (away, back) = if leg.to > leg.from { (DOWN, UP) } else { (UP, DOWN) };
        self.add(turn, leg.from, LEFT | away, tone, solid);
        for y in leg.from.min(leg.to) + 1..leg.from.max(leg.to) {
            self.add(turn, y, UP | DOWN, tone, solid);
        }
        self.add(turn, leg.to, back | RIGHT, tone, solid);
        self.across(turn + 1, end, leg.to, tone, solid);
    }

    fn paint(&self, canvas: &mut Canvas<'_>, area: Rect) {
        for (at, (bits, tone, solid)) in self.cells.iter().enumerate().filter(|(_, cell)| cell.0 != 0) {
            let (x, y) = ((at % self.width) as u16, (at / self.width) as u16);
            let [flat, steep] = canvas.look.glyphs.dashes;
            let glyph = match *bits {
                bits if !solid && bits == LEFT | RIGHT => flat,
                bits if !solid && bits == UP | DOWN => steep,
                bits => canvas.look.glyphs.lines.get(usize::from(bits)).copied().unwrap_or_default(),
            };
            canvas.put(area, x, y, glyph, tone.role());
        }
    }
}

/// Width of the node on the left end of a link.
fn own_width(plan: &Plan, link: &Link) -> usize {
    let left = if link.back { link.dst } else { link.src };
    plan.nodes.get(left).map_or(0, |node| node_width(&node.label, node.own))
}

/// The visible part of the drawing.
struct Window<'a, 'b> {
    canvas: &'a mut Canvas<'b>,
    area: Rect,
    offset: (usize, usize),
}

impl Window<'_, '_> {
    /// Writes at a place of the drawing; what lies outside is left out.
    fn put(&mut self, x: usize, y: usize, text: &str, role: Role) {
        let Some(y) = y.checked_sub(self.offset.1).filter(|y| *y < usize::from(self.area.height)) else {
            return;
        };
        let mut x = x + 1;
        for c in text.chars() {
            let width = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
            if let Some(at) =
                x.checked_sub(self.offset.0).filter(|at| at + width <= usize::from(self.area.width))
            {
                let style = self.canvas.style(role);
                self.canvas.put_styled(self.area, at as u16, y as u16, c.encode_utf8(&mut [0; 4]), style);
            }
            x += width;
        }
    }

    /// A place of the drawing on the screen.
    fn cell(&self, x: usize, y: usize) -> Option<(u16, u16)> {
        let x = (x + 1).checked_sub(self.offset.0).filter(|x| *x < usize::from(self.area.width))?;
        let y = y.checked_sub(self.offset.1).filter(|y| *y < usize::from(self.area.height))?;
        Some((self.area.x + x as u16, self.area.y + y as u16))
    }
}

/// The arrow head and the label of a link.
fn ends(leg: &Leg, link: &Link, route: &Route, plan: &Plan, selected: &str, window: &mut Window<'_, '_>) {
    let role = tone(plan, link, selected).role();
    let [right, left] = window.canvas.look.glyphs.heads;
    if leg.first && link.back {
        let x = route.columns.get(leg.level).copied().unwrap_or(0) + own_width(plan, link);
        window.put(x, leg.from, left, role);
    }
    if !leg.last {
        return;
    }
    let end = route.columns.get(leg.level + 1).copied().unwrap_or(0);
    let arrow = end.saturating_sub(1);
    if !link.back {
        window.put(arrow, leg.to, right, role);
    }
    let (calls, errors) = plan.label(link);
    let start = arrow.saturating_sub(label_width(plan, link));
    let label = if touches(plan, link, selected) { Role::Strong } else { Role::EdgeLabel };
    window.put(start, leg.to, &calls, label);
    if !errors.is_empty() {
        window.put(start + calls.chars().count() + 1, leg.to, &errors, Role::EdgeError);
        window.put(start + calls.chars().count(), leg.to, " ", label);
    }
}

fn draw_node(
    at: usize,
    node: &Node,
    route: &Route,
    plan: &Plan,
    selected: &str,
    window: &mut Window<'_, '_>,
) {
    let near = plan.links.iter().any(|link| touches(plan, link, selected) && touches(plan, link, &node.id));
    let role = match (node.id == selected, near, node.proxy) {
        (true, ..) => Role::NodeSelected,
        (_, true, _) => Role::NodeNear,
        (.., true) => Role::NodeProxy,
        _ => Role::Node,
    };
    let x = route.columns.get(node.level).copied().unwrap_or(0);
    let width = node_width(&node.label, node.own);
    let own = if node.own { " @" } else { "" };
    for y in node.y..node.y + node.height {
        let text = if y == node.middle() {
            format!("[{}{own}]", node.label)
        } else {
            let room = width.saturating_sub(2);
            let text = if y == node.middle() + 1 { plan.answered(at, room) } else { String::new() };
            let side = window.canvas.look.glyphs.lines.get(usize::from(UP | DOWN)).copied().unwrap_or("|");
            format!("{side}{text:<room$}{side}")
        };
        window.put(x, y, &text, role);
        let (start, end) = (window.cell(x, y), window.cell(x + width.saturating_sub(1), y));
        if let Some((column, row)) = start.or(end.map(|(_, row)| (window.area.x, row))) {
            let right = end.map_or(window.area.right(), |(column, _)| column + 1);
            let area = Rect { x: column, y: row, width: right.saturating_sub(column), height: 1 };
            window.canvas.report.hit(area, Action::Select(at));
        }
    }
}

/// Says at the edges of the screen that the drawing goes on.
fn edges_of_screen(route: &Route, canvas: &mut Canvas<'_>, area: Rect, offset: (usize, usize)) {
    let [right, left] = canvas.look.glyphs.heads;
    let bottom = area.height.saturating_sub(1);
    let below = route.height.saturating_sub(offset.1 + usize::from(area.height));
    if offset.1 > 0 {
        canvas.put(
            area,
            area.width.saturating_sub(18) / 2,
            0,
            &format!(" {} rows above ", offset.1),
            Role::Match,
        );
    }
    if below > 0 {
        canvas.put(
            area,
            area.width.saturating_sub(18) / 2,
            bottom,
            &format!(" {below} rows below "),
            Role::Match,
        );
    }
    if offset.0 > 0 {
        canvas.put(area, 0, bottom, &format!("{left} more "), Role::Match);
    }
    if route.width + 2 > offset.0 + usize::from(area.width) {
        canvas.put(area, area.width.saturating_sub(7), bottom, &format!(" more {right}"), Role::Match);
    }
}
