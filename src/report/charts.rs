//! The page's charts, as inline SVG.
//!
//! Everything is placed in whole pixels and drawn in the fixed colours of [`SERIES`] and its neighbours; the page's
//! style sheet maps these to variables, so that one drawing serves light and dark. No text that somebody else wrote goes
//! into a drawing but names of sources.

use crate::error::{Error, ErrorKind, Result};
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Drawable, PathElement, PointCollection, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoTextStyle, RGBColor, ShapeStyle};

/// The colours of the sources, in their order; the last one is for "all others". `page.css` names each of them.
pub(crate) const SERIES: [RGBColor; 8] = [
    RGBColor(0x2F, 0x6D, 0xB5),
    RGBColor(0xD9, 0x80, 0x1F),
    RGBColor(0x1F, 0x8A, 0x70),
    RGBColor(0x8E, 0x5B, 0xA8),
    RGBColor(0xBC, 0x45, 0x5E),
    RGBColor(0x6B, 0x8A, 0x1E),
    RGBColor(0x3C, 0x9D, 0xC2),
    RGBColor(0x78, 0x82, 0x8E),
];
const INK: RGBColor = RGBColor(0x1D, 0x26, 0x30);
const MUTED: RGBColor = RGBColor(0x5A, 0x66, 0x74);
const GRID: RGBColor = RGBColor(0xDC, 0xE2, 0xE9);
const LIMIT: RGBColor = RGBColor(0xB3, 0x26, 0x1E);

/// The widths in which every chart is drawn: for a telephone, and for all that is wider.
pub(crate) const WIDTHS: [u32; 2] = [328, 640];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One bar of stacked parts.
pub(crate) struct Bar {
    /// What stands before it.
    pub(crate) label: String,
    /// What stands behind it.
    pub(crate) total: String,
    /// Its parts: the number of a colour, and how much.
    pub(crate) parts: Vec<(usize, u64)>,
}

/// What a chart says to those who do not see it.
pub(crate) struct Caption<'a> {
    /// Distinct within the page: letters, digits and `-`.
    pub(crate) id: &'a str,
    /// In a few words.
    pub(crate) title: &'a str,
    /// In a sentence or two.
    pub(crate) description: &'a str,
}

/// Horizontal bars of stacked parts, all to one scale.
pub(crate) fn stacked_bars(caption: &Caption<'_>, bars: &[Bar]) -> Result<String> {
    draw(
        caption,
        |_| 14 + 34 * bars.len() as u32,
        |area, width, _| {
            let (left, right) = (46, width - 118);
            let longest = bars.iter().map(|bar| bar.parts.iter().map(|part| part.1).sum()).max().unwrap_or(0);
            for (place, bar) in bars.iter().enumerate() {
                let top = 8 + 34 * place as i32;
                text(area, &bar.label, (left - 8, top + 12), 13, INK, HPos::Right)?;
                let mut before = 0_u64;
                for (colour, amount) in &bar.parts {
                    let (from, to) =
                        (scale(before, longest, left, right), scale(before + amount, longest, left, right));
                    before += amount;
                    if to > from {
                        rectangle(area, (from, top), (to, top + 24), SERIES[*colour % SERIES.len()])?;
                    }
                }
                let end = scale(before, longest, left, right);
                text(area, &bar.total, (end + 8, top + 12), 13, INK, HPos::Left)?;
            }
            Ok(())
        },
    )
}

/// A histogram over an axis whose marks and bins are given in units of the axis.
pub(crate) struct Histogram {
    /// Each bin: where it begins, where it ends, how many fall into it; in thousandths of the axis' unit.
    pub(crate) bins: Vec<(i64, i64, u64)>,
    /// The part of the axis that is shown, in thousandths.
    pub(crate) range: (i64, i64),
    /// What stands under the axis, and where.
    pub(crate) ticks: Vec<(i64, String)>,
    /// Lines across, and where.
    pub(crate) lines: Vec<(i64, String)>,
    /// The number of the bars' colour.
    pub(crate) colour: usize,
}

/// Draws a histogram.
pub(crate) fn histogram(caption: &Caption<'_>, data: &Histogram) -> Result<String> {
    draw(
        caption,
        |width| if width < 400 { 160 } else { 200 },
        |area, width, height| {
            let (left, right, top, bottom) = (58, width - 14, 36, height - 24);
            let (from, to) = data.range;
            let x = |at: i64| left + ((at - from) * i64::from(right - left) / (to - from).max(1)) as i32;
            let highest = data.bins.iter().map(|bin| bin.2).max().unwrap_or(0);
            let step = round_step(highest);
            for line in 0..=highest / step {
                let y = bottom - scale(line * step, highest, 0, bottom - top);
                path(area, &[(left, y), (right, y)], GRID)?;
                text(area, &super::format::thousands(line * step), (left - 7, y), 11, MUTED, HPos::Right)?;
            }
            for (begin, end, count) in data.bins.iter().filter(|bin| bin.2 > 0) {
                // What is there is seen, however little it is; and bars keep a gap where there is room for one.
                let y = (bottom - scale(*count, highest, 0, bottom - top)).min(bottom - 1);
                let (begin, end) = (x(*begin), x(*end));
                let gap = i32::from(end - begin > 3);
                rectangle(area, (begin, y), ((end - gap).max(begin + 1), bottom), SERIES[data.colour % SERIES.len()])?;
            }
            path(area, &[(left, bottom), (right, bottom)], MUTED)?;
            // Ticks give way to each other on a narrow drawing.
            let mut free = i32::MIN;
            for (at, label) in &data.ticks {
                let half = 4 * label.chars().count() as i32;
                if x(*at) - half > free && x(*at) + half <= width {
                    text(area, label, (x(*at), bottom + 13), 11, MUTED, HPos::Center)?;
                    free = x(*at) + half + 4;
                }
            }
            // The words of lines that stand close take turns in two rows.
            let mut free = [i32::MIN; 2];
            for (at, label) in data.lines.iter().filter(|line| (from..=to).contains(&line.0)) {
                let half = (7 * label.chars().count() as i32).div_euclid(2);
                let middle = x(*at).min(width - half - 2);
                let row = free.iter().position(|free| middle - half > *free);
                let rise = row.map_or(0, |row| 12 * row as i32);
                path(area, &[(x(*at), top - 8 - rise), (x(*at), bottom)], LIMIT)?;
                if let Some(row) = row {
                    text(area, label, (middle, top - 15 - rise), 11, LIMIT, HPos::Center)?;
                    free[row] = middle + half + 2;
                }
            }
            Ok(())
        },
    )
}

