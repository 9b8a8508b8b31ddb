//! `print keys`: what the keys do, as TOML that may stand in the settings file.

use crate::config::Config;
use crate::exit::Failure;
use crate::keymap::{Binding, Keymap};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Whose keys.
#[derive(Args, Debug)]
pub(super) struct Keys {
    /// Settings file whose keys are merged over the built-in ones
    #[arg(long, value_name = "FILE", env = "APISEC_TOP_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

impl Keys {
    /// A table per context, an action per line.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let own = Config::load(self.config.as_deref())?.keys;
        let (keymap, _checked_when_loaded) = Keymap::load(&own);
        for (context, bindings) in keymap.contexts() {
            table(context, bindings, out).map_err(|error| Failure::new(error.to_string(), ""))?;
        }
        Ok(())
    }
}

fn table(context: &str, bindings: &[Binding], out: &mut Vec<u8>) -> std::io::Result<()> {
    let gap = if out.is_empty() { "" } else { "\n" };
    writeln!(out, "{gap}[keys.{context}]")?;
    bindings.iter().filter_map(line).try_for_each(|(setting, title)| writeln!(out, "{setting:<44}# {title}"))
}

fn line(binding: &Binding) -> Option<(String, String)> {
    let keys: Vec<toml::Value> = binding.chords.iter().map(|chord| chord.to_string().into()).collect();
    Some((format!("{} = {}", binding.action.name()?, toml::Value::from(keys)), binding.action.title()))
}
