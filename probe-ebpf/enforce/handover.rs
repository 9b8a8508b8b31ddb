//! Sockets that are open come under the rules of a service, and are given back, at a moment when none of their bytes is on
//! its way: user space runs this iterator over the sockets of a network namespace, with each of them locked.
//!
//! Unlocked that cannot be done without losing bytes: the kernel throws away what waits inside a socket map's entry, and
//! a reader that took bytes behind its back makes it skip as many of the next ones.

use crate::request::CLOSE;
use crate::rule::now;
use crate::service::{SOCKETS, STREAMS};
use apisec_abi::enforce::{
    BUSY_ANSWER, BUSY_ASKED, BUSY_BACKLOG, BUSY_COUNT, BUSY_HEAD, BUSY_READER, BUSY_STATE, BUSY_UNREAD,
    Close, HANDOVER_PROVE, HANDOVER_TAKE, HandoverOffsets, Wish,
};
use aya_ebpf::{
    bindings::BPF_NOEXIST,
    btf_maps::HashMap,
    cty::c_void,
    helpers::generated::{
        bpf_get_socket_cookie, bpf_jiffies64, bpf_map_delete_elem, bpf_map_update_elem, bpf_probe_read_kernel,
    },
    macros::btf_map,
};

const ESTABLISHED: u8 = 1;
/// Nanoseconds to moments of about a millisecond.
const MOMENT: u32 = 20;
/// So many moments.
const STUCK: u32 = 500;
/// In jiffies: 25 to 250 ms.
const A_WHILE: u32 = 25;
/// Bits of `sk_user_data` that are no part of the address.
const USER_DATA_FLAGS: u64 = 7;

/// Where in the kernel's structures things are. Set before loading.
#[unsafe(no_mangle)]
static HANDOVER_OFFSETS: HandoverOffsets = HandoverOffsets {
    state: 0,
    unread: 0,
    user_data: 0,
    received: 0,
    copied: 0,
    head: 0,
    answers: 0,
    readable: 0,
    sent_at: 0,
    heard_at: 0,
    heard: 0,
    room: 0,
    miscounts: 0,
    parsed: 0,
    backlog: 0,
    pad: 0,
};

#[inline(always)]
pub fn offsets() -> HandoverOffsets {
    // SAFETY: a constant that is set before loading.
    unsafe { core::ptr::read_volatile(&raw const HANDOVER_OFFSETS) }
}

/// What user space wishes, by the socket's cookie; a wish that came true is gone.
#[btf_map]
static WISHES: HashMap<u64, Wish, 65_536, 1> = HashMap::new();

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub extern "C" fn apisec_handover(context: *mut u64) -> i32 {
    // SAFETY: `struct bpf_iter__tcp`: what is behind the first word is the socket, or null at the end.
    let socket = unsafe { core::ptr::read_volatile(context.add(1)) } as *mut c_void;
    if socket.is_null() {
        return 0;
    }
    // SAFETY: the kernel's socket.
    let cookie = unsafe { bpf_get_socket_cookie(socket) };
    let Some(wish) = WISHES.get_ptr_mut(&cookie) else {
        watch(socket as u64, cookie);
        return 0;
    };
    // SAFETY: the entry stays valid while the program runs.
    let wish = unsafe { &mut *wish };
    let take = wish.kind == HANDOVER_TAKE;
    if wish.kind == HANDOVER_PROVE {
        if !is_behind(socket as u64) {
            let _ = WISHES.remove(&cookie);
        } else if remove(cookie) == 0 {
            // Nothing is lost yet: once more.
            wish.kind = HANDOVER_TAKE;
        }
        return 0;
    }
    wish.busy = busy(socket as u64, take, wish.anyhow != 0);
    if wish.busy != 0 {
        return 0;
    }
    if !take {
        wish.failed = remove(cookie);
        if wish.failed == 0 {
            let _ = WISHES.remove(&cookie);
            let _ = STREAMS.remove(&cookie);
        }
        return 0;
    }
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the map's keys are cookies, its values sockets.
    let outcome = unsafe { bpf_map_update_elem(map, (&raw const cookie).cast(), socket, BPF_NOEXIST as u64) };
    wish.failed = outcome as i32;
    if outcome != 0 {
        return 0;
    }
    if has_backlog(socket as u64) && remove(cookie) == 0 {
        wish.busy = BUSY_BACKLOG;
        return 0;
    }
    wish.kind = HANDOVER_PROVE;
    0
}

#[inline(always)]
fn remove(cookie: u64) -> i32 {
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the map's keys are cookies.
    unsafe { bpf_map_delete_elem(map, (&raw const cookie).cast()) as i32 }
}

