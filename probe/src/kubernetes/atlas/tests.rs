use super::*;
use proptest::prelude::*;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 244, 0, last])
}

fn pod(uid: &str, name: &str, address: u8, started: u64) -> Pod {
    Pod {
        uid: uid.into(),
        namespace: "shop".into(),
        name: name.into(),
        node: "n1".into(),
        account: "cart".into(),
        keeper: "checkout".into(),
        addresses: vec![ip(address)],
        started: Some(started * SECOND),
        ..Pod::default()
    }
}

fn owned(pod: Pod, kind: &str, name: &str) -> Pod {
    Pod { owner: Some(Owner { kind: kind.into(), name: name.into() }), ..pod }
}

fn reference(kind: &str, name: &str) -> Reference {
    Reference { namespace: "shop".into(), kind: kind.into(), name: name.into() }
}

fn id(tenant: &Tenant) -> String {
    match tenant {
        Tenant::Named(named) => named.id.to_string(),
        Tenant::Node(node) => format!("node {node}"),
        Tenant::Unknown => "nobody".into(),
    }
}

#[test]
fn a_pod_is_what_controls_it_in_the_end() {
    let mut atlas = Atlas::default();
    atlas.learn(Fact::Pod(owned(pod("u1", "cart-7d4-x", 1, 10), "ReplicaSet", "cart-7d4")), 0);
    assert!(atlas.is_open("u1") && atlas.is_open("unknown"));
    let deployment = Owner { kind: "Deployment".into(), name: "cart".into() };
    atlas.learn(Fact::Owned(reference("ReplicaSet", "cart-7d4"), Some(deployment)), 0);
    assert!(!atlas.is_open("u1"));
    let named = atlas.pod("u1").unwrap();
    assert_eq!((&*named.id, named.workload.name.as_str()), ("deployment:shop/cart", "shop/cart"));
    assert_eq!(named.workload.kind, WorkloadKind::Deployment);
    assert_eq!(named.workload.user, "system:serviceaccount:shop:cart");
    assert_eq!(named.workload.owner, "checkout");
    atlas.learn(Fact::Pod(pod("u2", "debug", 2, 10)), 0);
    assert_eq!(&*atlas.pod("u2").unwrap().id, "pod:shop/debug");
    atlas.learn(Fact::Pod(owned(pod("u3", "etl-28-x", 3, 10), "Job", "etl-28")), 0);
    assert_eq!(&*atlas.pod("u3").unwrap().id, "job:shop/etl-28");
    let cron = Owner { kind: "CronJob".into(), name: "etl".into() };
    atlas.learn(Fact::Owned(reference("Job", "etl-28"), Some(cron)), 0);
    assert_eq!(&*atlas.pod("u3").unwrap().id, "cronjob:shop/etl");
    let rollout = owned(pod("u4", "web-x", 4, 10), "Rollout", "web");
    atlas.learn(Fact::Pod(rollout), 0);
    assert_eq!(&*atlas.pod("u4").unwrap().id, "rollout:shop/web");
}

#[test]
fn a_circle_of_owners_ends() {
    let mut atlas = Atlas::default();
    atlas.learn(Fact::Pod(owned(pod("u1", "x", 1, 10), "ReplicaSet", "a")), 0);
    for (name, above) in [("a", "b"), ("b", "a")] {
        let owner = Owner { kind: "ReplicaSet".into(), name: above.into() };
        atlas.learn(Fact::Owned(reference("ReplicaSet", name), Some(owner)), 0);
    }
    assert!(atlas.pod("u1").unwrap().id.starts_with("replicaset:shop/"));
}

#[test]
fn a_static_pod_is_known_by_the_uid_of_its_node() {
    let mut atlas = Atlas::default();
    let owner = Some(Owner { kind: "Node".into(), name: "n1".into() });
    atlas.learn(Fact::Pod(Pod { alias: "hash".into(), owner, ..pod("u1", "etcd-n1", 1, 10) }), 0);
    assert_eq!(&*atlas.pod("hash").unwrap().id, "pod:shop/etcd-n1");
}

#[test]
fn an_address_that_is_used_again_is_never_taken_for_its_earlier_owner() {
    let mut atlas = Atlas::default();
    atlas.learn(Fact::Pod(pod("old", "old", 1, 100)), 0);
    assert_eq!(id(&atlas.at(ip(1), 150 * SECOND)), "pod:shop/old");
    assert_eq!(id(&atlas.at(ip(1), 99 * SECOND)), "nobody");
    atlas.learn(Fact::Pod(Pod { ended: Some(200 * SECOND), ..pod("old", "old", 1, 100) }), 0);
    atlas.learn(Fact::Pod(pod("new", "new", 1, 210)), 0);
    atlas.learn(Fact::Gone(Gone::Pod("old".into())), 230 * SECOND);
    assert_eq!(id(&atlas.at(ip(1), 199 * SECOND)), "pod:shop/old");
    assert_eq!(id(&atlas.at(ip(1), 205 * SECOND)), "nobody");
    assert_eq!(id(&atlas.at(ip(1), 220 * SECOND)), "pod:shop/new");
}

#[test]
fn whose_an_address_is_while_two_claim_it_is_not_guessed() {
    let mut atlas = Atlas::default();
    atlas.learn(Fact::Pod(pod("old", "old", 1, 100)), 0);
    atlas.learn(Fact::Pod(pod("new", "new", 1, 200)), 0);
    assert_eq!(id(&atlas.at(ip(1), 150 * SECOND)), "pod:shop/old");
    assert_eq!(id(&atlas.at(ip(1), 250 * SECOND)), "nobody");
    // Now it is known when the first one ended.
    atlas.learn(Fact::Gone(Gone::Pod("old".into())), 220 * SECOND);
    assert_eq!(id(&atlas.at(ip(1), 250 * SECOND)), "pod:shop/new");
    assert_eq!(id(&atlas.at(ip(1), 210 * SECOND)), "nobody");
}

