//! What a process holds in the kernel: its BPF programs, links and maps, and whether they still exist.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result};

use crate::bpf::{self, Argument};

/// BPF objects by kind and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Links, each of which attaches a program.
    pub links: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// The programs that the links attach.
    pub linked: BTreeSet<u32>,
}

impl Held {
    /// What the process has open now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn by(pid: u32) -> Result<Self> {
        let mut held = Self::default();
        let folder = format!("/proc/{pid}/fdinfo");
        for entry in fs::read_dir(&folder).with_context(|| folder.clone())? {
            // A descriptor may be closed while we read.
            held.add(&fs::read_to_string(entry?.path()).unwrap_or_default());
        }
        Ok(held)
    }

    fn add(&mut self, info: &str) {
        let id = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse().ok())
        };
        if let (Some(_), Some(program)) = (id("link_id"), id("prog_id")) {
            self.linked.insert(program);
        }
        match (id("link_id"), id("map_id"), id("prog_id")) {
            (Some(link), _, _) => self.links.insert(link),
            (_, Some(map), _) => self.maps.insert(map),
            (_, _, Some(program)) => self.programs.insert(program),
            _ => false,
        };
    }

    /// The part of it that the kernel still has.
    ///
    /// # Errors
    /// Without the right to look.
    pub fn left(&self) -> Result<Self> {
        Ok(Self {
            programs: existing(bpf::PROG_BY_ID, &self.programs)?,
            links: existing(bpf::LINK_BY_ID, &self.links)?,
            maps: existing(bpf::MAP_BY_ID, &self.maps)?,
            linked: existing(bpf::PROG_BY_ID, &self.linked)?,
        })
    }

    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.links.is_empty() && self.maps.is_empty() && self.linked.is_empty()
    }
}

fn existing(command: u32, ids: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for id in ids {
        match bpf::open(command, &Argument::of(&[*id])) {
            Ok(_object) => {
                found.insert(*id);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("look for a BPF object by its id"),
        }
    }
    Ok(found)
}
