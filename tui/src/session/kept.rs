//! The inventory of the state folder: what earlier runs observed, and who keeps what this one does.

use crate::exit::Failure;
use crate::settings::Settings;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::knowledge::Remembered;
use apisec_probe::store::inventory::{Inventory, InventoryError, Keeper};
use std::path::Path;

/// What a run has of the inventory.
#[derive(Default)]
pub(super) struct Kept {
    /// What earlier runs observed.
    pub(super) history: Vec<Remembered>,
    /// Keeps what this one observes.
    pub(super) keeper: Option<Keeper>,
    /// Why it is not kept.
    pub(super) missing: Option<Degradation>,
}

/// Opens it, unless this run has nothing to do with it. What cannot be opened is a degradation.
pub(super) fn open(settings: &Settings, keeps: bool) -> Result<Kept, Failure> {
    let Some(folder) = settings.state.as_deref().filter(|_| keeps) else { return Ok(Kept::default()) };
    if settings.read_only {
        return Ok(Kept { history: read(folder), ..Kept::default() });
    }
    let opened = Inventory::write(folder).and_then(|inventory| Ok((inventory.remembered()?, inventory)));
    match opened {
        Ok((history, inventory)) => {
            let keeper = Keeper::start(inventory)
                .map_err(|error| Failure::new(format!("no thread could be started: {error}"), "ulimit -u"))?;
            Ok(Kept { history, keeper: Some(keeper), missing: None })
        }
        Err(error) => {
            let missing = Some(missing(folder, &error));
            Ok(Kept { history: read(folder), keeper: None, missing })
        }
    }
}

/// What can be read without writing; nothing when there is none yet.
fn read(folder: &Path) -> Vec<Remembered> {
    Inventory::read(folder).and_then(|inventory| inventory.remembered()).unwrap_or_default()
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
