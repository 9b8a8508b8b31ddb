//! Finds out names: watches what tells them, and asks anew when the API server has forgotten where we were.
//!
//! What may not be watched is a degradation with its consequence; the other names go on.

use super::access::{Access, Cluster};
use super::atlas::Atlas;
use super::facts::{self, Fact, Gone, Reference};
use super::rights::{RIGHTS, Role};
use super::trouble;
use crate::clock;
use crate::cluster::names::{Census, Named, Names, Tenant};
use apisec_engine::degradation::{Degradation, Severity};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Resource};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{interval, sleep};

/// Pauses after errors, first and longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often it is forgotten what nobody asks for any more.
const PRUNE: Duration = Duration::from_secs(60);
/// Objects of one page of a list.
const PAGE: u32 = 500;
/// Workloads that a sentence names.
const NAMED: usize = 5;

/// See the module.
pub struct Survey {
    /// Which cluster, and as whom.
    pub access: Access,
}

impl Census for Survey {
    fn begin(self: Box<Self>) -> Rc<dyn Names> {
        let known = Rc::new(Known::default());
        let told = known.clone();
        tokio::task::spawn_local(async move {
            match self.access.open().await {
                Ok(cluster) => watch_all(&cluster, &told).await,
                Err(error) => Kind::ALL.iter().for_each(|kind| told.trouble(*kind, error.what.clone())),
            }
        });
        known
    }
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Nodes,
    Pods,
    Services,
    Slices,
    ReplicaSets,
    Jobs,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Nodes, Self::Pods, Self::Services, Self::Slices, Self::ReplicaSets, Self::Jobs];

    const fn word(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
            Self::Services => "services",
            Self::Slices => "endpointslices",
            Self::ReplicaSets => "replicasets",
            Self::Jobs => "jobs",
        }
    }
}

/// How it stands with what is watched.
#[derive(Clone, Debug, Default)]
struct Standing {
    /// It was listed once.
    listed: bool,
    /// Why it cannot be listed or watched.
    trouble: Option<String>,
}

/// What is known, shared by the watches and by whoever asks. One thread; never borrowed across an await.
#[derive(Default)]
struct Known {
    atlas: RefCell<Atlas>,
    standing: RefCell<BTreeMap<Kind, Standing>>,
}

impl Known {
    fn trouble(&self, kind: Kind, why: String) {
        self.standing.borrow_mut().entry(kind).or_default().trouble = Some(why);
    }

    fn well(&self, kind: Kind, listed: bool) {
        let mut standing = self.standing.borrow_mut();
        let standing = standing.entry(kind).or_default();
        standing.trouble = None;
        standing.listed |= listed;
    }

    fn is_blind(&self, kind: Kind) -> bool {
        self.standing.borrow().get(&kind).is_some_and(|standing| standing.trouble.is_some())
    }
}

impl Names for Known {
    fn pod(&self, uid: &str) -> Option<Named> {
        self.atlas.borrow().pod(uid)
    }

    fn at(&self, address: IpAddr, at: u64) -> Tenant {
        self.atlas.borrow().at(address, at)
    }

    fn server(&self, address: SocketAddr, at: u64) -> Tenant {
        self.atlas.borrow().server(address, at)
    }

    fn awaits(&self, uid: &str) -> bool {
        !self.is_blind(Kind::Pods) && self.atlas.borrow().is_open(uid)
    }

    fn settling(&self) -> bool {
        let standing = self.standing.borrow();
        let settled = |kind| standing.get(kind).is_some_and(|known| known.listed || known.trouble.is_some());
        !Kind::ALL.iter().all(settled)
    }

    fn degradations(&self, watched: &dyn Fn(&str) -> bool) -> Vec<Degradation> {
        let mut all: Vec<Degradation> = Vec::new();
        for (kind, standing) in &*self.standing.borrow() {
            let Some(why) = &standing.trouble else { continue };
            let right =
                RIGHTS.iter().find(|right| right.role == Role::Watch && right.resource == kind.word());
            let without = right.map(|right| right.without).filter(|text| !text.is_empty());
            let without = without.unwrap_or("callers and callees have no names");
            let since = if standing.listed { ", and what is known of them grows old" } else { "" };
            all.push(Degradation {
                code: "cluster-names".into(),
                severity: Severity::Partial,
                what: format!("{without}{since}: {why}"),
                remedy: "kubectl apisec doctor prints exactly the rights that are missing".into(),
            });
        }
        let atlas = self.atlas.borrow();
        let partly = atlas.partly(watched);
        if !partly.is_empty() {
            let named = partly.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let more = partly.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            all.push(Degradation {
                code: "partly-watched".into(),
                severity: Severity::Notice,
                what: format!("some of their pods run on nodes without an agent, whose calls are not seen: {named}{more}"),
                remedy: "watch those nodes as well: --nodes or --all-nodes".into(),
            });
        }
        if atlas.dropped > 0 {
            all.push(Degradation {
                code: "cluster-too-large".into(),
                severity: Severity::Partial,
                what: format!("{} objects of the cluster have no room, and no names", atlas.dropped),
                remedy: String::new(),
            });
        }
        all
    }
}

