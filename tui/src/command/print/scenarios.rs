//! `print scenarios`: what the demo shop can play; the shop itself knows.

use crate::exit::Failure;
use crate::shop;

/// Name, OWASP entry and story of every scenario.
pub(super) fn write(out: &mut Vec<u8>) -> Result<(), Failure> {
    out.extend_from_slice(&shop::scenarios()?);
    Ok(())
}
