//! The inventory of the state folder: what earlier runs observed, and who keeps what this one does.

use crate::exit::Failure;
use crate::settings::Settings;
use apisec_engine::baseline::{Norm, NormKey};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::knowledge::Remembered;
use apisec_probe::store::inventory::{Inventory, InventoryError, Keeper};
use std::path::Path;

/// What a run has of the inventory.
#[derive(Default)]
pub(super) struct Kept {
    /// What earlier runs observed.
    pub(super) history: Vec<Remembered>,
    /// What they learnt.
    pub(super) norms: Vec<(NormKey, Norm)>,
    /// Keeps what this one observes.
    pub(super) keeper: Option<Keeper>,
    /// Why it is not kept.
    pub(super) missing: Option<Degradation>,
}

/// Opens it, unless this run has nothing to do with it. What cannot be opened is a degradation.
pub(super) fn open(settings: &Settings, keeps: bool) -> Result<Kept, Failure> {
    let Some(folder) = settings.state.as_deref().filter(|_| keeps) else { return Ok(Kept::default()) };
    if settings.read_only {
        return Ok(read(folder));
    }
    let opened = Inventory::write(folder)
        .and_then(|inventory| Ok((inventory.remembered()?, inventory.norms()?, inventory)));
    match opened {
        Ok((history, norms, inventory)) => {
            let keeper = Keeper::start(inventory)
                .map_err(|error| Failure::new(format!("no thread could be started: {error}"), "ulimit -u"))?;
            Ok(Kept { history, norms, keeper: Some(keeper), missing: None })
        }
        Err(error) => {
            let missing = Some(missing(folder, &error));
            Ok(Kept { missing, ..read(folder) })
        }
    }
}

/// What can be read without writing; nothing when there is none yet.
fn read(folder: &Path) -> Kept {
    let Ok(inventory) = Inventory::read(folder) else { return Kept::default() };
    let (history, norms) = (inventory.remembered(), inventory.norms());
    Kept { history: history.unwrap_or_default(), norms: norms.unwrap_or_default(), ..Kept::default() }
}

fn missing(folder: &Path, error: &InventoryError) -> Degradation {
    let remedy = match error {
        InventoryError::Taken(_) => "end the other one, or give this one its own folder with --state DIR",
        _ => "make room there, repair or remove the file, or give another folder with --state DIR",
    };
    Degradation {
        code: "inventory-not-kept".into(),
        severity: Severity::Notice,
        what: format!("what is seen is not added to the inventory in {}: {error}", folder.display()),
        remedy: remedy.into(),
    }
}
