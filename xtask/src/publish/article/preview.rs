//! A chart as a PNG, for feed readers and link previews, which show no SVG.

use anyhow::{Context as _, Result};
use resvg::{
    tiny_skia::{Color, Pixmap, Transform},
    usvg::{Options, Tree},
};

/// What link previews ask for.
const WIDTH_PX: f32 = 1200.0;

/// Renders `svg`, whose text is outlines, on white.
///
/// # Errors
/// When it is no SVG, or has no area.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let light = without_dark_theme(svg);
    let tree = Tree::from_str(&light, &Options::default()).context("the chart is no SVG")?;
    let scale = WIDTH_PX / tree.size().width();
    let size = tree
        .size()
        .to_int_size()
        .scale_by(scale)
        .context("the chart is too large for a picture")?;
    let mut picture = Pixmap::new(size.width(), size.height()).context("the chart has no area")?;
    picture.fill(Color::WHITE);
    let transform = Transform::from_scale(scale, scale);
    resvg::render(&tree, transform, &mut picture.as_mut());
    picture.encode_png().context("cannot write the PNG")
}

/// A picture has one theme, and the renderer warns of every media query.
fn without_dark_theme(svg: &str) -> String {
    let parts = svg.split_once("@media").and_then(|(before, rest)| {
        let (_, after) = rest.split_once("</style>")?;
        Some(format!("{before}</style>{after}"))
    });
    parts.unwrap_or_else(|| svg.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_width_of_a_preview_and_the_same_bytes_again() {
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"><style>.a{fill:#000}@media(prefers-color-scheme:dark){.a{fill:#fff}}</style><path class="a" d="M0 0h2v2h-2z"/></svg>"#;
        let picture = png(svg).unwrap();
        let read = Pixmap::decode_png(&picture).unwrap();
        assert_eq!((read.width(), read.height()), (1200, 600));
        let shade = |x, y| read.pixel(x, y).unwrap().red();
        assert_eq!((shade(10, 10), shade(1190, 10)), (0, 255));
        assert_eq!(png(svg).unwrap(), picture);
    }
}
