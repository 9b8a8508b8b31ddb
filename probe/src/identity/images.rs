//! Programs that were started, kept for a while after they ended: a client may be gone before we look.

use super::survey::Map;
use apisec_abi::{EXEC_ARGS, Exec};
use std::collections::VecDeque;

/// Programs that are remembered: 60 s of 270 starts a second, about 6 MiB at worst.
const MAX_IMAGES: usize = 16_384;
/// A program that ended is remembered this long, Unix nanoseconds.
const REMEMBERED: u64 = 60_000_000_000;

/// A program image.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// Its start, Unix nanoseconds.
    pub(super) at: u64,
    /// cgroup v2 id, 0 when unknown.
    pub(super) cgroup: u64,
    /// User id.
    pub(super) uid: u32,
    /// Inode of its network namespace, 0 when it had ended before we looked.
    pub(super) netns: u64,
    /// Name of its main thread at the start, NUL padded.
    pub(super) comm: [u8; 16],
    /// The first bytes of its arguments.
    pub(super) args: Box<[u8]>,
    ended: Option<u64>,
    /// What had the same pid before: pids come round, and programs replace each other.
    before: Option<Box<Image>>,
}

impl Image {
    /// The arguments were longer than what was recorded.
    pub(super) fn args_cut(&self) -> bool {
        self.args.len() >= EXEC_ARGS && self.args.last() != Some(&0)
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Images {
    by_pid: Map<u32, Image>,
    order: VecDeque<(u32, u64)>,
    now: u64,
    forgotten: u64,
}

impl Images {
    /// A program was started.
    pub(super) fn start(&mut self, exec: &Exec, netns: u64) {
        let args = exec.args.get(..(exec.args_len as usize).min(EXEC_ARGS)).unwrap_or_default();
        let image = Image {
            at: exec.at,
            cgroup: exec.cgroup,
            uid: exec.uid,
            netns,
            comm: exec.comm,
            args: args.into(),
            ended: None,
            before: None,
        };
        let before = self.by_pid.remove(&exec.tgid).map(|before| Box::new(Image { before: None, ..before }));
        self.by_pid.insert(exec.tgid, Image { before, ..image });
        self.order.push_back((exec.tgid, exec.at));
        if self.order.len() > MAX_IMAGES {
            self.make_room();
        }
    }

    /// The process ended.
    pub(super) fn end(&mut self, pid: u32) {
        if let Some(image) = self.by_pid.get_mut(&pid) {
            image.ended.get_or_insert(self.now);
        }
    }

    /// The program that `pid` ran at `at` (Unix nanoseconds; 0 when unknown).
    pub(super) fn get(&self, pid: u32, at: u64) -> Option<&Image> {
        let newest = self.by_pid.get(&pid)?;
        let fits = |image: &&Image| at == 0 || image.at <= at;
        Some(newest).filter(fits).or_else(|| newest.before.as_deref().filter(fits))
    }

    /// Whether another program was started with this pid after `at`: what `/proc` shows is not the one of then.
    pub(super) fn replaced_since(&self, pid: u32, at: u64) -> bool {
        at != 0 && self.by_pid.get(&pid).is_some_and(|image| image.at > at)
    }

    /// Forgets what ended long ago. `now` in Unix nanoseconds.
    pub(super) fn tick(&mut self, now: u64) {
        self.now = now;
        self.forget(|image| image.ended.is_some_and(|ended| now.saturating_sub(ended) > REMEMBERED));
    }

    /// Programs that were forgotten too early for want of room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Drops a quarter at once, so that the cost per start stays small.
    fn make_room(&mut self) {
        let excess: Vec<_> = self.order.drain(..MAX_IMAGES / 4).collect();
        for (pid, at) in excess {
            if self.by_pid.get(&pid).is_some_and(|image| image.at == at) {
                self.by_pid.remove(&pid);
                self.forgotten = self.forgotten.saturating_add(1);
            }
        }
    }

    fn forget(&mut self, over: impl Fn(&Image) -> bool) {
        let by_pid = &mut self.by_pid;
        self.order.retain(|(pid, at)| {
            let Some(image) = by_pid.get(pid).filter(|image| image.at == *at) else { return false };
            let over = over(image);
            if over {
                by_pid.remove(pid);
            }
            !over
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_abi::KIND_EXEC;

    fn exec(tgid: u32, at: u64, args: &[u8]) -> Exec {
        let mut bytes = [0; EXEC_ARGS];
        bytes[..args.len()].copy_from_slice(args);
        Exec {
            kind: KIND_EXEC,
            pad: [0; 3],
            tgid,
            at,
            cgroup: 0,
            uid: 0,
            args_len: args.len() as u32,
            comm: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
            args: bytes,
        }
    }

    #[test]
    fn a_program_is_remembered_a_minute_after_its_end() {
        let mut images = Images::default();
        images.tick(1_000);
        images.start(&exec(7, 5, b"curl\0x\0"), 0);
        images.end(7);
        images.tick(1_000 + REMEMBERED);
        assert_eq!(&*images.get(7, 6).unwrap().args, b"curl\0x\0");
        images.tick(1_001 + REMEMBERED);
        assert!(images.get(7, 6).is_none());
    }

    #[test]
    fn a_program_did_nothing_before_it_started() {
        let mut images = Images::default();
        images.start(&exec(7, 50, b"new\0"), 0);
        assert!(images.get(7, 49).is_none());
        assert!(images.get(7, 50).is_some());
    }

    #[test]
    fn a_pid_that_came_round_has_two_programs() {
        let mut images = Images::default();
        images.start(&exec(7, 5, b"old\0"), 0);
        images.end(7);
        images.start(&exec(7, 50, b"new\0"), 0);
        assert_eq!(&*images.get(7, 6).unwrap().args, b"old\0");
        assert_eq!(&*images.get(7, 50).unwrap().args, b"new\0");
        assert!(images.get(7, 4).is_none());
        assert!(images.replaced_since(7, 6) && !images.replaced_since(7, 50));
    }

    #[test]
    fn a_running_program_is_not_forgotten() {
        let mut images = Images::default();
        images.start(&exec(7, 5, b"sleep\0"), 0);
        images.tick(u64::MAX);
        assert!(images.get(7, 5).is_some());
    }

    #[test]
    fn a_storm_of_starts_is_bounded_and_counted() {
        let mut images = Images::default();
        for n in 0..2 * MAX_IMAGES as u32 {
            images.start(&exec(n, u64::from(n), b"x\0"), 0);
        }
        assert!(images.by_pid.len() <= MAX_IMAGES && images.order.len() <= MAX_IMAGES);
        assert!(images.forgotten() > 0);
        assert!(images.get(2 * MAX_IMAGES as u32 - 1, u64::MAX).is_some());
    }

    #[test]
    fn arguments_that_fill_the_record_are_taken_for_cut() {
        let mut images = Images::default();
        images.start(&exec(7, 5, &[b'a'; EXEC_ARGS]), 0);
        assert!(images.get(7, 5).unwrap().args_cut());
        images.start(&Exec { args_len: u32::MAX, ..exec(8, 5, b"a\0") }, 0);
        assert_eq!(images.get(8, 5).unwrap().args.len(), EXEC_ARGS);
    }
}
