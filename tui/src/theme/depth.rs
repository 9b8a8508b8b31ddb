//! How many colours the terminal shows, and how a colour is shown with fewer.

use ratatui::style::Color;

/// What the environment says about the terminal; a parameter, so that tests can say it too.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// `COLORTERM`.
    pub colorterm: String,
    /// `TERM`.
    pub term: String,
}

/// How many colours can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 24 bits.
    True,
    /// The xterm palette of 256.
    Indexed,
    /// The sixteen of ANSI.
    Sixteen,
    /// None: attributes only.
    None,
}

impl Terminal {
    /// How many colours it shows.
    #[must_use]
    pub fn depth(&self) -> Depth {
        if self.no_color || self.term == "dumb" {
            Depth::None
        } else if matches!(self.colorterm.as_str(), "truecolor" | "24bit") || self.term.ends_with("-direct") {
            Depth::True
        } else if self.term.contains("256color") {
            Depth::Indexed
        } else {
            Depth::Sixteen
        }
    }
}

impl Depth {
    /// The built-in theme that must be used instead of the one asked for, if one must.
    #[must_use]
    pub const fn forces(self) -> Option<&'static str> {
        match self {
            Self::True | Self::Indexed => None,
            Self::Sixteen => Some("ansi16"),
            Self::None => Some("mono"),
        }
    }

    /// `color` as near as this terminal can show it.
    #[must_use]
    pub fn reduce(self, color: Color) -> Color {
        match (self, color) {
            (Self::Indexed, Color::Rgb(r, g, b)) => Color::Indexed(nearest(r, g, b)),
            _ => color,
        }
    }
}

/// Levels of the 6×6×6 cube of xterm's palette.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest of the cube and of the grey ramp.
fn nearest(r: u8, g: u8, b: u8) -> u8 {
    let level = |v: u8| (0u8..6).zip(LEVELS).min_by_key(|(_, level)| level.abs_diff(v)).unwrap_or_default();
    let ((ri, rl), (gi, gl), (bi, bl)) = (level(r), level(g), level(b));
    let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
    let step = (mean.saturating_sub(3) / 10).min(23) as u8;
    let grey = 8 + 10 * step;
    let far = |x: u8, y: u8, z: u8| -> u32 {
        [(x, r), (y, g), (z, b)].iter().map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
    };
    if far(grey, grey, grey) < far(rl, gl, bl) { 232 + step } else { 16 + 36 * ri + 6 * gi + bi }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(no_color: bool, colorterm: &str, term: &str) -> Depth {
        Terminal { no_color, colorterm: colorterm.into(), term: term.into() }.depth()
    }

    #[test]
    fn the_environment_decides() {
        assert_eq!(depth(false, "truecolor", "xterm-256color"), Depth::True);
        assert_eq!(depth(false, "", "xterm-256color"), Depth::Indexed);
        assert_eq!(depth(false, "", "screen"), Depth::Sixteen);
        assert_eq!(depth(false, "", "linux"), Depth::Sixteen);
        assert_eq!(depth(true, "truecolor", "xterm"), Depth::None);
        assert_eq!(depth(false, "", "dumb"), Depth::None);
    }

    #[test]
    fn colours_are_reduced_to_the_nearest() {
        assert_eq!(nearest(0, 0, 0), 16);
        assert_eq!(nearest(255, 255, 255), 231);
        assert_eq!(nearest(255, 0, 0), 196);
        assert_eq!(nearest(18, 18, 18), 233);
        assert_eq!(Depth::Sixteen.reduce(Color::Red), Color::Red);
    }
}
