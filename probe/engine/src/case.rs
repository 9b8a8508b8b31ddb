//! What the judging half of a detector sees, and how it accuses.

use crate::baseline::{Baseline, MINUTE, Minute, Norm, NormKey};
use crate::detect::About;
use crate::distinct::Distinct;
use crate::endpoint::{AuthSet, EndpointKey, Id};
use crate::family::Kinds;
use crate::finding::{Confidence, Finding, FindingCall, Severity, Suggestion};
use crate::fingerprint;
use crate::limits::OVERFLOW;
use crate::trail::{CROWD, EPOCH, NOBODY, Outcome, Place, Scope, Trail, TrailKey, epoch_of};
use crate::vocabulary;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Epochs that are told apart: two minutes, the longest window that a detector looks through.
const EPOCHS: usize = 6;

/// Calls a minute that are left to a caller who claims an identity in vain.
const CLAIMED_PER_MINUTE: u64 = 10;

/// All that is known of one trail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dossier {
    /// From the beginning, as far as it is kept.
    pub total: Trail,
    /// The newest epochs with calls, oldest first.
    epochs: Vec<(u32, Trail)>,
}

impl Dossier {
    /// Adds what happened in an epoch.
    pub fn add(&mut self, epoch: u32, trail: &Trail) {
        self.total.merge(trail);
        let at = match self.epochs.binary_search_by_key(&epoch, |(known, _)| *known) {
            Ok(at) => at,
            Err(0) if self.epochs.len() >= EPOCHS => return,
            Err(at) => {
                self.epochs.insert(at, (epoch, Trail::default()));
                if self.epochs.len() > EPOCHS {
                    self.epochs.remove(0);
                    at - 1
                } else {
                    at
                }
            }
        };
        if let Some((_, kept)) = self.epochs.get_mut(at) {
            kept.merge(trail);
        }
    }

    /// Adds all of another dossier.
    pub fn merge(&mut self, other: &Self) {
        let mut total = std::mem::take(&mut self.total);
        total.merge(&other.total);
        other.epochs.iter().for_each(|(epoch, trail)| self.add(*epoch, trail));
        self.total = total;
    }

    /// What happened in the minute that begins at `from` (Unix nanoseconds); `None`: nothing.
    #[must_use]
    pub fn minute(&self, from: u64) -> Option<Minute> {
        let (first, after) = (epoch_of(from), epoch_of(from + MINUTE));
        let mut inside = self.epochs.iter().filter(|(epoch, _)| (first..after).contains(epoch));
        let (_, trail) = inside.next()?;
        let mut minute = Minute { calls: trail.calls, bytes: trail.response_bytes, ..Minute::default() };
        let (mut busy, mut objects) = (trail.busy, trail.objects.clone());
        for (_, more) in inside {
            minute.calls = minute.calls.saturating_add(more.calls);
            minute.bytes = minute.bytes.saturating_add(more.response_bytes);
            busy = busy.saturating_add(more.busy);
            objects.merge(&more.objects);
        }
        (minute.objects, minute.latency) = (objects.count(), busy / minute.calls.max(1) / 1_000);
        (minute.calls > 0).then_some(minute)
    }

    /// Distinct objects that were read and missed, in the last so many seconds before its own last call or in all.
    #[must_use]
    pub fn objects(&self, seconds: Option<f64>) -> (u64, u64) {
        let (Some(seconds), Some((newest, _))) = (seconds, self.epochs.last()) else {
            return (self.total.objects.count(), self.total.missed.count());
        };
        let epochs = (seconds / f64::from(EPOCH)).ceil().max(1.0) as u32;
        let (mut read, mut missed) = (Distinct::default(), Distinct::default());
        for (_, trail) in self.epochs.iter().filter(|(epoch, _)| newest - epoch < epochs) {
            read.merge(&trail.objects);
            missed.merge(&trail.missed);
        }
        (read.count(), missed.count())
    }

