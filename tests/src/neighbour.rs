//! Somebody else's program on the same hook: counts the packets that leave the sockets of this node.

use std::fs::File;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use apisec_probe::attach::cgroup;

use crate::bpf::{self, Argument, word};

/// `BPF_PROG_TYPE_CGROUP_SKB`.
const CGROUP_SKB: u32 = 8;
/// `BPF_CGROUP_INET_EGRESS`.
const EGRESS: u32 = 1;
/// `BPF_F_ALLOW_MULTI`.
const ALLOW_MULTI: u32 = 2;
/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
const NAME: &[u8; 16] = b"somebody_elses\0\0";

/// How it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By a link, as newer tools do.
    Link,
    /// To the cgroup itself, beside others, as older tools and systemd do.
    Program,
}

/// The program, at work until it is dropped.
#[derive(Debug)]
pub struct Neighbour {
    counter: OwnedFd,
    program: OwnedFd,
    link: Option<OwnedFd>,
    cgroup: File,
}

impl Neighbour {
    /// Attaches it to the root of the cgroup2 hierarchy.
    ///
    /// # Errors
    /// Without root, or when the kernel refuses.
    pub fn attach(how: How) -> Result<Self> {
        let cgroup = File::open(cgroup::mount_point().context("no cgroup2")?)?;
        let counter = bpf::open(bpf::MAP_CREATE, &Argument::of(&[ARRAY, 4, 8, 1])).context("make a map")?;
        let program = load(&counter).context("load a program")?;
        let (program_fd, cgroup_fd) = (word(&program), word(&cgroup));
        let link = match how {
            How::Link => {
                let argument = Argument::of(&[program_fd, cgroup_fd, EGRESS]);
                Some(bpf::open(bpf::LINK_CREATE, &argument).context("attach by a link")?)
            }
            How::Program => {
                let argument = Argument::of(&[cgroup_fd, program_fd, EGRESS, ALLOW_MULTI]);
                bpf::command(bpf::PROG_ATTACH, &argument).context("attach to the cgroup")?;
                None
            }
        };
        Ok(Self { counter, program, link, cgroup })
    }

    /// Packets counted so far.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn packets(&self) -> Result<u64> {
        let (key, value) = (0u32, 0u64);
        let argument =
            Argument::of(&[word(&self.counter)]).point(2, &raw const key).point(4, &raw const value);
        bpf::command(bpf::MAP_LOOKUP, &argument)?;
        // The kernel has written to it.
        Ok(std::hint::black_box(value))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        if self.link.is_none() {
            let argument = Argument::of(&[word(&self.cgroup), word(&self.program), EGRESS]);
            let _gone = bpf::command(bpf::PROG_DETACH, &argument);
        }
    }
}

/// `counter[0] += 1; return 1` in the kernel's instructions: operation, registers, offset, constant.
fn load(counter: &OwnedFd) -> Result<OwnedFd> {
    let program = [
        instruction(0x62, 0x0a, -4, 0),                   // *(u32 *)(r10 - 4) = 0
        instruction(0xbf, 0xa2, 0, 0),                    // r2 = r10
        instruction(0x07, 0x02, 0, -4),                   // r2 -= 4
        instruction(0x18, 0x11, 0, word(counter) as i32), // r1 = counter
        instruction(0, 0, 0, 0),                          // (its upper half)
        instruction(0x85, 0, 0, 1),                       // r0 = bpf_map_lookup_elem(r1, r2)
        instruction(0x15, 0x00, 2, 0),                    // if r0 == 0 skip two
        instruction(0xb7, 0x01, 0, 1),                    // r1 = 1
        instruction(0xdb, 0x10, 0, 0),                    // lock *(u64 *)r0 += r1
        instruction(0xb7, 0x00, 0, 1),                    // r0 = 1
        instruction(0x95, 0, 0, 0),                       // return
    ];
    let licence = c"GPL";
    let mut words = [0u32; 18];
    (words[0], words[1], words[17]) = (CGROUP_SKB, program.len() as u32, EGRESS);
    for (to, name) in words[12..16].iter_mut().zip(NAME.chunks_exact(4)) {
        *to = u32::from_ne_bytes(name.try_into().unwrap_or_default());
    }
    let argument = Argument::of(&words).point(2, program.as_ptr()).point(4, licence.as_ptr());
    Ok(bpf::open(bpf::PROG_LOAD, &argument)?)
}

fn instruction(operation: u8, registers: u8, offset: i16, constant: i32) -> u64 {
    let (offset, constant) = (u64::from(offset as u16), u64::from(constant as u32));
    u64::from(operation) | u64::from(registers) << 8 | offset << 16 | constant << 32
}
