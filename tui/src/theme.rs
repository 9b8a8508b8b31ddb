//! Looks as data: TOML themes with a palette and semantic roles, each inheriting a parent theme.
//!
//! A role that a theme does not name is taken from its parent theme, then from the role before the last dot.
//! What is not understood is a warning, never an error: a theme must not keep anybody from seeing the screen.

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use std::collections::BTreeMap;

mod depth;
pub use depth::{Depth, Terminal};

macro_rules! roles {
    ($($role:ident $name:literal,)*) => {
        /// What a piece of the screen means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Role { $(#[doc = $name] $role,)* }
        impl Role {
            /// Every role with its name in theme files.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$role, $name),)*];
        }
    };
}

roles! {
    Text "text", Dim "text.dim", Strong "text.strong",
    Brand "brand", Live "state.live", Replay "state.replay", Frozen "state.frozen", Past "state.past",
    Tab "tab", TabActive "tab.active", Rule "rule", Title "title", TitleFocus "title.focus",
    Head "table.header", HeadSorted "table.header.sorted", Selected "row.selected", SelectedIdle "row.selected.idle",
    Good "good", Redirect "status.redirect", ClientError "status.client-error", ServerError "status.server-error",
    Unanswered "status.unanswered", Lost "lost",
    SparkCalls "spark.calls", SparkErrors "spark.errors", SparkMedian "spark.median", SparkTail "spark.tail",
    MethodRead "method.read", MethodWrite "method.write", MethodDelete "method.delete", MethodOther "method.other",
    Parameter "path.parameter", Workload "workload", External "workload.external",
    Node "graph.node", NodeProxy "graph.node.proxy", NodeSelected "graph.node.selected", NodeNear "graph.node.near",
    Edge "graph.edge", EdgeError "graph.edge.error", EdgeNear "graph.edge.near", EdgeLabel "graph.label",
    KeyCap "key", KeyHint "key.hint", Input "input", InputError "input.error", Match "match",
    Dialog "dialog", DialogRule "dialog.rule", DialogTitle "dialog.title",
    DriftActive "drift.active", DriftShadow "drift.shadow", DriftZombie "drift.zombie", DriftOrphan "drift.orphan",
    DriftUnconfirmed "drift.unconfirmed", DriftFlag "drift.flag",
    Notice "notice", Partial "partial", Fatal "fatal", Masked "masked",
}

/// The themes that are built in, in the order of the `next-theme` action.
pub const THEMES: &[(&str, &str)] = &[
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("ansi16", include_str!("../../themes/ansi16.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// Longest chain of parents: our own is two long, and a cycle must end.
const MAX_PARENTS: usize = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inherits: Option<String>,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    #[serde(default)]
    roles: BTreeMap<String, Look>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    fg: Option<String>,
    bg: Option<String>,
    #[serde(default)]
    with: Vec<String>,
}

/// A resolved theme: a style for every role.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    /// What it is called.
    pub name: String,
    styles: Vec<Style>,
}

impl Theme {
    /// The built-in theme `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (name, text) = THEMES.iter().find(|(theme, _)| *theme == name)?;
        Some(Self::parse(name, text).0)
    }

    /// A theme from the text of a file, with what was not understood.
    #[must_use]
    pub fn parse(name: &str, text: &str) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let files = chain(text, &mut warnings);
        let mut palette = BTreeMap::new();
        let mut looks = BTreeMap::new();
        for file in files.into_iter().rev() {
            palette.extend(file.palette);
            for (role, look) in file.roles {
                if Role::ALL.iter().all(|(_, known)| *known != role) {
                    warnings.push(format!("unknown role `{role}`"));
                }
                looks.insert(role, look);
            }
        }
        let resolve = |(_, role): &(Role, &str)| style(find(&looks, role), &palette, &mut warnings);
        let styles = Role::ALL.iter().map(resolve).collect();
        warnings.dedup();
        (Self { name: name.to_owned(), styles }, warnings)
    }

    /// How `role` looks.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// The same theme for a terminal that shows fewer colours.
    #[must_use]
    pub fn reduced(mut self, depth: Depth) -> Self {
        for style in &mut self.styles {
            style.fg = style.fg.map(|color| depth.reduce(color));
            style.bg = style.bg.map(|color| depth.reduce(color));
        }
        self
    }
}