    /// What happened in the last so many seconds before its own last call, in whole epochs.
    #[must_use]
    pub fn window(&self, seconds: f64) -> Trail {
        let Some((newest, _)) = self.epochs.last() else { return Trail::default() };
        let epochs = (seconds / f64::from(EPOCH)).ceil().max(1.0) as u32;
        let mut trail = Trail::default();
        self.epochs
            .iter()
            .filter(|(epoch, _)| newest - epoch < epochs)
            .for_each(|(_, more)| trail.merge(more));
        trail
    }
}

/// One trail, with the name under which its endpoint is shown.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// Whose trail it is.
    pub key: &'a TrailKey,
    /// Path template, empty where it is about no endpoint.
    pub path: Arc<str>,
    /// What is known.
    pub dossier: Cow<'a, Dossier>,
}

impl Case<'_> {
    /// Everything from the beginning.
    #[must_use]
    pub fn total(&self) -> &Trail {
        &self.dossier.total
    }

    /// What the path says.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of(&self.path)
    }

    /// What was called, as one says it: `PUT /api/users/{user}`, with the operation below it where there is one.
    #[must_use]
    pub fn operation(&self) -> String {
        let EndpointKey { method, operation, .. } = &self.key.endpoint;
        let parts = [method.as_str(), &self.path, operation.as_str()];
        parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
    }

    /// The key of a trail beside this one, with another number.
    #[must_use]
    pub fn sibling(&self, actor: u64) -> TrailKey {
        TrailKey { actor: actor.clamp(1, CROWD - 1), ..self.key.clone() }
    }

    /// It is the trail of somebody with a name.
    #[must_use]
    pub const fn is_somebody(&self) -> bool {
        self.key.actor != NOBODY && self.key.actor != CROWD
    }
}

/// Everything that a judge may look at.
pub struct Cases<'a> {
    /// End of what is known, Unix nanoseconds.
    pub now: u64,
    pub(crate) dossiers: &'a indexmap::IndexMap<TrailKey, Dossier>,
    /// Trails with calls since the last judgement.
    pub(crate) fresh: &'a [u32],
    /// Trails of actors, by endpoint.
    pub(crate) places: &'a HashMap<EndpointKey, Vec<u32>>,
    pub(crate) shown: &'a dyn Fn(&EndpointKey) -> Option<Arc<str>>,
    pub(crate) settings: &'a Settings,
    pub(crate) baseline: &'a Baseline,
    /// Who is inside.
    pub(crate) kinds: Kinds,
    /// Trails of one actor at endpoints that are shown as one.
    pub(crate) folded: Vec<Case<'a>>,
}

impl<'a> Cases<'a> {
    /// Trails of a scope with calls since the last judgement; endpoints that are shown as one are one.
    pub fn fresh(&self, scope: Scope) -> impl Iterator<Item = Case<'a>> + '_ {
        let plain = self.fresh.iter().filter_map(|at| self.at(*at));
        let plain = plain.filter(|case| !self.is_folded(case));
        plain.chain(self.folded.iter().cloned()).filter(move |case| case.key.scope == scope)
    }

    /// All trails of a scope.
    pub fn all(&self, scope: Scope) -> impl Iterator<Item = Case<'a>> + '_ {
        let all = (0..self.dossiers.len() as u32).filter_map(|at| self.at(at));
        all.filter(move |case| case.key.scope == scope)
    }

    /// The trails of everybody else at the endpoint of an actor.
    pub fn others(&self, case: &Case<'_>) -> impl Iterator<Item = Case<'a>> + '_ {
        let there = self.places.get(&case.key.endpoint).map(Vec::as_slice).unwrap_or_default();
        let (caller, actor) = (case.key.caller.clone(), case.key.actor);
        let all = there.iter().filter_map(|at| self.at(*at));
        all.filter(move |other| other.key.caller != caller || other.key.actor != actor)
    }

    /// The edges to the service of an edge, itself included.
    pub fn edges_to(&self, service: &EndpointKey) -> impl Iterator<Item = Case<'a>> + '_ {
        let there = self.places.get(service).map(Vec::as_slice).unwrap_or_default();
        there.iter().filter_map(|at| self.at(*at)).filter(|case| case.key.scope == Scope::Edge)
    }