/// Draws in every width; the style sheet shows the one that fits.
fn draw(
    caption: &Caption<'_>,
    height: impl Fn(i32) -> u32,
    content: impl Fn(&Area<'_>, i32, i32) -> Result<()>,
) -> Result<String> {
    let mut both = String::new();
    for (class, width) in ["narrow", "wide"].into_iter().zip(WIDTHS) {
        let height = height(width as i32);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            content(&area, width as i32, height as i32)?;
            area.present().map_err(bug)?;
        }
        // The library's own first tag gives a fixed size and no words for those who do not see.
        let body = svg.split_once('>').map_or("", |(_, body)| body).trim();
        let id = format!("{}-{class}", caption.id);
        both.push_str(&format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n{body}\n",
            escape(caption.title),
            escape(caption.description),
        ));
    }
    Ok(both)
}

/// The place of `value` between two pixels, where the second stands for `whole`.
fn scale(value: u64, whole: u64, from: i32, to: i32) -> i32 {
    let length = u128::from((to - from).unsigned_abs());
    let at = (u128::from(value) * length + u128::from(whole) / 2) / u128::from(whole.max(1));
    from + at.min(length) as i32
}

/// A round number of which a few make `highest`.
fn round_step(highest: u64) -> u64 {
    let mut step = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            if highest / step.saturating_mul(factor) <= 4 {
                return step.saturating_mul(factor);
            }
        }
        step = step.saturating_mul(10);
    }
}

fn rectangle(area: &Area<'_>, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Result<()> {
    put(area, &Rectangle::new([from, to], colour.filled()))
}

fn path(area: &Area<'_>, points: &[(i32, i32)], colour: RGBColor) -> Result<()> {
    put(area, &PathElement::new(points.to_vec(), ShapeStyle::from(colour).stroke_width(1)))
}

fn text(area: &Area<'_>, words: &str, at: (i32, i32), pixels: u32, colour: RGBColor, side: HPos) -> Result<()> {
    // The library takes the size of a font's box, which it divides by 1.24 for the letters.
    let size = f64::from(pixels) * 1.24;
    let style = ("sans-serif", size).into_text_style(area).color(&colour).pos(Pos::new(side, VPos::Center));
    put(area, &Text::new(words.to_owned(), at, style))
}

fn put<'b, E>(area: &Area<'_>, element: &'b E) -> Result<()>
where
    for<'a> &'a E: PointCollection<'a, (i32, i32)>,
    for<'a> E: Drawable<SVGBackend<'a>>,
{
    area.draw(element).map_err(bug)
}

fn bug(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Bug, format!("cannot draw a chart: {error}"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTION: Caption<'_> = Caption { id: "c", title: "a < b & c", description: "</desc><script>" };

    #[test]
    fn steps_are_round_and_few() {
        let steps = [0, 1, 4, 5, 9, 10, 47, 1_000, 123_456].map(round_step);
        assert_eq!(steps, [1, 1, 1, 2, 2, 5, 10, 500, 50_000]);
        assert!(round_step(u64::MAX) > 1);
    }

    #[test]
    fn a_drawing_is_safe_repeatable_and_bears_the_extremes() {
        let bars = [
            Bar { label: "<5x>".to_owned(), total: "0".to_owned(), parts: vec![(0, 0), (9, u64::MAX / 2)] },
            Bar { label: String::new(), total: String::new(), parts: Vec::new() },
        ];
        let svg = stacked_bars(&CAPTION, &bars).unwrap();
        assert_eq!(svg, stacked_bars(&CAPTION, &bars).unwrap());
        assert!(!svg.contains("<script") && !svg.contains("<5x>"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        let empty = Histogram { bins: vec![], range: (0, 0), ticks: vec![], lines: vec![], colour: 0 };
        histogram(&CAPTION, &empty).unwrap();
    }

    #[test]
    fn every_colour_has_its_variable_in_the_style_sheet() {
        let css = include_str!("page.css");
        for colour in SERIES.iter().chain(&[INK, MUTED, GRID, LIMIT]) {
            let hex = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
            assert!(
                css.contains(&format!("[fill=\"{hex}\"]")) || css.contains(&format!("[stroke=\"{hex}\"]")),
                "{hex}"
            );
        }
    }
}
