use super::*;
use crate::fixture::{CallSpec, call};
use crate::limits::Limits;
use crate::observe::Observer;
use proptest::prelude::*;

fn order() -> Call {
    let mut call = call(&CallSpec {
        src: "process:cart:80",
        dst: "process:orders:90",
        method: "POST",
        path: "/api/orders/17".into(),
        status: Some(503),
        duration: 60_000_000,
        ..CallSpec::default()
    });
    call.notes.add(apisec_proto::call::Notes::GAP);
    call.query.push("page".into());
    call
}

fn passes(filter: &str) -> bool {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    let call = order();
    let live = filter.call(&call, "/api/orders/{id:int}");
    let mut observer = Observer::new(Limits::default());
    observer.observe(&call);
    let delta = observer.take_delta(0, 1);
    let logged = filter.row(&delta.log[0], &delta.log[0].rows[0]);
    if !filter.text().contains("query") {
        assert_eq!(live, logged, "{}", filter.text());
    }
    live
}

#[test]
fn on_a_node_nothing_is_held_back_that_may_pass_where_nodes_meet() {
    let passes = |text: &str| {
        let filter = Filter::parse(text).unwrap().on_a_node();
        let call = order();
        let mut observer = Observer::new(Limits::default());
        observer.observe(&call);
        let delta = observer.take_delta(0, 1);
        filter.row(&delta.log[0], &delta.log[0].rows[0])
    };
    for filter in [
        "src:shop/",
        "src:shop/ status:5xx",
        "!src:cart",
        "!(src:cart status:503)",
        "(src:shop/ | status:4xx)",
        "words",
    ] {
        assert!(passes(filter), "{filter}");
    }
    for filter in [
        "status:4xx",
        "src:shop/ status:4xx",
        "(status:4xx | method:get)",
        "!status:5xx",
        "path:/none dst:shop/",
    ] {
        assert!(!passes(filter), "{filter}");
    }
}

#[test]
fn what_passes() {
    for filter in [
        "",
        "  ",
        "cart",
        "CART",
        "orders 503",
        "src:cart dst:orders method:post",
        "path:/api/*",
        "path:*/17",
        "path:/api",
        "endpoint:*{id:int}",
        "status:5xx",
        "status>=400",
        "status:503",
        "status=503",
        "status:>500",
        "status<600",
        "slow>50ms",
        "slow:>50ms",
        "slow:50ms",
        "slow<=60ms",
        "slow<1s",
        "proto:http1",
        "auth:none",
        "vantage:server",
        "note:gap",
        "query:page",
        "!src:web",
        "!(src:web | dst:web)",
        "src:web | dst:orders",
        "host:shop.test",
        "process:cart",
        "\"process:orders:90\"",
        "api*17",
        "! ! cart",
        "(cart)(orders)",
        "!status:none",
        "path~^/api/orders/\\d+$",
        "path~(orders|carts)/17",
        "(src:cart path~\"ORDERS/(16|17)\")",
        "!host~^internal",
    ] {
        assert!(passes(filter), "{filter}");
    }
}

#[test]
fn what_does_not() {
    for filter in [
        "web",
        "src:orders",
        "method:pos",
        "method:GET",
        "path:/orders/*",
        "path:api/*",
        "status:4xx",
        "status<500",
        "status:none",
        "slow>60ms",
        "slow<60ms",
        "auth:jwt",
        "!cart",
        "cart web",
        "id:0",
        "note:reset",
        "17*api",
        "src:web | dst:web",
        "query:size",
        "orders !503",
        "path~^/orders",
        "dst~^orders$",
    ] {
        assert!(!passes(filter), "{filter}");
    }
}

#[test]
fn errors_point_at_their_place() {
    for (filter, at) in [
        ("cart status:abc", 12),
        ("statu:500", 0),
        ("cart (orders", 12),
        ("cart )", 5),
        ("cart |", 6),
        ("| cart", 0),
        ("!", 1),
        ("src:", 4),
        ("src>cart", 4),
        ("slow>fast", 5),
        ("\"open", 0),
        ("status>=5xx", 8),
        ("path~", 5),
        ("cart path~(orders", 10),
        ("path~\\w{1000}{1000}", 5),
        ("statu~5", 0),
    ] {
        assert_eq!(Filter::parse(filter).map_err(|error| error.at), Err(at), "{filter}");
    }
    assert!(Filter::parse(&"a ".repeat(65)).is_err());
    assert!(Filter::parse(&"(".repeat(600)).is_err());
    assert!(Filter::parse(&"é".repeat(600)).is_err());
}

