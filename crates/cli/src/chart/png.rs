//! An SVG turned into dots.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// Dots for each pixel: sharp on screens of today.
const SCALE: f32 = 2.0;

/// The most dots of a picture: 256 MB in memory.
const DOTS_MOST: u64 = 64_000_000;

/// A PNG of an SVG, with texts in DejaVu Sans whatever fonts the machine has.
pub(super) fn png(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options { fontdb: Arc::new(fonts), font_family: "DejaVu Sans".to_owned(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).context("reading the chart")?;
    let size = tree.size();
    let (width, height) = ((size.width() * SCALE) as u32, (size.height() * SCALE) as u32);
    if u64::from(width) * u64::from(height) > DOTS_MOST {
        bail!("a chart of {width} times {height} dots is too large for a .png: ask for an .svg, or of a shorter range");
    }
    let mut dots = Pixmap::new(width, height).with_context(|| format!("a chart of {width} times {height} dots"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut dots.as_mut());
    dots.encode_png().context("writing the chart as PNG")
}
