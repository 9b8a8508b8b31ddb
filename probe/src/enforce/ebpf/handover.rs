//! Open sockets come under rules and are given back by a program of the kernel, which looks at each with its socket locked
//! and does it when none of its bytes is on its way. Here is said which, and the kernel is let look.

use super::table::{Plain, Wishes, broken, not_written};
use crate::clock;
use crate::enforce::EnforceError;
use crate::identity::namespace::{Traveller, doors};
use crate::identity::process;
use apisec_abi::enforce::Wish;
use aya::maps::Map;
use aya::programs::ProgramFd;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);
/// The same in the beginning, so many times: a busy connection has such moments often, and they are short.
const SHORT_PAUSE: Duration = Duration::from_micros(50);
const EAGER: usize = 500;
/// Looks at our own namespace for one at all of them.
const FAR: usize = 100;
const LINK_CREATE: libc::c_long = 28;
const ITER_CREATE: libc::c_long = 33;
/// `BPF_TRACE_ITER`
const TRACE_ITER: u32 = 28;

/// The program that does it.
pub(super) enum Looker {
    /// Where its link is pinned.
    Pinned(PathBuf),
    /// The program itself, once it is loaded.
    Own(Option<ProgramFd>),
}

/// See the module.
pub(super) struct Handover {
    wishes: Wishes,
    pub(super) looker: Looker,
}

impl Handover {
    pub(super) fn of(wishes: Map, looker: Looker) -> Result<Self, EnforceError> {
        Ok(Self { wishes: wishes.try_into().map_err(|error| broken(&error))?, looker })
    }

    /// Wishes something for a socket; `anyhow`, also in the middle of a request.
    pub(super) fn wish(&mut self, cookie: u64, kind: u32, anyhow: bool) -> Result<(), EnforceError> {
        let wish = Plain(Wish { kind, anyhow: u32::from(anyhow), ..Wish::default() });
        self.wishes.insert(cookie, wish, 0).map_err(|error| not_written(&error))
    }

    pub(super) fn forget(&mut self, cookie: u64) {
        // It has come true.
        let _gone = self.wishes.remove(&cookie);
    }

    /// Wishes that have not come true.
    pub(super) fn left(&self) -> Vec<(u64, Wish)> {
        self.wishes.iter().filter_map(Result::ok).map(|(cookie, wish)| (cookie, wish.0)).collect()
    }

    /// Lets the kernel look until all wishes have come true, or the time is over.
    pub(super) fn run(&self, time: Duration) -> Vec<(u64, Wish)> {
        let until = clock::boottime().saturating_add(time.as_nanos() as u64);
        if !self.is_done() {
            // A thread of its own: one that is lost in another namespace must not come back.
            std::thread::scope(|scope| scope.spawn(|| self.rounds(until)).join().unwrap_or_default());
        }
        self.left()
    }

    /// Lets the kernel look once at all sockets, for connections that are stuck.
    pub(super) fn watch(&self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut traveller = Traveller::here();
                // What cannot be looked at now is at the next time.
                let _later = self.look();
                self.far(&mut traveller);
            });
        });
    }

    /// Looks once into all other namespaces.
    fn far(&self, traveller: &mut Traveller) {
        let own = traveller.own();
        for (inode, door) in doors(&process::all_pids(), true) {
            if inode == own || traveller.stranded() {
                continue;
            }
            // A namespace that is gone has no sockets.
            let _gone = traveller.inside(inode, &door, || self.look());
        }
    }

    fn is_done(&self) -> bool {
        self.wishes.keys().next().is_none()
    }

    fn rounds(&self, until: u64) {
        let mut traveller = Traveller::here();
        for round in 0.. {
            if self.look().is_err() || self.is_done() {
                return;
            }
            if round % FAR == 0 {
                self.far(&mut traveller);
            }
            if self.is_done() || traveller.stranded() || clock::boottime() >= until {
                return;
            }
            super::ruled::pause(if round < EAGER { SHORT_PAUSE } else { PAUSE });
        }
    }

    /// Lets the kernel look once at the sockets of this thread's namespace.
    fn look(&self) -> io::Result<()> {
        let mut looking = match &self.looker {
            Looker::Pinned(path) => File::open(path)?,
            Looker::Own(Some(program)) => iterator(program)?,
            Looker::Own(None) => return Err(io::ErrorKind::NotFound.into()),
        };
        let mut nothing = [0; 64];
        loop {
            match looking.read(&mut nothing) {
                Ok(0) => return Ok(()),
                // After a million sockets it wants to be asked again.
                Err(error) if error.raw_os_error() != Some(libc::EAGAIN) => return Err(error),
                _ => {}
            }
        }
    }
}

fn iterator(program: &ProgramFd) -> io::Result<File> {
    let link = bpf(LINK_CREATE, [program.as_fd().as_raw_fd() as u32, 0, TRACE_ITER, 0])?;
    Ok(bpf(ITER_CREATE, [link.as_raw_fd() as u32, 0, 0, 0])?.into())
}

/// A command of bpf(2) that makes a descriptor.
/// Waits until no processor runs a kernel program any more that began before.
#[expect(unsafe_code, reason = "membarrier has no safe wrapper")]
pub(super) fn settle() {
    const GLOBAL: i32 = 1;
    // SAFETY: numbers only. Where the kernel does not do it, nothing is worse than without.
    unsafe {
        libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0);
    }
}

#[expect(unsafe_code, reason = "bpf(2) has no safe wrapper; the library's uses up the link")]
fn bpf(command: libc::c_long, argument: [u32; 4]) -> io::Result<OwnedFd> {
    // SAFETY: the argument is as long as we say and holds no addresses; the kernel gives a new descriptor.
    unsafe {
        let made = libc::syscall(libc::SYS_bpf, command, argument.as_ptr(), size_of_val(&argument));
        if made < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(made as i32)) }
    }
}
