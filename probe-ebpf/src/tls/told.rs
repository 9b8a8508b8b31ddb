//! What a library itself says of a session, in public functions whose arguments are the same in every version: the protocol
//! that was agreed on, when its program asks, and the certificates, while the handshake encodes or decodes them. TLS 1.3
//! encrypts both, so the capture hook cannot know them.
//!
//! Certificates count only inside a call of the library that has a session; the first of each kind is the end's own.

use super::session;
use super::ship;
use super::threads::{THREADS, Thread};
use apisec_abi::{TOLD_ALPN, TOLD_OWN, TOLD_PEER, counter};
use aya_ebpf::{
    btf_maps::LruHashMap,
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_map, uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};

/// A question that a library is answering.
#[repr(C)]
#[derive(Clone, Copy)]
struct Question {
    session: u64,
    /// Where the answer is stored, or begins.
    first: u64,
    /// Where its length is stored.
    second: u64,
}

/// Questions by pid and tgid.
#[btf_map]
static QUESTIONS: LruHashMap<u64, Question, 4096> = LruHashMap::new();

/// `f(session, where, …)`: something about a session is asked.
#[uprobe]
pub fn apisec_tls_asks(ctx: ProbeContext) -> u32 {
    if let Some(session) = ctx.arg::<u64>(0) {
        ask(Question { session, first: ctx.arg(1).unwrap_or(0), second: ctx.arg(2).unwrap_or(0) });
    }
    0
}

/// `SSL_get0_alpn_selected(session, *data, *len)`.
#[uretprobe]
pub fn apisec_tls_alpn(_: RetProbeContext) -> u32 {
    if let Some(asked) = answered() {
        tell(asked.session, TOLD_ALPN, ship::word(asked.first), ship::word(asked.second));
    }
    0
}

/// `gnutls_alpn_get_selected_protocol(session, *datum)`, which returns 0 on success.
#[uretprobe]
pub fn apisec_tls_galpn(ctx: RetProbeContext) -> u32 {
    if let Some(asked) = answered()
        && ctx.ret::<i32>() == 0
    {
        tell(asked.session, TOLD_ALPN, ship::word(asked.first), ship::word(asked.first + 8));
    }
    0
}

/// `gnutls_certificate_get_peers(session, *count)`, which returns an array of data and lengths.
#[uretprobe]
pub fn apisec_tls_peers(ctx: RetProbeContext) -> u32 {
    if let Some(asked) = answered() {
        let list = ctx.ret::<u64>();
        tell(asked.session, TOLD_PEER, ship::word(list), ship::word(list + 8));
    }
    0
}

/// `d2i_X509(_, **data, len)`: a certificate of the peer's is decoded.
#[uprobe]
pub fn apisec_tls_d2i(ctx: ProbeContext) -> u32 {
    if let (Some(thread), Some(at), Some(len)) = (inside(), ctx.arg::<u64>(1), ctx.arg::<u64>(2)) {
        tell(thread.session, TOLD_PEER, ship::word(at), len);
    }
    0
}

/// `i2d_X509(_, **out)`: a certificate of this end's is encoded; with no place for it, its length is asked.
#[uprobe]
pub fn apisec_tls_i2d(ctx: ProbeContext) -> u32 {
    if let (Some(thread), Some(at)) = (inside(), ctx.arg::<u64>(1))
        && at != 0
    {
        ask(Question { session: thread.session, first: ship::word(at), second: 0 });
    }
    0
}

/// It was, with this length.
#[uretprobe]
pub fn apisec_tls_i2dr(ctx: RetProbeContext) -> u32 {
    let len = ctx.ret::<i32>();
    if let (Some(asked), Some(thread)) = (answered(), inside())
        && len > 0
    {
        tell(thread.session, TOLD_OWN, asked.first, len as u64);
    }
    0
}

#[inline(always)]
fn ask(question: Question) {
    if QUESTIONS.insert(&bpf_get_current_pid_tgid(), &question, 0).is_err() {
        crate::counters::add(counter::LOST_TLS_STATE, 1);
    }
}

#[inline(always)]
fn answered() -> Option<Question> {
    let id = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied at once.
    let question = unsafe { QUESTIONS.get(&id) }.copied();
    let _ = QUESTIONS.remove(&id);
    question
}

/// This thread, if it is inside a call that has a session.
#[inline(always)]
fn inside() -> Option<&'static Thread> {
    let thread = THREADS.get_ptr(&bpf_get_current_pid_tgid())?;
    // SAFETY: the entry belongs to this thread.
    let thread = unsafe { &*thread };
    (thread.session != 0).then_some(thread)
}

/// Each thing is told once of a session; lengths are the lower half of a word.
#[inline(always)]
fn tell(object: u64, what: u8, data: u64, len: u64) {
    let len = len as u32;
    let Some(session) = session::known(object) else { return };
    if len != 0 && session.told & what == 0 {
        session.told |= what;
        ship::told(object, session, what, data, len);
    }
}
