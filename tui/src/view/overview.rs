//! The first picture: how much, how fast, how wrong, by whom, and what we cannot see.

mod blind;
mod nodes;
mod pulse;
mod services;

use super::{MOTIONS, Reply, View, World, nothing};
use crate::action::{Action, Effect};
use crate::canvas::{Canvas, Viewport, split_left, split_top};
use crate::format::{count, micros, rate, share};
use crate::theme::Role;
use crate::widget::escape::escape;
use crate::widget::list::List;
use crate::widget::panel::panel;
use crate::widget::table::{Cell, Column, Order, Table};
use apisec_engine::snapshot::EndpointView;
pub(crate) use blind::severity_role;
use ratatui::layout::Rect;
use services::{SERVICES, Service};
use std::cmp::Ordering;

/// From this width on the two tables stand side by side.
const WIDE: u16 = 120;
/// From this height on the sparklines are two rows high.
const TALL: u16 = 36;

const ENDPOINTS: &[Column] = &[
    Column::text("ENDPOINT", 30, 3, 0),
    Column::text("SERVICE", 10, 1, 3),
    Column::number("CALLS", 7, 0),
    Column::number("RATE/S", 6, 4),
    Column::number("ERR", 5, 0),
    Column::number("P50", 6, 2),
    Column::number("P99", 6, 1),
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Focus {
    #[default]
    Services,
    Endpoints,
}

/// The view.
pub(super) struct Overview {
    focus: Focus,
    services: Vec<Service>,
    /// Places of the endpoints in the snapshot.
    endpoints: Vec<usize>,
    service_list: List,
    endpoint_list: List,
    service_order: Order,
    endpoint_order: Order,
}

impl Default for Overview {
    fn default() -> Self {
        Self {
            focus: Focus::default(),
            services: Vec::new(),
            endpoints: Vec::new(),
            service_list: List::default(),
            endpoint_list: List::default(),
            service_order: Order { column: 1, ascending: false },
            endpoint_order: Order { column: 2, ascending: false },
        }
    }
}

impl View for Overview {
    fn refresh(&mut self, world: &World<'_>) {
        let order = self.service_order;
        self.services = services::services(world);
        self.services.sort_by(|a, b| {
            directed(services::compare(a, b, order.column, world), order).then_with(|| a.id.cmp(&b.id))
        });
        let order = self.endpoint_order;
        let all = &world.snapshot.endpoints;
        self.endpoints =
            (0..all.len()).filter(|i| all.get(*i).is_some_and(|e| world.shows_endpoint(e))).collect();
        self.endpoints.sort_by(|a, b| match (all.get(*a), all.get(*b)) {
            (Some(x), Some(y)) => directed(compare_endpoints(x, y, order.column), order).then(a.cmp(b)),
            _ => a.cmp(b),
        });
    }

    fn can(&self, world: &World<'_>) -> Vec<Action> {
        let other = if self.focus == Focus::Services { Action::Right } else { Action::Left };
        let mut can = vec![other, Action::Sort, Action::SortReverse];
        if self.selected_name(world).is_some() {
            can.splice(0..0, [Action::Open]);
            can.push(Action::Copy);
            can.extend_from_slice(MOTIONS);
        }
        can
    }

    fn update(&mut self, action: &Action, world: &World<'_>) -> Reply {
        match action {
            Action::Left => self.focus = Focus::Services,
            Action::Right => self.focus = Focus::Endpoints,
            Action::Sort | Action::SortReverse | Action::SortBy(_) => {
                let (order, columns) = match self.focus {
                    Focus::Services => (&mut self.service_order, SERVICES.len()),
                    Focus::Endpoints => (&mut self.endpoint_order, ENDPOINTS.len()),
                };
                order.change(action, columns);
                self.refresh(world);
            }
            Action::Open => return self.open(world),
            Action::Copy => match self.selected_name(world) {
                Some(name) => return Reply::Effect(Effect::Copy(name)),
                None => return Reply::Ignored,
            },
            _ => {
                let len = self.len();
                let list = self.list_mut();
                return if list.motion(action, len) { Reply::Done } else { Reply::Ignored };
            }
        }
        Reply::Done
    }

    fn draw(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let height = if area.height >= TALL && !canvas.look.plain { 2 } else { 1 };
        let (top, rest) = split_top(area, 4 * height);
        pulse::draw(world.snapshot, canvas, top, height);
        let lines = blind::lines(world.snapshot);
        let below = if lines == 0 { 0 } else { lines + 1 };
        let (rest, bottom) = split_top(rest, rest.height.saturating_sub(below));
        let (tables, list) = split_top(rest, rest.height.saturating_sub(nodes::height(world.snapshot)));
        if list.height > 0 {
            nodes::draw(world.snapshot, canvas, list);
        }
        if area.width >= WIDE && !canvas.look.plain {
            let (left, right) = split_left(tables, tables.width * 2 / 5);
            self.draw_services(world, canvas, Rect { width: left.width.saturating_sub(2), ..left });
            self.draw_endpoints(world, canvas, right);
        } else {
            let (upper, lower) = split_top(tables, tables.height / 2);
            self.draw_services(world, canvas, upper);
            self.draw_endpoints(world, canvas, lower);
        }
        if below > 0 {
            blind::draw(world.snapshot, canvas, bottom);
        }
    }

    fn drawn(&mut self, viewport: Viewport) {
        self.list_mut().drawn(viewport);
    }
}

impl Overview {
    fn len(&self) -> usize {
        match self.focus {
            Focus::Services => self.services.len(),
            Focus::Endpoints => self.endpoints.len(),
        }
    }

    fn list_mut(&mut self) -> &mut List {
        match self.focus {
            Focus::Services => &mut self.service_list,
            Focus::Endpoints => &mut self.endpoint_list,
        }
    }

    fn selected_endpoint<'a>(&self, world: &World<'a>) -> Option<&'a EndpointView> {
        self.endpoints.get(self.endpoint_list.index).and_then(|at| world.snapshot.endpoints.get(*at))
    }

    fn selected_name(&self, world: &World<'_>) -> Option<String> {
        match self.focus {
            Focus::Services => self.services.get(self.service_list.index).map(|service| service.id.clone()),
            Focus::Endpoints => self.selected_endpoint(world).map(|endpoint| endpoint.path.clone()),
        }
    }

    /// Goes to the endpoints of the selected service, or to the calls of the selected endpoint.
    fn open(&self, world: &World<'_>) -> Reply {
        let (filter, view) = match self.focus {
            Focus::Services => {
                let Some(service) = self.services.get(self.service_list.index) else { return Reply::Ignored };
                (crate::drill::service(&world.labels.get(&service.id)), "show-endpoints")
            }
            Focus::Endpoints => {
                let Some(endpoint) = self.selected_endpoint(world) else { return Reply::Ignored };
                (crate::drill::endpoint(endpoint, &world.labels.get(&endpoint.service)), "show-calls")
            }
        };
        Reply::Act([Some(Action::SetFilter(filter)), Action::parse(view)].into_iter().flatten().collect())
    }

    fn draw_services(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let focused = self.focus == Focus::Services;
        let body = panel(canvas, area, "Services", &self.services.len().to_string(), focused);
        canvas.report.hit(area, Action::Left);
        if self.services.is_empty() {
            return nothing(world, canvas, body, "services");
        }
        let cell = |index: usize, column: usize| self.service_cell(world, index, column);
        let order = Some(self.service_order);
        Table {
            columns: SERVICES,
            order,
            list: &self.service_list,
            len: self.services.len(),
            focused,
            cell: &cell,
        }
        .draw(canvas, body);
    }

    fn service_cell(&self, world: &World<'_>, index: usize, column: usize) -> Cell {
        let Some(service) = self.services.get(index) else { return Cell::default() };
        match column {
            0 => workload(world, &service.id),
            1 => count(service.calls).into(),
            2 => rate(service.rate).into(),
            3 => Cell::new(share(service.errors, service.calls), Role::ServerError),
            4 => micros(service.p99_us).into(),
            _ => service.callers.to_string().into(),
        }
    }

    fn draw_endpoints(&self, world: &World<'_>, canvas: &mut Canvas<'_>, area: Rect) {
        let focused = self.focus == Focus::Endpoints;
        let body = panel(canvas, area, "Endpoints", &self.endpoints.len().to_string(), focused);
        canvas.report.hit(area, Action::Right);
        if self.endpoints.is_empty() {
            return nothing(world, canvas, body, "endpoints");
        }
        let cell = |index: usize, column: usize| self.endpoint_cell(world, index, column);
        let order = Some(self.endpoint_order);
        Table {
            columns: ENDPOINTS,
            order,
            list: &self.endpoint_list,
            len: self.endpoints.len(),
            focused,
            cell: &cell,
        }
        .draw(canvas, body);
    }

    fn endpoint_cell(&self, world: &World<'_>, index: usize, column: usize) -> Cell {
        let Some(endpoint) = self.endpoints.get(index).and_then(|at| world.snapshot.endpoints.get(*at))
        else {
            return Cell::default();
        };
        match column {
            0 => {
                let place = format!("{} {}", endpoint.path, endpoint.operation);
                Cell::new(format!("{:<6} {}", escape(&endpoint.method), escape(place.trim_end())), Role::Text)
            }
            1 => workload(world, &endpoint.service),
            2 => count(endpoint.calls).into(),
            3 => rate(endpoint.rate).into(),
            4 => Cell::new(share(endpoint.errors, endpoint.calls), Role::ServerError),
            5 => micros(endpoint.p50_us).into(),
            _ => micros(endpoint.p99_us).into(),
        }
    }
}

/// The name of a workload in its colour.
pub(super) fn workload(world: &World<'_>, id: &str) -> Cell {
    Cell::new(
        world.labels.get(id),
        if world.labels.is_external(id) { Role::External } else { Role::Workload },
    )
}

fn compare_endpoints(a: &EndpointView, b: &EndpointView, column: usize) -> Ordering {
    match column {
        0 => (&a.path, &a.method, &a.operation).cmp(&(&b.path, &b.method, &b.operation)),
        1 => a.service.cmp(&b.service),
        2 => a.calls.cmp(&b.calls),
        3 => a.rate.total_cmp(&b.rate),
        4 => error_share(a.errors, a.calls).total_cmp(&error_share(b.errors, b.calls)),
        5 => a.p50_us.cmp(&b.p50_us),
        _ => a.p99_us.cmp(&b.p99_us),
    }
}

/// Share of errors, for sorting.
pub(super) fn error_share(errors: u64, calls: u64) -> f64 {
    if calls == 0 { 0.0 } else { errors as f64 / calls as f64 }
}

/// `ordering` in the direction of `order`.
pub(super) fn directed(ordering: Ordering, order: Order) -> Ordering {
    if order.ascending { ordering } else { ordering.reverse() }
}
