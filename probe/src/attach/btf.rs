//! Field offsets of kernel structures from the kernel's own BTF: what other loaders do with CO-RE, which
//! Rust programs cannot.
//!
//! Reads only as much of the format as that needs (Documentation/bpf/btf.rst).

use apisec_abi::enforce::HandoverOffsets;
use apisec_engine::degradation::{Degradation, Severity};
use std::sync::OnceLock;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
/// Anonymous structures inside each other that are searched.
const MAX_DEPTH: usize = 4;

/// Byte offsets; 0 when unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `mm_struct.arg_start`
    pub mm_arg_start: u32,
    /// `mm_struct.arg_end`
    pub mm_arg_end: u32,
    /// Of `struct sock`; all 0 when one is unknown.
    pub sock: SockOffsets,
    /// From a task to the socket behind a descriptor; all 0 when one is unknown.
    pub descriptor: DescriptorOffsets,
}

/// Byte offsets on the way from a task to the socket behind one of its descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DescriptorOffsets {
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_table: u32,
    /// `fdtable.fd`
    pub table_fd: u32,
    /// `file.private_data`
    pub file_data: u32,
    /// `socket.file`
    pub socket_file: u32,
    /// `socket.sk`
    pub socket_sk: u32,
}

/// Byte offsets in `struct sock_common`, with which a `struct sock` begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SockOffsets {
    /// `skc_cookie`
    pub cookie: u32,
    /// `skc_family`
    pub family: u32,
    /// `skc_state`
    pub state: u32,
    /// `skc_num`
    pub local_port: u32,
    /// `skc_dport`
    pub remote_port: u32,
    /// `skc_rcv_saddr`
    pub local4: u32,
    /// `skc_daddr`
    pub remote4: u32,
    /// `skc_v6_rcv_saddr`
    pub local6: u32,
    /// `skc_v6_daddr`
    pub remote6: u32,
}

/// The offsets of the running kernel; read once.
pub fn offsets() -> Option<Offsets> {
    static OFFSETS: OnceLock<Option<Offsets>> = OnceLock::new();
    *OFFSETS.get_or_init(|| read(&std::fs::read(VMLINUX).ok()?))
}

/// Where the stream parser of sockmap keeps what the programs that read requests need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOffsets {
    /// Of length and place of the message it is at, in `struct sk_buff`.
    pub message: u32,
    /// `sk_buff.sk`
    pub socket: u32,
    /// `tcp_sock.write_seq`
    pub written: u32,
    /// Of what says whether bytes of a socket are on their way.
    pub handover: HandoverOffsets,
}

/// The same of the running kernel, read once; `None` where it is not known (before 5.16).
pub fn stream_offsets() -> Option<StreamOffsets> {
    static OFFSETS: OnceLock<Option<StreamOffsets>> = OnceLock::new();
    *OFFSETS.get_or_init(|| {
        let btf = std::fs::read(VMLINUX).ok()?;
        let types = Types::parse(&btf)?;
        Some(StreamOffsets {
            message: types.offset("sk_buff", "cb")?.checked_add(types.offset("sk_skb_cb", "strp")?)?,
            socket: types.offset("sk_buff", "sk")?,
            written: types.offset("tcp_sock", "write_seq").unwrap_or_default(),
            handover: handover(&types)?,
        })
    })
}

fn handover(types: &Types<'_>) -> Option<HandoverOffsets> {
    Some(HandoverOffsets {
        state: types.offset("sock_common", "skc_state")?,
        unread: types.offset("sock", "sk_receive_queue")?,
        user_data: types.offset("sock", "sk_user_data")?,
        received: types.offset("tcp_sock", "rcv_nxt")?,
        copied: types.offset("tcp_sock", "copied_seq")?,
        head: types.offset("sk_psock", "strp")?.checked_add(types.offset("strparser", "skb_head")?)?,
        answers: types.offset("sk_psock", "ingress_skb")?,
        readable: types.offset("sk_psock", "ingress_msg")?,
        sent_at: types.offset("tcp_sock", "lsndtime")?,
        heard_at: types.nested("inet_connection_sock", "icsk_ack", "lrcvtime")?,
        heard: types.offset("tcp_sock", "bytes_received")?,
        room: types.offset("sock", "sk_rcvbuf")?,
        miscounts: u32::from(types.offset("sk_psock", "copied_seq").is_some()),
        parsed: types.offset("sk_psock", "copied_seq").unwrap_or_default(),
        backlog: types.nested("sock", "sk_backlog", "head")?,
        pad: 0,
    })
}

/// What is missing when the kernel has no BTF.
pub fn degradation() -> Option<Degradation> {
    offsets().is_none().then(|| Degradation {
        code: "no-btf".into(),
        severity: Severity::Notice,
        what: "the kernel has no readable BTF (/sys/kernel/btf/vmlinux): a client that ends within \
               milliseconds is named by its program name, without its command line"
            .into(),
        remedy: "use a kernel with CONFIG_DEBUG_INFO_BTF=y".into(),
    })
}

fn read(btf: &[u8]) -> Option<Offsets> {
    let types = Types::parse(btf)?;
    Some(Offsets {
        task_mm: types.offset("task_struct", "mm")?,
        mm_arg_start: types.offset("mm_struct", "arg_start")?,
        mm_arg_end: types.offset("mm_struct", "arg_end")?,
        sock: sock(&types).unwrap_or_default(),
        descriptor: descriptor(&types).unwrap_or_default(),
    })
}

