//! `print themes`: the names of the built-in themes, or one of them with every role resolved.

use crate::exit::Failure;
use crate::settings;
use crate::theme::{Role, THEMES, Theme};
use clap::Args;
use ratatui::style::{Modifier, Style};
use std::io::Write;

/// Which theme.
#[derive(Args, Debug)]
pub(super) struct Themes {
    /// A theme, to print it as a file to start from
    name: Option<String>,
}

/// Attributes, as theme files name them.
const ATTRIBUTES: [(Modifier, &str); 5] = [
    (Modifier::BOLD, "bold"),
    (Modifier::DIM, "dim"),
    (Modifier::ITALIC, "italic"),
    (Modifier::UNDERLINED, "underline"),
    (Modifier::REVERSED, "reverse"),
];

impl Themes {
    /// Names, or a theme file without a palette and without a parent.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        match &self.name {
            None => names(out),
            Some(name) => match Theme::named(name) {
                Some(theme) => file(&theme, out),
                None => return Err(settings::unknown_theme(name)),
            },
        }
        .map_err(|error| Failure::new(error.to_string(), ""))
    }
}

fn names(out: &mut Vec<u8>) -> std::io::Result<()> {
    for (name, text) in THEMES {
        let about = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        writeln!(out, "{name:<15}{about}")?;
    }
    Ok(())
}

fn file(theme: &Theme, out: &mut Vec<u8>) -> std::io::Result<()> {
    writeln!(out, "# The theme {}, every role resolved.\n\n[roles]", theme.name)?;
    Role::ALL.iter().try_for_each(|(role, name)| writeln!(out, "\"{name}\" = {}", look(theme.style(*role))))
}

fn look(style: Style) -> String {
    let colors = [("fg", style.fg), ("bg", style.bg)];
    let mut parts: Vec<String> = colors
        .iter()
        .filter_map(|(key, color)| {
            color.map(|color| format!("{key} = \"{}\"", color.to_string().to_lowercase()))
        })
        .collect();
    let with: Vec<String> = ATTRIBUTES
        .iter()
        .filter(|(modifier, _)| style.add_modifier.contains(*modifier))
        .map(|(_, name)| format!("\"{name}\""))
        .collect();
    if !with.is_empty() {
        parts.push(format!("with = [{}]", with.join(", ")));
    }
    format!("{{ {} }}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_theme_reads_back_to_the_same_theme() {
        for (name, _) in THEMES {
            let theme = Theme::named(name).unwrap();
            let mut out = Vec::new();
            file(&theme, &mut out).unwrap();
            let (back, warnings) = Theme::parse(name, std::str::from_utf8(&out).unwrap());
            assert_eq!((back, warnings), (theme, Vec::new()), "{name}");
        }
    }
}
