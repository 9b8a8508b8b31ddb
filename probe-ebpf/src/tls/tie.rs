//! Which connection a TLS session goes over: the socket that the thread reads or writes while it is inside
//! the library; or, where the program moves the ciphertext itself (memory BIOs of node, Python's asyncio, curl),
//! the socket that it read last before it asked for the plaintext.
//!
//! Of the ways to know it this needs nothing of any library's layout, version or I/O style, and costs one look-up
//! per read of a thread that uses TLS. What was read last by the wrong reason (a plaintext connection in
//! between) is corrected by the next read inside the library, and refused by user space, which knows which
//! connections carry TLS.

use super::session::{INGRESS, Session};
use super::threads::{self, THREADS, Thread};
use crate::ring::{reserve, submit};
use apisec_abi::{FLAG_INSIDE, KIND_TLS_TIE, TlsTie, counter};
use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_get_current_task, bpf_ktime_get_ns, bpf_probe_read_kernel},
    },
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT`: the program has not closed it.
const OPEN: [u8; 2] = [1, 8];

/// Byte offsets in the kernel's `struct sock` that user space reads from its BTF; a cookie at 0 means that
/// there is none. Set before loading.
#[unsafe(no_mangle)]
static OFFSET_SK_COOKIE: u32 = 0;
#[unsafe(no_mangle)]
pub static OFFSET_SK_FAMILY: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SK_STATE: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SK_LOCAL_PORT: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SK_REMOTE_PORT: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SK_LOCAL4: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SK_REMOTE4: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SK_LOCAL6: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SK_REMOTE6: u32 = 0;

/// On the way from a task to the socket behind one of its descriptors; 0 when unknown. Set before loading.
#[unsafe(no_mangle)]
static OFFSET_TASK_FILES: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_FILES_TABLE: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_TABLE_FD: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_FILE_DATA: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SOCKET_FILE: u32 = 0;
#[unsafe(no_mangle)]
static OFFSET_SOCKET_SK: u32 = 0;

/// Descriptors that are looked up: the default `fs.nr_open`.
const MAX_DESCRIPTOR: u64 = 1 << 20;

/// A field of a socket.
macro_rules! field {
    ($socket:expr, $kind:ty, $offset:ident) => {
        // SAFETY: a constant that user space sets before loading.
        read::<$kind>($socket, unsafe { core::ptr::read_volatile(&raw const $offset) })
    };
}

/// A thread reads from, or writes to, a TCP socket: the first argument in every tracepoint that this is
/// attached to.
#[raw_tracepoint(tracepoint = "tcp_rcv_space_adjust")]
pub fn apisec_tls_io(ctx: RawTracePointContext) -> i32 {
    used(ctx.arg::<u64>(0));
    0
}

/// The current thread has used this socket.
#[inline(always)]
pub fn used(socket: u64) {
    let id = bpf_get_current_pid_tgid();
    if !threads::may_use_tls(id) {
        return;
    }
    if let Some(thread) = THREADS.get_ptr_mut(&id) {
        // SAFETY: the entry belongs to this thread.
        let thread = unsafe { &mut *thread };
        thread.socket = socket;
        if thread.wrote != 0 {
            wrote(thread);
        }
    }
}

/// The first socket that is used after a write is the one that it goes to.
#[inline(always)]
fn wrote(thread: &mut Thread) {
    let family = field!(thread.socket, u16, OFFSET_SK_FAMILY);
    if family != AF_INET && family != AF_INET6 {
        return;
    }
    let object = core::mem::take(&mut thread.wrote);
    if let Some(session) = super::session::of(object) {
        super::rustls::settle(thread.socket, object, session);
    }
}

/// Whether the socket that was at this address is still the same, and its program has not closed it.
#[inline(always)]
pub fn is_open(socket: u64, cookie: u64) -> bool {
    let state = field!(socket, u8, OFFSET_SK_STATE);
    field!(socket, u64, OFFSET_SK_COOKIE) == cookie && (state == OPEN[0] || state == OPEN[1])
}

/// A session goes over this socket, as far as is known.
#[inline(always)]
pub fn found(socket: u64, object: u64, session: &mut Session) {
    // SAFETY: a constant that user space sets before loading.
    let at = unsafe { core::ptr::read_volatile(&raw const OFFSET_SK_COOKIE) };
    let cookie = if at == 0 { 0 } else { read::<u64>(socket, at) };
    if cookie != 0 {
        session.cookie = cookie;
        session.socket = socket;
        report(socket, object, session);
    }
}

/// Ties the session to the connection that its thread used; tells user space when it is another.
#[inline(always)]
pub fn tie(thread: &mut Thread, object: u64, session: &mut Session, direction: usize) {
    let guessed = session.inside == 0;
    let socket = if thread.socket != 0 {
        session.inside = 1;
        thread.socket
    } else if session.inside == 0 && direction == INGRESS {
        thread.before
    } else {
        0
    };
    thread.before = 0;
    if socket == 0 {
        return;
    }
    // SAFETY: constants that user space sets before loading.
    let at = unsafe { core::ptr::read_volatile(&raw const OFFSET_SK_COOKIE) };
    if at == 0 {
        return;
    }
    let cookie = read::<u64>(socket, at);
    // What was a guess and is certain now is told again: user space believes it of any connection.
    let confirmed = guessed && session.inside == 1;
    if cookie == 0 || (cookie == session.cookie && !confirmed) {
        return;
    }
    session.cookie = cookie;
    report(socket, object, session);
}

/// The socket (kernel address) behind a descriptor of the current process; 0 when it is none.
#[inline(always)]
pub fn socket_of(descriptor: u64) -> u64 {
    macro_rules! next {
        ($base:expr, $offset:ident) => {
            // SAFETY: a constant that user space sets before loading.
            read::<u64>($base, unsafe { core::ptr::read_volatile(&raw const $offset) })
        };
    }
    // SAFETY: a constant that user space sets before loading.
    let known = unsafe { core::ptr::read_volatile(&raw const OFFSET_TASK_FILES) } != 0;
    if !known || descriptor >= MAX_DESCRIPTOR {
        return 0;
    }
    // SAFETY: no preconditions.
    let task = unsafe { bpf_get_current_task() };
    let table = next!(next!(task, OFFSET_TASK_FILES), OFFSET_FILES_TABLE);
    let file = read::<u64>(next!(table, OFFSET_TABLE_FD) + descriptor * 8, 0);
    let socket = next!(file, OFFSET_FILE_DATA);
    // Only a socket points back.
    if file == 0 || next!(socket, OFFSET_SOCKET_FILE) != file {
        return 0;
    }
    next!(socket, OFFSET_SOCKET_SK)
}

/// Ties a session to the socket that it surely uses; another socket means another session at the same address.
#[inline(always)]
pub fn follow(socket: u64, object: u64, session: &'static mut Session) -> Option<&'static mut Session> {
    // SAFETY: a constant that user space sets before loading.
    let at = unsafe { core::ptr::read_volatile(&raw const OFFSET_SK_COOKIE) };
    let cookie = if socket == 0 || at == 0 { 0 } else { read::<u64>(socket, at) };
    if cookie == 0 || cookie == session.cookie {
        return Some(session);
    }
    let session = if session.cookie == 0 { session } else { super::session::renew(object)? };
    session.inside = 1;
    session.cookie = cookie;
    report(socket, object, session);
    Some(session)
}

#[inline(always)]
fn report(socket: u64, object: u64, session: &mut Session) {
    session.ports =
        [field!(socket, u16, OFFSET_SK_LOCAL_PORT), u16::from_be(field!(socket, u16, OFFSET_SK_REMOTE_PORT))];
    let Some(record) = reserve::<{ size_of::<TlsTie>() }>(counter::LOST_IDENTITY) else { return };
    let v4 = field!(socket, u16, OFFSET_SK_FAMILY) == AF_INET;
    let (local_addr, remote_addr) = if v4 {
        (mapped(field!(socket, u32, OFFSET_SK_LOCAL4)), mapped(field!(socket, u32, OFFSET_SK_REMOTE4)))
    } else {
        (field!(socket, [u8; 16], OFFSET_SK_LOCAL6), field!(socket, [u8; 16], OFFSET_SK_REMOTE6))
    };
    let tie = TlsTie {
        kind: KIND_TLS_TIE,
        flags: if session.inside == 1 { FLAG_INSIDE } else { 0 },
        pad: [0; 2],
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        // SAFETY: no preconditions.
        at: unsafe { bpf_ktime_get_ns() },
        session: object,
        born: session.born,
        cookie: session.cookie,
        local_addr,
        remote_addr,
        local_port: session.ports[0],
        remote_port: session.ports[1],
        pad2: 0,
    };
    // SAFETY: the record holds a `TlsTie`.
    unsafe { record.cast::<TlsTie>().write(tie) };
    submit(record);
}

/// An IPv4 address, in network order, as an IPv6 address.
#[inline(always)]
fn mapped(ip4: u32) -> [u8; 16] {
    // SAFETY: four network-order words are sixteen bytes.
    unsafe { core::mem::transmute([0, 0, 0xffff_u32.to_be(), ip4]) }
}

/// A field of a kernel structure; zero when it cannot be read.
#[inline(always)]
pub fn read<T: Copy>(base: u64, offset: u32) -> T {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the helper checks the address; only integers are read, for which zero is a value.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            (base + offset as u64) as *const _,
        );
        value.assume_init()
    }
}
