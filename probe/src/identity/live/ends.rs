//! What is known of the two ends of one connection.

use apisec_abi::Open;
use apisec_proto::segment::Side;

/// See the module. Zero means unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// When it was recognised, which is after the connect; Unix nanoseconds.
    pub(super) at: u64,
    /// Process that called `connect`.
    pub(super) client_pid: u32,
    /// Its user.
    pub(super) client_uid: u32,
    /// Its cgroup v2 id.
    pub(super) client_cgroup: u64,
    /// Cookie of its socket.
    pub(super) client_cookie: u64,
    /// Cookie of its network namespace.
    pub(super) client_netns_cookie: u64,
    /// Name of the thread that called `connect`, NUL padded.
    pub(super) client_comm: [u8; 16],
    /// Cgroup v2 id of the probed socket.
    pub(super) cgroup: u64,
    /// Cookie of the network namespace of the probed socket.
    pub(super) netns_cookie: u64,
    /// Inode of that namespace, when it was searched for.
    pub(super) netns: u64,
    /// The kernel has said what it knows.
    pub(super) known: bool,
    /// Found by searching for the socket.
    pub(super) server: Option<u32>,
    /// Found by searching for the socket.
    pub(super) client: Option<u32>,
    /// The server's socket was searched for and had no holder.
    pub(super) server_lost: bool,
    /// The client's socket was searched for and had no holder.
    pub(super) client_lost: bool,
    /// The loss has been counted: once per connection.
    pub(super) counted: bool,
    /// How often the names were asked for before the kernel's record came.
    pub(super) early: u8,
    server_asked: Option<u64>,
    client_asked: Option<u64>,
}

impl Ends {
    /// What the kernel says.
    pub(super) fn of(open: &Open) -> Self {
        Self {
            at: open.at,
            client_pid: open.client_tgid,
            client_uid: open.client_uid,
            client_cgroup: open.client_cgroup,
            client_cookie: open.client_cookie,
            client_netns_cookie: open.client_netns_cookie,
            client_comm: open.client_comm,
            cgroup: open.cgroup,
            netns_cookie: open.netns_cookie,
            known: true,
            ..Self::default()
        }
    }

    /// The tick at which this end's socket was asked for.
    pub(super) fn asked(&self, side: Side) -> Option<u64> {
        match side {
            Side::Client => self.client_asked,
            Side::Server => self.server_asked,
        }
    }

    /// This end's socket was asked for.
    pub(super) fn ask(&mut self, side: Side, tick: u64) {
        match side {
            Side::Client => self.client_asked = Some(tick),
            Side::Server => self.server_asked = Some(tick),
        }
    }
}