async fn watch_all(cluster: &Cluster, known: &Known) {
    let client = || cluster.client.clone();
    let pods = Watch::<Pod> {
        kind: Kind::Pods,
        key: |pod| pod.metadata.uid.clone(),
        read: |pod| facts::Pod::of(pod).map(Fact::Pod),
        gone: |pod| facts::name(pod.metadata.uid.as_deref()).map(Gone::Pod),
        keep: |atlas, told, now| atlas.keep_pods(told, now),
    };
    let services = Watch::<Service> {
        kind: Kind::Services,
        key: |service| path(service),
        read: |service| facts::Service::of(service).map(Fact::Service),
        gone: |service| named(service).map(|(namespace, name)| Gone::Service(namespace, name)),
        keep: |atlas, told, _| atlas.keep_services(told),
    };
    let slices = Watch::<EndpointSlice> {
        kind: Kind::Slices,
        key: |slice| path(slice),
        read: |slice| facts::Slice::of(slice).map(Fact::Slice),
        gone: |slice| named(slice).map(|(namespace, name)| Gone::Slice(namespace, name)),
        keep: |atlas, told, _| atlas.keep_slices(told),
    };
    let nodes = Watch::<Node> {
        kind: Kind::Nodes,
        key: |node| node.metadata.name.clone(),
        read: facts::node,
        gone: |node| facts::name(node.metadata.name.as_deref()).map(Gone::Node),
        keep: |atlas, told, _| atlas.keep_nodes(told),
    };
    let sets = owners::<ReplicaSet>(Kind::ReplicaSets, |set| facts::owned("ReplicaSet", &set.metadata));
    let jobs = owners::<Job>(Kind::Jobs, |job| facts::owned("Job", &job.metadata));
    tokio::join!(
        nodes.follow(Api::all(client()), known),
        pods.follow(Api::all(client()), known),
        services.follow(Api::all(client()), known),
        slices.follow(Api::all(client()), known),
        sets.follow(Api::all(client()), known),
        jobs.follow(Api::all(client()), known),
        prune(known),
    );
}

async fn prune(known: &Known) {
    let mut tick = interval(PRUNE);
    loop {
        tick.tick().await;
        known.atlas.borrow_mut().prune(clock::now());
    }
}

fn named(object: &impl Resource) -> Option<(String, String)> {
    let meta = object.meta();
    Some((facts::name(meta.namespace.as_deref())?, facts::name(meta.name.as_deref())?))
}

fn path(object: &impl Resource) -> Option<String> {
    named(object).map(|(namespace, name)| format!("{namespace}/{name}"))
}

type Owned = Option<(Reference, Option<facts::Owner>)>;

/// Of owners only the metadata is asked for.
struct Owners<K> {
    kind: Kind,
    read: fn(&PartialObjectMeta<K>) -> Owned,
}

const fn owners<K>(kind: Kind, read: fn(&PartialObjectMeta<K>) -> Owned) -> Owners<K> {
    Owners { kind, read }
}

impl<K> Owners<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    async fn follow(&self, api: Api<PartialObjectMeta<K>>, known: &Known) {
        let mut told = BTreeSet::new();
        listen(self.kind, api, known, |event, atlas, now| match event {
            Event::Init => told.clear(),
            Event::InitApply(object) | Event::Apply(object) => {
                if let Some((reference, owner)) = (self.read)(&object) {
                    told.insert(format!("{}/{}/{}", reference.kind, reference.namespace, reference.name));
                    atlas.learn(Fact::Owned(reference, owner), now);
                }
            }
            // The pods of an owner that is gone are remembered for a while, and so is their owner, until the next list.
            Event::Delete(_) => {}
            Event::InitDone => {
                let kind = if self.kind == Kind::Jobs { "Job" } else { "ReplicaSet" };
                atlas.keep_owners(kind, &std::mem::take(&mut told));
            }
        })
        .await;
    }
}

struct Watch<K> {
    kind: Kind,
    key: fn(&K) -> Option<String>,
    read: fn(&K) -> Option<Fact>,
    gone: fn(&K) -> Option<Gone>,
    keep: fn(&mut Atlas, &BTreeSet<String>, u64),
}

impl<K> Watch<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    async fn follow(&self, api: Api<K>, known: &Known) {
        let mut told = BTreeSet::new();
        listen(self.kind, api, known, |event, atlas, now| match event {
            Event::Init => told.clear(),
            Event::InitApply(object) => {
                told.extend((self.key)(&object));
                (self.read)(&object).into_iter().for_each(|fact| atlas.learn(fact, now));
            }
            Event::Apply(object) => (self.read)(&object).into_iter().for_each(|fact| atlas.learn(fact, now)),
            Event::Delete(object) => {
                (self.gone)(&object).into_iter().for_each(|gone| atlas.learn(Fact::Gone(gone), now));
            }
            Event::InitDone => (self.keep)(atlas, &std::mem::take(&mut told), now),
        })
        .await;
    }
}

/// Hears what happens to the objects of a kind, for ever; lists them again where the API server forgot (410).
async fn listen<K>(kind: Kind, api: Api<K>, known: &Known, mut hear: impl FnMut(Event<K>, &mut Atlas, u64))
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut events = Box::pin(watcher(api, watcher::Config::default().page_size(PAGE)));
    let mut pause = PAUSES.0;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                pause = PAUSES.0;
                known.well(kind, matches!(event, Event::InitDone));
                hear(event, &mut known.atlas.borrow_mut(), clock::now());
            }
            // That the past is forgotten is no trouble: everything is told anew.
            Err(watcher::Error::WatchError(status)) if status.code == 410 => {}
            Err(error) => {
                known.trouble(kind, said(&error, kind));
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

fn said(error: &watcher::Error, kind: Kind) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => trouble::of(error, &format!("watch {}", kind.word())).what,
        error => trouble::plain(&format!("{} cannot be watched: {error}", kind.word())),
    }
}