    /// One trail.
    #[must_use]
    pub fn get(&self, key: &TrailKey) -> Option<Case<'a>> {
        self.dossiers.get_index_of(key).and_then(|at| self.at(at as u32))
    }

    /// What the actor of a case did at the service, whatever the endpoint.
    #[must_use]
    pub fn client(&self, case: &Case<'_>) -> Option<Case<'a>> {
        self.get(&TrailKey {
            scope: Scope::Client,
            endpoint: case.key.endpoint.anywhere(),
            ..case.key.clone()
        })
    }

    /// What everybody did at the endpoint of a case.
    #[must_use]
    pub fn everybody(&self, case: &Case<'_>) -> Option<Case<'a>> {
        let endpoint = case.key.endpoint.clone();
        self.get(&TrailKey { scope: Scope::Endpoint, endpoint, caller: Id::default(), actor: NOBODY })
    }

    /// What is usual at the operation of a case, if that is known well enough.
    #[must_use]
    pub fn usual(&self, case: &Case<'_>) -> Option<&'a Norm> {
        self.baseline.ripe(&NormKey::of(&case.key.endpoint, &case.path))
    }

    /// What is usual of the kind of caller of a case at its service, likewise.
    #[must_use]
    pub fn usual_edge(&self, case: &Case<'_>) -> Option<&'a Norm> {
        self.baseline.ripe(&NormKey::edge(&case.key.endpoint.service, self.kinds.of(&case.key.caller)))
    }

    /// The value of a setting.
    #[must_use]
    pub fn setting(&self, about: &About, name: &str) -> f64 {
        self.settings.get(about, name)
    }

    fn at(&self, at: u32) -> Option<Case<'a>> {
        let (key, dossier) = self.dossiers.get_index(at as usize)?;
        let path = if key.endpoint.path.is_empty() { None } else { (self.shown)(&key.endpoint) };
        let path = path.unwrap_or_else(|| key.endpoint.path.clone());
        Some(Case { key, path, dossier: Cow::Borrowed(dossier) })
    }

    fn is_folded(&self, case: &Case<'_>) -> bool {
        case.key.scope == Scope::Actor && case.path != case.key.endpoint.path
    }

    /// Adds up what one actor did at endpoints that are shown as one: its objects are the names that were folded too.
    pub(crate) fn fold(&mut self) {
        let folded = |at: &u32| self.at(*at).filter(|case| self.is_folded(case));
        let wanted: Vec<Case<'a>> = self.fresh.iter().filter_map(folded).collect();
        if wanted.is_empty() {
            return;
        }
        type Name<'a> = (Id, Arc<str>, &'a str, &'a str, Id, u64);
        let name = |case: &Case<'a>| -> Name<'a> {
            let TrailKey { endpoint, caller, actor, .. } = case.key;
            (
                endpoint.service.clone(),
                case.path.clone(),
                &endpoint.method,
                &endpoint.operation,
                caller.clone(),
                *actor,
            )
        };
        let mut sums: BTreeMap<Name<'a>, Case<'a>> = BTreeMap::new();
        wanted.iter().for_each(|case| {
            sums.entry(name(case))
                .or_insert_with(|| Case { dossier: Cow::Owned(Dossier::default()), ..case.clone() });
        });
        for at in 0..self.dossiers.len() as u32 {
            let Some(case) = folded(&at) else { continue };
            let Some(sum) = sums.get_mut(&name(&case)) else { continue };
            let mut named = case.dossier.into_owned();
            let object = fingerprint::of(case.key.endpoint.path.as_bytes());
            let trails = named.epochs.iter_mut().map(|(_, trail)| trail).chain([&mut named.total]);
            for trail in trails {
                let accepted = trail.with(Outcome::Accepted) > 0;
                if accepted { &mut trail.objects } else { &mut trail.missed }.insert(object);
            }
            sum.dossier.to_mut().merge(&named);
        }
        self.folded = sums.into_values().collect();
    }
}

/// What the operator set, by detector and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub BTreeMap<(String, String), f64>);

impl Settings {
    /// The value of a setting.
    #[must_use]
    pub fn get(&self, about: &About, name: &str) -> f64 {
        let set = self.0.get(&(about.id.to_owned(), name.to_owned())).copied();
        let default =
            || about.settings.iter().find(|setting| setting.name == name).map(|setting| setting.default);
        set.or_else(default).unwrap_or_default()
    }

    /// Whether a detector is not to run: `enabled = 0`.
    #[must_use]
    pub fn silences(&self, about: &About) -> bool {
        self.0.get(&(about.id.to_owned(), "enabled".to_owned())).is_some_and(|value| *value == 0.0)
    }
}

/// Where accusations go.
pub struct Bench<'a> {
    pub(crate) about: &'static About,
    pub(crate) raise: &'a mut dyn FnMut(Finding, Option<EndpointKey>),
}

impl Bench<'_> {
    /// Accuses.
    pub fn accuse(&mut self, accusation: Accusation) {
        let endpoint = accusation.endpoint.clone();
        (self.raise)(accusation.into_finding(self.about), endpoint);
    }
}