#[test]
fn a_mistyped_field_is_told_the_nearest() {
    for (filter, near) in [("statu:500", "status"), ("pth~^/api", "path"), ("calller:web", "caller")] {
        let message = Filter::parse(filter).unwrap_err().message;
        assert!(message.ends_with(&format!("did you mean {near}?")), "{message}");
    }
    assert!(!Filter::parse("walrus:1").unwrap_err().message.contains("mean"));
    assert!(!Filter::parse("path~(a").unwrap_err().message.contains('\n'));
}

#[test]
fn what_does_not_apply_neither_passes_nor_stops() {
    let edge: EdgeView = serde_json::from_value(serde_json::json!({
        "src": "process:cart", "dst": "process:orders", "protocol": "http1", "calls": 1, "errors": 0, "unanswered": 0, "rate": 0.0,
        "p50_us": 1, "p99_us": 60_000, "request_bytes": 0, "response_bytes": 0, "first_seen": 0, "last_seen": 0,
    })).unwrap();
    let edge_passes = |filter: &str| Filter::parse(filter).unwrap().edge(&edge);
    assert!(edge_passes("status:5xx") && edge_passes("!status:5xx") && edge_passes("cart status:5xx"));
    assert!(edge_passes("slow>50ms") && !edge_passes("src:web status:5xx"));
    assert!(edge_passes("src:cart | status:5xx"));
}

#[test]
fn an_equals_sign_means_the_whole_text() {
    let path = order().path;
    assert!(passes(&format!("path=\"{path}\"")) && passes("path:\"/\""));
    assert!(!passes("path=\"/\"") && !passes(&format!("path=\"{path}x\"")));
}

#[test]
fn names_count_like_ids_where_they_are_known() {
    let edge: EdgeView = serde_json::from_value(serde_json::json!({
        "src": "container:3f2a", "dst": "pod:77", "protocol": "http1", "calls": 1, "errors": 0, "unanswered": 0, "rate": 0.0,
        "p50_us": 1, "p99_us": 1, "request_bytes": 0, "response_bytes": 0, "first_seen": 0, "last_seen": 0,
    })).unwrap();
    let name = |id: &str| (id == "container:3f2a").then_some("catalog");
    let named = |filter: &str| {
        let filter = Filter::parse(filter).unwrap();
        filter.named(&name).edge(&edge)
    };
    assert!(named("catalog") && named("src:catalog") && named("src:3f2a") && named("pod"));
    assert!(!named("dst:catalog") && !named("!catalog") && !named("orders"));
    assert!(!Filter::parse("catalog").unwrap().edge(&edge));
}

#[test]
fn a_filtered_snapshot_names_only_what_it_holds() {
    let mut observer = Observer::new(Limits::default());
    observer.observe(&order());
    observer.observe(&call(&CallSpec::default()));
    let mut known = crate::knowledge::Knowledge::new(Limits::default(), Vec::new());
    known.merge(observer.take_delta(0, 1));
    let snapshot = known.snapshot(1);
    let kept = Filter::parse("src:cart").unwrap().snapshot(&snapshot);
    assert_eq!(
        (snapshot.edges.len(), kept.edges.len(), kept.endpoints.len(), kept.workloads.len()),
        (2, 1, 1, 2)
    );
}

proptest! {
    #[test]
    fn anything_may_be_typed(text in "[a-z:<>=!|()\"*5x é/~\\[\\]]{0,40}") {
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(filter.call(&order(), "/"), filter.call(&order(), "/")),
            Err(error) => prop_assert!(text.is_char_boundary(error.at)),
        }
    }

    #[test]
    fn a_star_stands_for_any_run(before in "[a-c]{0,4}", inner in "[a-c]{0,4}", after in "[a-c]{0,4}") {
        let pattern = Pattern::new(&format!("{before}*{after}"), true);
        let text = format!("{before}{inner}{after}");
        prop_assert!(pattern.matches(&text) && pattern.matches_anywhere(&text));
        let other = format!("x{text}");
        prop_assert_eq!(pattern.matches(&other), before.is_empty());
    }
}
