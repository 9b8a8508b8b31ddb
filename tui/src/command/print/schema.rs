//! `print schema`: what a program that reads our output may rely on.

use crate::exit::Failure;
use apisec_engine::schema;
use clap::{Args, ValueEnum};

/// Of which output.
#[derive(Args, Debug)]
pub(super) struct Schema {
    /// The output that it describes
    #[arg(value_enum, default_value = "json")]
    of: Of,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// The object of --output json
    Json,
    /// A line of --output ndjson
    Ndjson,
    /// A policy file
    Policy,
}

impl Schema {
    /// The schema, JSON Schema 2020-12.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let schema = match self.of {
            Of::Json => schema::snapshot(),
            Of::Ndjson => schema::call(),
            Of::Policy => schema::policy(),
        };
        serde_json::to_writer_pretty(&mut *out, &schema)
            .map_err(|error| Failure::new(error.to_string(), ""))?;
        out.push(b'\n');
        Ok(())
    }
}