/// That somebody did something wrong.
#[derive(Clone, Debug, Default)]
pub struct Accusation {
    finding: Finding,
    identity: u64,
    /// The server accepted nothing under the identity: whoever calls may have made it up, or taken somebody else's.
    claimed: bool,
    /// Whoever calls can have written the name under which it was accepted.
    forged: bool,
    /// Where it was, however that is shown later.
    endpoint: Option<EndpointKey>,
}

impl Accusation {
    /// Of the actor of a case, for what it did in `trail`.
    #[must_use]
    pub fn of(case: &Case<'_>, trail: &Trail) -> Self {
        let TrailKey { endpoint, caller, actor, scope } = case.key;
        let somebody = case.is_somebody() && matches!(scope, Scope::Actor | Scope::Client);
        let call = |sample: &crate::trail::Sample| FindingCall {
            at: sample.at,
            method: sample.method.to_string(),
            path: sample.path.clone(),
            status: sample.status,
        };
        let finding = Finding {
            service: endpoint.service.to_string(),
            method: endpoint.method.to_string(),
            path: case.path.to_string(),
            operation: endpoint.operation.to_string(),
            actor: if **caller == *OVERFLOW { String::new() } else { caller.to_string() },
            identity: identity(trail.auth, if somebody { *actor } else { NOBODY }),
            identity_hash: if somebody { format!("{actor:016x}") } else { String::new() },
            calls: trail.samples.iter().map(call).collect(),
            count: trail.calls,
            first_seen: trail.first,
            last_seen: trail.last,
            ..Finding::default()
        };
        let endpoint = (!case.path.is_empty()).then(|| endpoint.clone());
        let claimed = somebody && trail.with(Outcome::Accepted) == 0;
        Self { finding, identity: *actor, claimed, forged: false, endpoint }
    }

    /// How bad it is, and how sure we are, in points of ten.
    #[must_use]
    pub fn weigh(mut self, severity: Severity, points: u8) -> Self {
        self.finding.confidence = Confidence::of(points);
        // A guess is no alarm.
        let most = if self.finding.confidence == Confidence::Low { Severity::Medium } else { severity };
        self.finding.severity = severity.min(most);
        self
    }

    /// One line, and what it rests on.
    #[must_use]
    pub fn say(mut self, title: String, evidence: String) -> Self {
        (self.finding.title, self.finding.evidence) = (title, evidence);
        self
    }

    /// A number that it rests on.
    #[must_use]
    pub fn fact(mut self, name: &str, value: f64) -> Self {
        self.finding.facts.insert(name.to_owned(), value);
        self
    }