/// Whether something has arrived while we hold the lock.
#[inline(always)]
fn has_backlog(socket: u64) -> bool {
    read(socket + offsets().backlog as u64, 0_u64) != 0
}

/// Whether the reader is further than the parser: it was already reading when the socket was taken, and got bytes that arrived
/// in that moment. The parser would throw away the next ones.
#[inline(always)]
fn is_behind(socket: u64) -> bool {
    let at = offsets();
    let psock = read(socket + at.user_data as u64, 0_u64) & !USER_DATA_FLAGS;
    if at.miscounts == 0 || psock == 0 {
        return false;
    }
    let parsed: u32 = read(psock + at.parsed as u64, 0);
    let copied: u32 = read(socket + at.copied as u64, 0);
    (parsed.wrapping_sub(copied) as i32) < 0
}

/// Has a connection closed that the kernel's miscount keeps from being read for half a second: what it asked for would never
/// be answered.
#[inline(always)]
fn watch(socket: u64, cookie: u64) {
    let Some(stream) = STREAMS.get_ptr_mut(&cookie) else { return };
    // SAFETY: the entry stays valid while the program runs; the socket's lock keeps others away.
    let stream = unsafe { &mut *stream };
    let at = offsets();
    let unread = socket + at.unread as u64;
    let received: u32 = read(socket + at.received as u64, 0);
    let copied: u32 = read(socket + at.copied as u64, 0);
    if read(unread, unread) == unread || received.wrapping_sub(copied) as i32 > 0 {
        stream.stuck = 0;
        return;
    }
    let now = now();
    let moment = (now >> MOMENT) as u32;
    if stream.stuck != received {
        (stream.stuck, stream.stuck_at) = (received, moment);
    } else if moment.wrapping_sub(stream.stuck_at) >= STUCK {
        let close = Close { cookie, at: now, policy: 0, answered: 0 };
        // One that does not fit is found again.
        let _ = CLOSE.output(close, 0);
    }
}

/// Why the socket cannot be handed over now: `BUSY_*`; 0 when it can.
#[inline(always)]
fn busy(socket: u64, take: bool, anyhow: bool) -> u32 {
    let at = offsets();
    let mut busy = 0;
    let state: u8 = read(socket + at.state as u64, 0);
    if take && state != ESTABLISHED {
        busy |= BUSY_STATE;
    }
    // Lists are empty when their first element is the list itself.
    let unread = socket + at.unread as u64;
    if read(unread, 0_u64) != unread {
        busy |= BUSY_UNREAD;
    }
    let received: u32 = read(socket + at.received as u64, 0);
    let copied: u32 = read(socket + at.copied as u64, 1);
    if received != copied {
        busy |= BUSY_COUNT;
    }
    if take {
        if has_backlog(socket) {
            busy |= BUSY_BACKLOG;
        }
        return if anyhow || is_between(socket, &at) { busy } else { busy | BUSY_ASKED };
    }
    let psock = read(socket + at.user_data as u64, 0_u64) & !USER_DATA_FLAGS;
    if psock == 0 {
        return busy;
    }
    if read(psock + at.head as u64, 0_u64) != 0 {
        busy |= BUSY_HEAD;
    }
    let (answers, readable) = (psock + at.answers as u64, psock + at.readable as u64);
    if read(answers, 0_u64) != answers {
        busy |= BUSY_ANSWER;
    }
    if read(readable, 0_u64) != readable {
        busy |= BUSY_READER;
    }
    busy
}

/// Whether no request is under way, as far as a kernel can tell: the server has spoken after its client, or the client was
/// never heard, or not for a while. From the middle of a body on the kernel miscounts, see `request`.
#[inline(always)]
fn is_between(socket: u64, at: &HandoverOffsets) -> bool {
    let sent: u32 = read(socket + at.sent_at as u64, 0);
    let heard: u32 = read(socket + at.heard_at as u64, 0);
    // SAFETY: no preconditions.
    let now = unsafe { bpf_jiffies64() } as u32;
    let spoken = sent.wrapping_sub(heard) as i32 > 0;
    spoken || now.wrapping_sub(heard) >= A_WHILE || read(socket + at.heard as u64, 1_u64) == 0
}

#[inline(always)]
pub fn read<T: Copy>(address: u64, unread: T) -> T {
    let mut value = unread;
    // SAFETY: the helper checks the address, and writes as many bytes as there are.
    unsafe {
        let _ =
            bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, address as *const c_void);
    }
    value
}