#[test]
fn what_is_not_told_again_after_a_gap_is_gone() {
    let mut atlas = Atlas::default();
    atlas.learn(Fact::Pod(pod("a", "a", 1, 100)), 0);
    atlas.learn(Fact::Pod(pod("b", "b", 2, 100)), 0);
    atlas.keep_pods(&["b".to_owned()].into(), 300 * SECOND);
    assert_eq!(id(&atlas.at(ip(1), 400 * SECOND)), "nobody");
    assert_eq!(id(&atlas.at(ip(2), 400 * SECOND)), "pod:shop/b");
    assert_eq!(id(&atlas.at(ip(1), 200 * SECOND)), "pod:shop/a");
    atlas.prune(300 * SECOND + REMEMBERED + SECOND);
    assert!(atlas.pod("a").is_none() && atlas.pod("b").is_some());
}

#[test]
fn a_service_is_the_workload_behind_it_if_that_is_one() {
    let mut atlas = Atlas::default();
    let front: IpAddr = [10, 96, 0, 1].into();
    atlas.learn(
        Fact::Service(Service {
            namespace: "shop".into(),
            name: "cart".into(),
            addresses: vec![front],
            ports: vec![80],
            node_ports: vec![30_080],
        }),
        0,
    );
    atlas.learn(Fact::Node("n1".into(), vec![[192, 0, 2, 1].into()]), 0);
    let asked = |atlas: &Atlas, ip: IpAddr, port| id(&atlas.server((ip, port).into(), 150 * SECOND));
    assert_eq!(asked(&atlas, front, 80), "service:shop/cart");
    for (uid, last) in [("u1", 1), ("u2", 2)] {
        atlas.learn(Fact::Pod(owned(pod(uid, uid, last, 100), "StatefulSet", "cart")), 0);
    }
    let slice = |pods: &[Option<&str>]| Slice {
        namespace: "shop".into(),
        name: "cart-1".into(),
        service: "cart".into(),
        pods: pods.iter().map(|pod| pod.map(ToOwned::to_owned)).collect(),
    };
    atlas.learn(Fact::Slice(slice(&[Some("u1"), Some("u2")])), 0);
    assert_eq!(asked(&atlas, front, 80), "statefulset:shop/cart");
    assert_eq!(asked(&atlas, front, 81), "nobody");
    assert_eq!(asked(&atlas, [192, 0, 2, 1].into(), 30_080), "statefulset:shop/cart");
    assert_eq!(asked(&atlas, [192, 0, 2, 1].into(), 22), "nobody");
    atlas.learn(Fact::Slice(slice(&[Some("u1"), None])), 0);
    assert_eq!(asked(&atlas, front, 80), "service:shop/cart");
    atlas.learn(Fact::Gone(Gone::Service("shop".into(), "cart".into())), 0);
    assert_eq!(asked(&atlas, front, 80), "nobody");
}

#[test]
fn an_address_that_pods_share_with_their_node_is_the_nodes() {
    let mut atlas = Atlas::default();
    atlas.learn(Fact::Node("n1".into(), vec![ip(9)]), 0);
    let proxy = Pod { host_network: true, ..owned(pod("u1", "proxy-x", 9, 100), "DaemonSet", "proxy") };
    atlas.learn(Fact::Pod(proxy), 0);
    assert_eq!(id(&atlas.at(ip(9), 150 * SECOND)), "node n1");
    let named = atlas.pod("u1").unwrap();
    assert_eq!((&*named.id, named.workload.name.as_str()), ("daemonset:n1/shop/proxy", "shop/proxy@n1"));
}

#[test]
fn workloads_of_which_a_part_is_not_watched_are_named() {
    let mut atlas = Atlas::default();
    atlas.learn(Fact::Pod(owned(pod("u1", "a-0", 1, 100), "StatefulSet", "a")), 0);
    atlas.learn(
        Fact::Pod(Pod { node: "n2".into(), ..owned(pod("u2", "a-1", 2, 100), "StatefulSet", "a") }),
        0,
    );
    atlas.learn(Fact::Pod(owned(pod("u3", "b-0", 3, 100), "StatefulSet", "b")), 0);
    let names: Vec<_> = atlas.partly(&|node| node == "n1").into_iter().collect();
    assert_eq!(names, ["shop/a"]);
    assert!(atlas.partly(&|_| true).is_empty());
}

proptest! {
    /// Whatever comes in whatever order: an address is never said to be of a pod that did not run then.
    #[test]
    fn nobody_is_named_at_a_time_at_which_he_did_not_run(
        pods in prop::collection::vec((0_u8..3, 0_u64..100, 1_u64..50, any::<bool>()), 1..8),
        asked in 0_u64..200,
    ) {
        let mut atlas = Atlas::default();
        for (number, (address, started, lasts, over)) in pods.iter().enumerate() {
            let mut pod = pod(&format!("u{number}"), &format!("p{number}"), *address, *started);
            pod.ended = over.then_some((started + lasts) * SECOND);
            atlas.learn(Fact::Pod(pod), 0);
        }
        for address in 0..3 {
            if let Tenant::Named(named) = atlas.at(ip(address), asked * SECOND) {
                let number: usize = named.workload.name.strip_prefix("shop/p").unwrap().parse().unwrap();
                let (own, started, lasts, over) = pods[number];
                prop_assert_eq!(own, address);
                prop_assert!(started <= asked && (!over || asked <= started + lasts + 1));
            }
        }
    }
}
