//! Colours: those of the ground and of text are another in the dark, those of series are seen on both.

use plotters::style::RGBColor;

use super::file::ChartTheme;

/// The colours that depend on the ground.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) ground: RGBColor,
    pub(super) ink: RGBColor,
    pub(super) muted: RGBColor,
    pub(super) grid: RGBColor,
}

// Each colour is another, so that a style can put the dark one in the place of the light.
const LIGHT: Look = Look {
    ground: RGBColor(0xFF, 0xFF, 0xFF),
    ink: RGBColor(0x1F, 0x23, 0x28),
    muted: RGBColor(0x59, 0x63, 0x6E),
    grid: RGBColor(0xDD, 0xE1, 0xE6),
};
const DARK: Look = Look {
    ground: RGBColor(0x15, 0x19, 0x1E),
    ink: RGBColor(0xEC, 0xEE, 0xF0),
    muted: RGBColor(0x9F, 0xA9, 0xB4),
    grid: RGBColor(0x33, 0x3A, 0x42),
};

/// Of series, in the order in which they are taken; not two are alike, and all are seen on light and dark.
pub(super) const SERIES: [RGBColor; 12] = [
    RGBColor(0x3F, 0x7F, 0xDB),
    RGBColor(0xE0, 0x7B, 0x28),
    RGBColor(0x2F, 0x9E, 0x60),
    RGBColor(0xCF, 0x4A, 0x55),
    RGBColor(0x8E, 0x65, 0xCF),
    RGBColor(0x1F, 0xA0, 0xAE),
    RGBColor(0xD4, 0x65, 0xA5),
    RGBColor(0x9A, 0x8B, 0x1E),
    RGBColor(0x94, 0x6B, 0x50),
    RGBColor(0x6C, 0x78, 0xE0),
    RGBColor(0x6B, 0xA0, 0x1F),
    RGBColor(0xB0, 0x5A, 0x1E),
];
/// Of what has no colour of its own: the rest, the end.
pub(super) const REST: RGBColor = RGBColor(0x8A, 0x94, 0x9E);

/// The colour of a series; those past the last are the rest.
pub(super) fn series(place: usize) -> RGBColor {
    SERIES.get(place).copied().unwrap_or(REST)
}

impl ChartTheme {
    /// The colours that a chart is drawn with.
    pub(super) fn look(self) -> Look {
        match self {
            Self::Auto | Self::Light => LIGHT,
            Self::Dark => DARK,
        }
    }
}

/// A style sheet that puts the dark colours in the place of the light where the reader has it dark.
pub(super) fn dark_style() -> String {
    let pairs =
        [(LIGHT.ground, DARK.ground), (LIGHT.ink, DARK.ink), (LIGHT.muted, DARK.muted), (LIGHT.grid, DARK.grid)];
    let rules: String = pairs
        .iter()
        .flat_map(|(light, dark)| {
            ["fill", "stroke"].map(|part| format!("[{part}=\"{}\"]{{{part}:{}}}", hex(*light), hex(*dark)))
        })
        .collect();
    format!("@media(prefers-color-scheme:dark){{{rules}}}")
}

/// The ground in the light and in the dark, as a page writes colours.
pub(super) fn grounds() -> [String; 2] {
    [hex(LIGHT.ground), hex(DARK.ground)]
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