    /// Who it was, where the trail itself does not say so.
    #[must_use]
    pub fn by(mut self, hash: u64, auth: AuthSet) -> Self {
        if hash != NOBODY && hash != CROWD {
            self.claimed = false;
            self.finding.identity = identity(auth, hash);
            self.finding.identity_hash = format!("{hash:016x}");
        }
        self
    }

    /// What names the identity can have been written by whoever calls.
    #[must_use]
    pub const fn forged(mut self) -> Self {
        self.forged = true;
        self
    }

    /// The workload of the case did it.
    #[must_use]
    pub fn by_workload(mut self) -> Self {
        self.finding.actor = std::mem::take(&mut self.finding.service);
        self
    }

    /// It is about the whole endpoint or service, not about one caller.
    #[must_use]
    pub fn of_everybody(mut self) -> Self {
        self.finding.actor.clear();
        self.finding.identity.clear();
        self.finding.identity_hash.clear();
        self.identity = NOBODY;
        self
    }

    /// What to do here, where the detector's advice is too general.
    #[must_use]
    pub fn remedy(mut self, remedy: String) -> Self {
        self.finding.remedy = remedy;
        self
    }

    /// What could be cut off: `edge`, `endpoint`, `identity`, `rate` (with calls per minute) or `quarantine`.
    #[must_use]
    pub fn suggest(mut self, kind: &str, per_minute: u64) -> Self {
        let Finding { actor, service, method, path, identity_hash, identity, .. } = &self.finding;
        let whole = kind == "edge" || kind == "quarantine";
        let kept = |text: &String| if whole { String::new() } else { text.clone() };
        // Whose name somebody else uses must not be refused for it.
        let (kind, per_minute) = if (self.claimed || self.forged) && kind == "identity" {
            ("rate", CLAIMED_PER_MINUTE)
        } else {
            (kind, per_minute)
        };
        let named = !self.claimed && !self.forged && matches!(kind, "identity" | "rate");
        let what = match kind {
            "quarantine" => format!("cut {actor} off from everything"),
            "edge" => format!("cut all calls from {actor} to {service}"),
            "identity" => format!("refuse {method} {path} of {service} to {identity}"),
            "rate" => format!("leave {actor} {per_minute} calls a minute of {method} {path}"),
            _ => format!("refuse {method} {path} of {service} to everybody"),
        };
        let of_actor = kind != "endpoint";
        self.finding.suggestion = Suggestion {
            kind: kind.to_owned(),
            caller: if of_actor { actor.clone() } else { String::new() },
            service: if kind == "quarantine" { String::new() } else { service.clone() },
            method: kept(method),
            path: kept(path),
            identity: if named { identity_hash.clone() } else { String::new() },
            per_minute,
            what,
        };
        self
    }

    fn into_finding(self, about: &About) -> Finding {
        let mut finding = self.finding;
        if self.claimed && !finding.identity_hash.is_empty() {
            finding.confidence = finding.confidence.min(Confidence::Medium);
            finding.severity = finding.severity.min(Severity::Medium);
            finding.evidence.push_str(
                "; nothing was accepted under this identity: it may be somebody else who claims it",
            );
        }
        if self.forged && !finding.identity_hash.is_empty() {
            finding.evidence.push_str("; whoever calls can name anybody in it: it may not be whom it names");
        }
        finding.detector = about.id.to_owned();
        (finding.owasp, finding.cwe) = (about.owasp.to_owned(), about.cwe.to_owned());
        if finding.remedy.is_empty() {
            finding.remedy = about.remedy.to_owned();
        }
        finding.id = finding.name();
        finding
    }
}

/// How an identity is shown: its scheme and the beginning of its hash.
fn identity(auth: AuthSet, hash: u64) -> String {
    if hash == NOBODY || hash == CROWD {
        return "anonymous".to_owned();
    }
    let schemes = vocabulary::AUTH_SCHEMES.iter().filter(|(_, word)| !matches!(*word, "none" | "unread"));
    let word =
        schemes.clone().find(|(scheme, _)| auth.contains(*scheme)).map_or("identity", |(_, word)| *word);
    format!("{word} {:08x}", hash >> 32)
}
