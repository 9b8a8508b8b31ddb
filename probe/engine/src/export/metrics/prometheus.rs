//! The text format of Prometheus, version 0.0.4.

use super::{Kind, Metrics};
use std::fmt::{self, Write};

impl Metrics {
    /// The media type of the text.
    pub const TEXT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// As Prometheus scrapes it.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        // A String takes everything.
        let _infallible = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        for family in &self.families {
            let (kind, suffix) = match family.kind {
                Kind::Counter => ("counter", "_total"),
                Kind::Gauge => ("gauge", ""),
            };
            let name = family.name;
            writeln!(out, "# HELP {name}{suffix} {}\n# TYPE {name}{suffix} {kind}", family.help)?;
            for point in &family.points {
                write!(out, "{name}{suffix}")?;
                for (at, (label, value)) in point.labels.iter().enumerate() {
                    write!(out, "{}{label}=\"", if at == 0 { '{' } else { ',' })?;
                    escape(value, out);
                    out.push('"');
                }
                writeln!(out, "{} {}", if point.labels.is_empty() { "" } else { "}" }, point.value)?;
            }
        }
        Ok(())
    }
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}