/// The file and its parents, nearest first.
fn chain(text: &str, warnings: &mut Vec<String>) -> Vec<File> {
    let mut files = Vec::new();
    let mut next = Some(text.to_owned());
    while let Some(text) = next.take().filter(|_| files.len() < MAX_PARENTS) {
        let file: File = toml::from_str(&text).unwrap_or_else(|error| {
            warnings.push(error.to_string());
            File { inherits: Some("dark".to_owned()), ..File::default() }
        });
        if let Some(parent) = &file.inherits {
            next = THEMES.iter().find(|(name, _)| name == parent).map(|(_, text)| (*text).to_owned());
            if next.is_none() {
                warnings.push(format!("unknown parent theme `{parent}`"));
            }
        }
        files.push(file);
    }
    files
}

fn find<'a>(looks: &'a BTreeMap<String, Look>, role: &str) -> Option<&'a Look> {
    looks.get(role).or_else(|| role.rsplit_once('.').and_then(|(parent, _)| find(looks, parent)))
}

fn style(look: Option<&Look>, palette: &BTreeMap<String, String>, warnings: &mut Vec<String>) -> Style {
    let Some(look) = look else { return Style::new() };
    let mut style = Style::new();
    style.fg = look.fg.as_ref().and_then(|name| color(name, palette, warnings));
    style.bg = look.bg.as_ref().and_then(|name| color(name, palette, warnings));
    for name in &look.with {
        match modifier(name) {
            Some(modifier) => style = style.add_modifier(modifier),
            None => warnings.push(format!("unknown attribute `{name}`")),
        }
    }
    style
}

fn color(name: &str, palette: &BTreeMap<String, String>, warnings: &mut Vec<String>) -> Option<Color> {
    let value = palette.get(name).map_or(name, String::as_str);
    let parsed = value.parse().ok();
    if parsed.is_none() {
        warnings.push(format!("unknown colour `{value}`"));
    }
    parsed
}

fn modifier(name: &str) -> Option<Modifier> {
    match name {
        "bold" => Some(Modifier::BOLD),
        "dim" => Some(Modifier::DIM),
        "italic" => Some(Modifier::ITALIC),
        "underline" => Some(Modifier::UNDERLINED),
        "reverse" => Some(Modifier::REVERSED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(name: &str) -> File {
        let (_, text) = THEMES.iter().find(|(theme, _)| *theme == name).expect("a theme");
        toml::from_str(text).expect("valid TOML")
    }

    #[test]
    fn every_file_is_registered_and_clean() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../themes");
        for entry in std::fs::read_dir(folder).expect("the themes folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            let (_, text) = THEMES
                .iter()
                .find(|(theme, _)| *theme == name)
                .unwrap_or_else(|| panic!("{name} is not in THEMES"));
            assert_eq!(Theme::parse(&name, text).1, Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn every_theme_defines_or_inherits_every_role() {
        for (name, _) in THEMES {
            let mut roles = std::collections::BTreeSet::new();
            let mut file = Some(raw(name));
            while let Some(current) = file {
                roles.extend(current.roles.keys().cloned());
                file = current.inherits.as_deref().map(raw);
            }
            for (_, role) in Role::ALL {
                assert!(roles.contains(*role), "{name} lacks {role}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_a_warning() {
        let text = "inherits = \"dark\"\n[roles]\n\"tabs\" = { fg = \"red\" }\n\"text\" = { fg = \"mauve-ish\", with = [\"blink\"] }";
        let (theme, warnings) = Theme::parse("mine", text);
        assert_eq!(
            warnings,
            ["unknown role `tabs`", "unknown colour `mauve-ish`", "unknown attribute `blink`"]
        );
        assert_eq!(theme.style(Role::Lost), Theme::named("dark").expect("dark").style(Role::Lost));
        assert!(!Theme::parse("broken", "roles = 3").1.is_empty());
        assert!(!Theme::parse("orphan", "inherits = \"nobody\"").1.is_empty());
    }

    #[test]
    fn a_role_falls_back_to_the_one_before_its_last_dot() {
        let (theme, _) =
            Theme::parse("mine", "[roles]\n\"status\" = { fg = \"red\" }\n\"text\" = { fg = \"blue\" }");
        assert_eq!(theme.style(Role::Dim).fg, Some(Color::Blue));
        assert_eq!(theme.style(Role::Lost), Style::new());
    }

    #[test]
    fn mono_has_no_colour_and_ansi16_only_the_sixteen() {
        for style in &Theme::named("mono").expect("mono").styles {
            assert!([style.fg, style.bg].into_iter().flatten().all(|color| color == Color::Reset));
        }
        for style in &Theme::named("ansi16").expect("ansi16").styles {
            assert!(
                [style.fg, style.bg]
                    .into_iter()
                    .flatten()
                    .all(|c| !matches!(c, Color::Rgb(..) | Color::Indexed(_)))
            );
        }
    }
}
