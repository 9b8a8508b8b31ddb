//! Small plays for the tests of detectors: who calls what, and what is found.

use crate::delta::Delta;
use crate::finding::Finding;
use crate::fixture::{CallSpec, call};
use crate::knowledge::Knowledge;
use crate::limits::Limits;
use crate::observe::Observer;
use apisec_proto::body::{Body, Format};
use apisec_proto::call::{AuthScheme, Call, Credential, IdentityHash, Traits};
use apisec_proto::sensitive::Sensitive;
use std::sync::Arc;

const MILLISECOND: u64 = 1_000_000;

/// Calls, some milliseconds apart, to one shop.
pub(crate) struct Scene {
    observer: Observer,
    pub(crate) known: Knowledge,
    /// Now, Unix nanoseconds.
    pub(crate) at: u64,
    /// Between two calls, nanoseconds.
    pub(crate) pace: u64,
    auth: AuthScheme,
    identity: Option<IdentityHash>,
    src: &'static str,
    dst: &'static str,
}

#[allow(dead_code, reason = "a play uses what it needs")]
impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            observer: Observer::new(Limits::default()),
            known: Knowledge::new(Limits::default(), Vec::new()),
            at: 1_800_000_000_000_000_000,
            pace: 10 * MILLISECOND,
            auth: AuthScheme::None,
            identity: None,
            src: "external:192.0.2.7",
            dst: "process:shop:80",
        }
    }

    /// The next calls come from a user with a token.
    pub(crate) fn user(&mut self, number: u64) -> &mut Self {
        self.auth = AuthScheme::Jwt;
        self.identity = Some(IdentityHash(crate::fingerprint::of(&number.to_le_bytes())));
        self
    }

    /// The next calls say nothing of who they are from.
    pub(crate) fn anonymous(&mut self) -> &mut Self {
        (self.auth, self.identity) = (AuthScheme::None, None);
        self
    }

    /// The next calls are from here.
    pub(crate) fn from(&mut self, src: &'static str) -> &mut Self {
        self.src = src;
        self
    }

    /// The next calls go there.
    pub(crate) fn to(&mut self, dst: &'static str) -> &mut Self {
        self.dst = dst;
        self
    }

    pub(crate) fn get(&mut self, path: &str, status: u16) {
        self.call("GET", path, status, |_| ());
    }

    pub(crate) fn post(&mut self, path: &str, status: u16) {
        self.call("POST", path, status, |_| ());
    }

    /// A call, changed by `change` before it is observed.
    pub(crate) fn call(
        &mut self,
        method: &'static str,
        path: &str,
        status: u16,
        change: impl FnOnce(&mut Call),
    ) {
        let (src, dst, at) = (self.src, self.dst, self.at);
        let mut call = call(&CallSpec {
            src,
            dst,
            at,
            method,
            path: path.into(),
            status: Some(status),
            ..CallSpec::default()
        });
        (call.auth, call.identity) = (self.auth, self.identity);
        change(&mut call);
        self.observer.observe(&call);
        self.at += self.pace;
        if self.at / 1_000_000_000 != (self.at - self.pace) / 1_000_000_000 {
            self.turn();
        }
    }

    /// Somebody tries to log in.
    pub(crate) fn log_in(&mut self, account: u64, password: u64, status: u16) {
        self.anonymous().call("POST", "/login", status, |call| {
            call.objects.account = Some(1_000_000 + account);
            call.objects.password = Some(password);
        });
    }

    /// The call bears a credential with these traits.
    pub(crate) fn credential(call: &mut Call, traits: Traits) {
        call.credential = Some(Arc::new(Credential { traits, token: 7, ..Credential::default() }));
    }

    /// The call bears an administrator's token.
    pub(crate) fn administrator(call: &mut Call) {
        let claims = [("sub".into(), 1)].into_iter().collect();
        let credential = Credential { traits: Traits::OF_ADMIN, claims, ..Credential::default() };
        call.credential = Some(Arc::new(credential));
        call.objects.asked.push(7);
    }

    /// The call bears a person's token, whose subject is the second segment of the path or is not.
    pub(crate) fn claims(call: &mut Call, own: bool) {
        let claims = [("sub".into(), 1)].into_iter().collect();
        call.credential = Some(Arc::new(Credential { claims, ..Credential::default() }));
        call.objects.asked.push(7);
        call.objects.owned = u32::from(own) << 1;
    }

    /// The answer has texts at these places and sensitive values of these classes.
    pub(crate) fn answer(call: &mut Call, places: &[&str], classes: &[Sensitive]) {
        call.bodies.get_or_insert_default().response = Some(body(places, classes));
    }

    /// The request has texts at these places.
    pub(crate) fn request(call: &mut Call, places: &[&str]) {
        call.bodies.get_or_insert_default().request = Some(body(places, &[]));
    }

    /// So many seconds pass.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.turn();
        self.at += seconds * 1_000_000_000;
    }

    pub(crate) fn turn(&mut self) {
        let delta: Delta = self.observer.take_delta(self.at - 1_000_000_000, self.at);
        self.known.merge(delta);
    }

    /// Everything that is found by now.
    pub(crate) fn findings(&mut self) -> Vec<Finding> {
        self.turn();
        self.known.snapshot(self.at).findings.clone()
    }

    /// What one detector found.
    pub(crate) fn found(&mut self, detector: &str) -> Vec<Finding> {
        self.findings().into_iter().filter(|finding| finding.detector == detector).collect()
    }

    /// The one thing that a detector found.
    #[track_caller]
    pub(crate) fn only(&mut self, detector: &str) -> Finding {
        let found = self.found(detector);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.into_iter().next().unwrap()
    }

    /// A detector found nothing.
    #[track_caller]
    pub(crate) fn nothing(&mut self, detector: &str) {
        let found = self.found(detector);
        assert!(found.is_empty(), "{found:#?}");
    }
}

fn body(places: &[&str], classes: &[Sensitive]) -> Body {
    let mut body = Body { format: Format::Json, whole: true, ..Body::default() };
    for path in places {
        body.shape.add(path, |place| (place.count, place.longest) = (1, 9));
    }
    classes.iter().for_each(|class| body.sensitive.add(*class));
    body
}

/// A word that nobody takes for an identifier.
pub(crate) fn word(mut number: usize) -> String {
    const SYLLABLES: [&str; 10] = ["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu"];
    let mut word = String::from("a");
    for _ in 0..4 {
        word.push_str(SYLLABLES[number % 10]);
        number /= 10;
    }
    word
}
