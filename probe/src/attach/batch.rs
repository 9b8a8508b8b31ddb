//! Probes by the batch: one link holds all places of one kind in a file (`uprobe_multi`, Linux 6.6).
//!
//! Taking probes out one by one makes the kernel wait for each; of links it lets many go at once. The library that loads the other programs cannot say that a program is meant
//! for such a link: its programs are linked once more here, to the same maps.

use super::tls::Probe;
use aya::Ebpf;
use aya::maps::Map;
use aya_obj::Object;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
/// `BPF_PROG_TYPE_KPROBE`.
const KPROBE: u32 = 2;
/// `BPF_TRACE_UPROBE_MULTI`.
const UPROBE_MULTI: u32 = 48;
/// `BPF_F_UPROBE_MULTI_RETURN`.
const AT_RETURN: u32 = 1;

/// The beginning of `union bpf_attr` for a program.
#[repr(C)]
#[derive(Default)]
struct LoadArgument {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
    device: u32,
    meant_for: u32,
}

/// The beginning of `union bpf_attr` for a link of this kind.
#[repr(C)]
#[derive(Default)]
struct LinkArgument {
    program: u32,
    target: u32,
    kind: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    counters: u64,
    cookies: u64,
    count: u32,
    when: u32,
    pid: u32,
    rest: u32,
}

/// The programs of probes, loaded for links of this kind.
pub(super) struct Batches(BTreeMap<Probe, OwnedFd>);

impl Batches {
    /// Loads the programs of `object`, whose maps are those of `ebpf`.
    ///
    /// # Errors
    /// The kernel is older, or refuses a program.
    pub(super) fn load(ebpf: &Ebpf, object: &[u8]) -> io::Result<Self> {
        let object = linked(ebpf, object).ok_or(io::ErrorKind::InvalidData)?;
        let load = |(probe, name): &(Probe, &str)| Ok((*probe, program(&object, name)?));
        super::tls::PROGRAMS.iter().map(load).collect::<io::Result<_>>().map(Self)
    }

    /// Puts a probe at these offsets of a file. The link is its last owner.
    ///
    /// # Errors
    /// The kernel refuses one of the places.
    pub(super) fn put(&self, probe: Probe, file: &File, offsets: &[u64]) -> io::Result<OwnedFd> {
        let program = self.0.get(&probe).ok_or(io::ErrorKind::NotFound)?;
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let argument = LinkArgument {
            program: program.as_raw_fd() as u32,
            kind: UPROBE_MULTI,
            path: path.as_ptr() as u64,
            offsets: offsets.as_ptr() as u64,
            count: offsets.len() as u32,
            when: if probe.is_at_return() { AT_RETURN } else { 0 },
            ..LinkArgument::default()
        };
        bpf(LINK_CREATE, &argument)
    }
}

/// The object with its programs linked to each other and to the maps that exist.
fn linked(ebpf: &Ebpf, object: &[u8]) -> Option<Object> {
    let mut object = Object::parse(object).ok()?;
    let maps = object.maps.clone();
    let known = maps.iter().map(|(name, map)| Some((name.as_str(), descriptor(ebpf.map(name)?)?, map)));
    let known: Vec<_> = known.collect::<Option<_>>()?;
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(known.into_iter(), &sections).ok()?;
    object.relocate_calls(&sections).ok()?;
    Some(object)
}

fn descriptor(map: &Map) -> Option<RawFd> {
    let (Map::Array(map)
    | Map::HashMap(map)
    | Map::LruHashMap(map)
    | Map::PerCpuArray(map)
    | Map::PerCpuHashMap(map)
    | Map::PerCpuLruHashMap(map)
    | Map::RingBuf(map)
    | Map::SkStorage(map)
    | Map::Unsupported(map)) = map
    else {
        return None;
    };
    Some(map.fd().as_fd().as_raw_fd())
}

fn program(object: &Object, name: &str) -> io::Result<OwnedFd> {
    let program = object.programs.get(name).ok_or(io::ErrorKind::NotFound)?;
    let function = object.functions.get(&program.function_key()).ok_or(io::ErrorKind::NotFound)?;
    let mut argument = LoadArgument {
        kind: KPROBE,
        count: function.instructions.len() as u32,
        instructions: function.instructions.as_ptr() as u64,
        license: program.license.as_ptr() as u64,
        meant_for: UPROBE_MULTI,
        ..LoadArgument::default()
    };
    // The last byte stays zero.
    argument.name.iter_mut().take(15).zip(name.bytes()).for_each(|(to, from)| *to = from);
    bpf(PROG_LOAD, &argument)
}

/// A command that makes a descriptor.
#[expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]
fn bpf<T>(command: libc::c_long, argument: &T) -> io::Result<OwnedFd> {
    // SAFETY: the argument is as long as we say, and what its addresses lead to outlives the call.
    let made = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(argument), size_of::<T>()) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(made as RawFd) })
}