fn descriptor(types: &Types<'_>) -> Option<DescriptorOffsets> {
    Some(DescriptorOffsets {
        task_files: types.offset("task_struct", "files")?,
        files_table: types.offset("files_struct", "fdt")?,
        table_fd: types.offset("fdtable", "fd")?,
        file_data: types.offset("file", "private_data")?,
        socket_file: types.offset("socket", "file")?,
        socket_sk: types.offset("socket", "sk")?,
    })
}

fn sock(types: &Types<'_>) -> Option<SockOffsets> {
    let at = |member| types.offset("sock_common", member);
    Some(SockOffsets {
        cookie: at("skc_cookie")?,
        family: at("skc_family")?,
        state: at("skc_state")?,
        local_port: at("skc_num")?,
        remote_port: at("skc_dport")?,
        local4: at("skc_rcv_saddr")?,
        remote4: at("skc_daddr")?,
        local6: at("skc_v6_rcv_saddr").unwrap_or_default(),
        remote6: at("skc_v6_daddr").unwrap_or_default(),
    })
}

struct Types<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Position of every type, by id - 1.
    positions: Vec<u32>,
}

impl<'a> Types<'a> {
    fn parse(btf: &'a [u8]) -> Option<Self> {
        if u16::from_le_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let word = |at: usize| word(btf, at);
        let header = word(4)? as usize;
        let section = |offset: u32, len: u32| {
            let start = header.checked_add(offset as usize)?;
            btf.get(start..start.checked_add(len as usize)?)
        };
        let types = section(word(8)?, word(12)?)?;
        let strings = section(word(16)?, word(20)?)?;
        let mut positions = Vec::new();
        let mut at = 0;
        while at < types.len() {
            positions.push(at as u32);
            let info = self::word(types, at + 4)?;
            at = at.checked_add(12 + trailer(info)?)?;
        }
        Some(Self { types, strings, positions })
    }

    fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        self.member(self.place(structure)?, member, MAX_DEPTH)
    }

    /// Byte offset of a member of a member whose structure has no name.
    fn nested(&self, structure: &str, member: &str, inner: &str) -> Option<u32> {
        let at = self.place(structure)?;
        let info = word(self.types, at + 4)?;
        let entries = (0..(info & 0xffff) as usize).map(|index| at + 12 + index * 12);
        let named = |entry: &usize| word(self.types, *entry).is_some_and(|name| self.name_is(name, member));
        let kind = word(self.types, entries.into_iter().find(named)? + 4)?;
        let inner = self.member(self.structure(kind)?, inner, MAX_DEPTH)?;
        self.member(at, member, MAX_DEPTH)?.checked_add(inner)
    }

    fn place(&self, structure: &str) -> Option<usize> {
        let named = |at: &&u32| {
            let at = **at as usize;
            word(self.types, at + 4).is_some_and(|info| kind(info) == KIND_STRUCT)
                && word(self.types, at).is_some_and(|name| self.name_is(name, structure))
        };
        self.positions.iter().find(named).map(|at| *at as usize)
    }

    /// Byte offset of `member` in the structure at `at`, also inside its anonymous members.
    fn member(&self, at: usize, member: &str, depth: usize) -> Option<u32> {
        let info = word(self.types, at + 4)?;
        for index in 0..(info & 0xffff) as usize {
            let entry = at + 12 + index * 12;
            let (name, type_id, raw) =
                (word(self.types, entry)?, word(self.types, entry + 4)?, word(self.types, entry + 8)?);
            let offset = if info >> 31 == 1 { raw & 0x00ff_ffff } else { raw } / 8;
            if self.name_is(name, member) {
                return Some(offset);
            }
            if name == 0
                && depth > 0
                && let Some(inner) = self.structure(type_id)
                && let Some(found) = self.member(inner, member, depth - 1)
            {
                return offset.checked_add(found);
            }
        }
        None
    }

    fn structure(&self, id: u32) -> Option<usize> {
        let at = *self.positions.get((id as usize).checked_sub(1)?)? as usize;
        let kind = kind(word(self.types, at + 4)?);
        (kind == KIND_STRUCT || kind == KIND_UNION).then_some(at)
    }

    fn name_is(&self, offset: u32, name: &str) -> bool {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes()).is_some_and(|after| after.first() == Some(&0))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

const fn kind(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

/// Bytes after the common part of a type; `None` for a kind that this reader does not know.
const fn trailer(info: u32) -> Option<usize> {
    let members = (info & 0xffff) as usize;
    Some(match kind(info) {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * members,
        6 | 13 => 8 * members,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_running_kernel_gives_offsets_when_it_has_btf() {
        let Ok(btf) = std::fs::read(VMLINUX) else { return };
        let offsets = read(&btf).expect("offsets");
        assert!(offsets.task_mm > 0);
        assert_eq!(offsets.mm_arg_end, offsets.mm_arg_start + 8);
        let sock = offsets.sock;
        assert_eq!((sock.remote4, sock.local4), (0, 4));
        assert_eq!((sock.remote_port, sock.local_port, sock.family), (12, 14, 16));
        assert!(sock.cookie > sock.family);
        assert!(stream_offsets().is_none_or(|offsets| (8..0x200).contains(&offsets.message)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some(start) = bytes.get_mut(..2) { start.copy_from_slice(&MAGIC.to_le_bytes()); }
            if let Some(header) = bytes.get_mut(4..8) { header.copy_from_slice(&24u32.to_le_bytes()); }
            let _ = read(&bytes);
        }
    }
}
