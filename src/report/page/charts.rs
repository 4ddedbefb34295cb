//! The geometry of the page's charts: pure functions from figures to shapes, which `chart.html` prints as inline SVG.
//!
//! Coordinates are whole pixels, so that the same figures give the same bytes on every machine. Colors are classes, for
//! which `page.css` has values for light and dark.

use crate::report::format::thousands;
use serde::Serialize;

/// The number of series colors. All sources from the last one on share it.
const SERIES: usize = 8;

/// Every chart is drawn for phones and for wider screens; the style sheet shows the drawing that fits.
const SIZES: [(&str, i32); 2] = [("narrow", 328), ("wide", 640)];

/// Upper limits for the width of a character, in pixels: in ticks (11 pixels high) and labels (13 pixels high).
pub(super) const TICK_CHARACTER: i32 = 7;
pub(super) const LABEL_CHARACTER: i32 = 8;

/// The series color of the source at `index`.
pub(super) fn color(index: usize) -> usize {
    index.min(SERIES - 1)
}

/// The text of a chart for readers who cannot see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Caption {
    /// Unique within the page: ASCII letters, digits and `-`.
    pub(super) id: String,
    /// A few words.
    pub(super) title: String,
    /// A sentence or two.
    pub(super) description: String,
}

/// A chart in every size.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Chart {
    caption: Caption,
    drawings: Vec<Drawing>,
}

/// One size of a chart.
#[derive(Debug, PartialEq, Serialize)]
struct Drawing {
    class: &'static str,
    width: i32,
    height: i32,
    /// Later shapes cover earlier ones.
    shapes: Vec<Shape>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Shape {
    Bar {
        color: usize,
        x: i32,
        y: i32,
        width: i32,
        height: i32,
    },
    Line {
        class: &'static str,
        x1: i32,
        y1: i32,
        x2: i32,
        y2: i32,
    },
    /// `y` is the middle of the line of text.
    Text {
        class: &'static str,
        anchor: &'static str,
        x: i32,
        y: i32,
        text: String,
    },
}

/// One stacked bar.
#[derive(Debug, Clone)]
pub(super) struct StackedBar {
    /// The text before the bar.
    pub(super) label: String,
    /// The text after the bar.
    pub(super) total: String,
    /// The parts: their series color and their amount.
    pub(super) parts: Vec<(usize, u64)>,
}

/// A histogram. Positions are in thousandths of the axis' unit.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    /// The bins: from, to, and the number in the bin.
    pub(super) bins: Vec<(i64, i64, u64)>,
    /// The visible part of the axis.
    pub(super) range: (i64, i64),
    /// Labels below the axis.
    pub(super) ticks: Vec<(i64, String)>,
    /// Labeled vertical lines.
    pub(super) markers: Vec<(i64, String)>,
    /// The series color of the bars.
    pub(super) color: usize,
    /// What the axes measure: the one at the bottom, and the one at the left.
    pub(super) titles: [&'static str; 2],
}

/// Horizontal stacked bars on a common scale.
pub(super) fn stacked_bars(caption: Caption, bars: &[StackedBar]) -> Chart {
    let sum = |bar: &StackedBar| bar.parts.iter().map(|(_, amount)| u128::from(*amount)).sum::<u128>();
    let longest = bars.iter().map(sum).max().unwrap_or(0);
    let left = 46.max(8 + widest(bars.iter().map(|bar| &bar.label), LABEL_CHARACTER));
    let margin = 118.max(8 + widest(bars.iter().map(|bar| &bar.total), LABEL_CHARACTER));
    Chart::new(caption, &SIZES, |width| {
        let right = (width - margin).max(left + 1);
        let mut shapes = Vec::new();
        let mut top = 8;
        for bar in bars {
            let middle = top + 12;
            shapes.push(text("label", "end", (left - 8, middle), &bar.label));
            let mut end = 0;
            let mut x = left;
            for (color, amount) in &bar.parts {
                end += u128::from(*amount);
                let next = left + scale(end, longest, right - left);
                if next > x {
                    shapes.push(Shape::Bar { color: *color, x, y: top, width: next - x, height: 24 });
                }
                x = next;
            }
            shapes.push(text("label", "start", (x + 8, middle), &bar.total));
            top += 34;
        }
        (top + 6, shapes)
    })
}

/// A histogram with a count axis at the left.
pub(super) fn histogram(caption: Caption, data: &Histogram) -> Chart {
    Chart::new(caption, &SIZES, |width| {
        let plot = Plot::new(data, width);
        let mut shapes = Vec::new();
        plot.grid(&mut shapes);
        plot.bars(&mut shapes);
        plot.ticks(&mut shapes);
        plot.markers(&mut shapes);
        plot.titles(&mut shapes);
        (plot.height, shapes)
    })
}

impl Chart {
    /// Draws every size; `draw` maps a width to a height and the shapes.
    pub(super) fn new(
        caption: Caption,
        sizes: &[(&'static str, i32)],
        draw: impl Fn(i32) -> (i32, Vec<Shape>),
    ) -> Self {
        let drawings = sizes.iter().map(|&(class, width)| {
            let (height, shapes) = draw(width);
            Drawing { class, width, height, shapes }
        });
        Self { caption, drawings: drawings.collect() }
    }
}

/// The frame in which one size of a histogram is drawn.
struct Plot<'d> {
    data: &'d Histogram,
    width: i32,
    height: i32,
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    /// The number in the fullest bin.
    highest: u64,
    /// The distance between two lines of the grid.
    step: u64,
}

impl<'d> Plot<'d> {
    fn new(data: &'d Histogram, width: i32) -> Self {
        let height = if width < 400 { 190 } else { 230 };
        let highest = data.bins.iter().map(|(_, _, count)| *count).max().unwrap_or(0);
        let step = round_step(highest);
        let top_label = thousands(highest / step * step);
        let left = 58.max(8 + widest([&top_label].into_iter(), TICK_CHARACTER));
        Self { data, width, height, left, right: width - 14, top: 52, bottom: height - 42, highest, step }
    }

    /// The pixel of a position on the axis.
    fn x(&self, at: i64) -> i32 {
        let (from, to) = self.data.range;
        let position = i128::from(at.clamp(from, to.max(from)) - from) * i128::from(self.right - self.left);
        self.left + (position / i128::from((to - from).max(1))) as i32
    }

    fn y(&self, count: u64) -> i32 {
        self.bottom - scale(u128::from(count), u128::from(self.highest), self.bottom - self.top)
    }

    fn grid(&self, shapes: &mut Vec<Shape>) {
        for line in 0..=self.highest / self.step {
            let count = line * self.step;
            let y = self.y(count);
            shapes.push(Shape::Line { class: "grid", x1: self.left, y1: y, x2: self.right, y2: y });
            shapes.push(text("tick", "end", (self.left - 7, y), &thousands(count)));
        }
    }

    fn bars(&self, shapes: &mut Vec<Shape>) {
        for (from, to, count) in self.data.bins.iter().filter(|(_, _, count)| *count > 0) {
            // Every bin that is not empty is visible, and bars have a gap if there is room for one.
            let y = self.y(*count).min(self.bottom - 1);
            let (x, end) = (self.x(*from), self.x(*to));
            let width = (end - x - i32::from(end - x > 3)).max(1);
            shapes.push(Shape::Bar { color: self.data.color, x, y, width, height: self.bottom - y });
        }
        let y = self.bottom;
        shapes.push(Shape::Line { class: "axis", x1: self.left, y1: y, x2: self.right, y2: y });
    }

    /// Labels below the axis: every second, third, ... if there is no room for all.
    fn ticks(&self, shapes: &mut Vec<Shape>) {
        let span = |(at, label): &(i64, String)| {
            let (x, half) = (self.x(*at), 4 * characters(label));
            (x - half, x + half)
        };
        let touch = |pair: &[&(i64, String)]| span(pair[0]).1 + 4 > span(pair[1]).0;
        let ticks = |stride| self.data.ticks.iter().step_by(stride).collect::<Vec<_>>();
        let fits = |stride: &usize| !ticks(*stride).windows(2).any(touch);
        let stride = (1..=self.data.ticks.len()).find(fits).unwrap_or(1);
        for (at, label) in ticks(stride) {
            let (x, half) = (self.x(*at), 4 * characters(label));
            if x >= half && x + half <= self.width {
                shapes.push(text("tick", "middle", (x, self.bottom + 13), label));
            }
        }
    }

    /// The title of the axis at the left stands above it: text on its side is hard to read.
    fn titles(&self, shapes: &mut Vec<Shape>) {
        let [bottom, left] = self.data.titles;
        shapes.push(text("title", "start", (4, 9), left));
        shapes.push(text("title", "middle", ((self.left + self.right) / 2, self.height - 9), bottom));
    }

    /// Vertical lines with labels at the top, in two rows if they are close. A label without room is left out.
    fn markers(&self, shapes: &mut Vec<Shape>) {
        let (from, to) = self.data.range;
        let mut free = [0; 2];
        for (at, label) in self.data.markers.iter().filter(|(at, _)| (from..=to).contains(at)) {
            let half = TICK_CHARACTER * characters(label) / 2 + 1;
            let x = self.x(*at);
            let middle = x.min(self.width - half - 1);
            let row = free.iter().position(|free| middle - half >= *free);
            let rise = row.map_or(0, |row| 12 * row as i32);
            shapes.push(Shape::Line { class: "marker", x1: x, y1: self.top - 8 - rise, x2: x, y2: self.bottom });
            if let Some(row) = row {
                shapes.push(text("marker", "middle", (middle, self.top - 15 - rise), label));
                free[row] = middle + half + 2;
            }
        }
    }
}

pub(super) fn text(class: &'static str, anchor: &'static str, (x, y): (i32, i32), text: &str) -> Shape {
    Shape::Text { class, anchor, x, y, text: text.to_owned() }
}

pub(super) fn characters(text: &str) -> i32 {
    i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 100)
}

fn widest<'t>(texts: impl Iterator<Item = &'t String>, character: i32) -> i32 {
    texts.map(|text| character * characters(text)).max().unwrap_or(0)
}

/// `value` in pixels, if `total` is `length` pixels long; rounded.
pub(super) fn scale(value: u128, total: u128, length: i32) -> i32 {
    let length = length.unsigned_abs();
    let pixels = (value * u128::from(length) + total / 2) / total.max(1);
    pixels.min(u128::from(length)) as i32
}

/// The smallest of 1, 2, 5, 10, 20, ... that fits into `highest` at most four times.
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn caption() -> Caption {
        Caption { id: "c".to_owned(), title: "title".to_owned(), description: "description".to_owned() }
    }

    /// Every shape is within its drawing, with the widest text that its characters can make.
    pub(in super::super) fn assert_nothing_overflows(chart: &Chart) {
        for drawing in &chart.drawings {
            for shape in &drawing.shapes {
                let (x, y, width, height) = match shape {
                    Shape::Bar { x, y, width, height, .. } => {
                        assert!(*width > 0 && *height > 0, "{shape:?}");
                        (*x, *y, *width, *height)
                    }
                    Shape::Line { x1, y1, x2, y2, .. } => (*x1, *y1, x2 - x1, y2 - y1),
                    Shape::Text { class, anchor, x, y, text } => {
                        let character = if *class == "label" { LABEL_CHARACTER } else { TICK_CHARACTER };
                        let width = character * characters(text);
                        let x = match *anchor {
                            "start" => *x,
                            "end" => x - width,
                            _ => x - width / 2,
                        };
                        (x, y - 7, width, 14)
                    }
                };
                let inside = x >= 0 && y >= 0 && x + width <= drawing.width && y + height <= drawing.height;
                assert!(inside, "{shape:?} in {} by {}", drawing.width, drawing.height);
            }
        }
    }

    #[test]
    fn grid_steps_are_round_and_few() {
        let steps = [0, 1, 4, 5, 9, 10, 47, 1_000, 123_456].map(round_step);
        assert_eq!(steps, [1, 1, 1, 2, 2, 5, 10, 500, 50_000]);
        assert!(round_step(u64::MAX) > 1);
    }

    #[test]
    fn parts_of_a_bar_follow_each_other_without_gaps() {
        let bar = StackedBar { label: "5x".to_owned(), total: "4".to_owned(), parts: vec![(0, 1), (1, 0), (2, 3)] };
        let chart = stacked_bars(caption(), &[bar]);
        let bars: Vec<_> = chart.drawings[1].shapes.iter().filter(|shape| matches!(shape, Shape::Bar { .. })).collect();
        let (y, height) = (8, 24);
        let first = Shape::Bar { color: 0, x: 46, y, width: 119, height };
        let second = Shape::Bar { color: 2, x: 165, y, width: 357, height };
        assert_eq!(bars, [&first, &second]);
    }

    #[test]
    fn ticks_are_evenly_spaced() {
        let ticks = (4..=14).map(|octave| (octave * 1000, format!("{}", 1 << octave))).collect();
        let data =
            Histogram { bins: vec![], range: (4_000, 15_000), ticks, markers: vec![], color: 0, titles: [""; 2] };
        let chart = histogram(caption(), &data);
        let texts = |drawing: &Drawing| -> Vec<String> {
            let texts = drawing.shapes.iter().filter_map(|shape| match shape {
                Shape::Text { class: "tick", anchor: "middle", text, .. } => Some(text.clone()),
                _ => None,
            });
            texts.collect()
        };
        assert_eq!(texts(&chart.drawings[0]), ["16", "64", "256", "1024", "4096", "16384"]);
        assert_eq!(texts(&chart.drawings[1]).len(), 11);
    }

    #[test]
    fn empty_charts_have_no_bars() {
        let empty =
            Histogram { bins: vec![], range: (0, 0), ticks: vec![], markers: vec![], color: 0, titles: [""; 2] };
        for chart in [stacked_bars(caption(), &[]), histogram(caption(), &empty)] {
            let mut shapes = chart.drawings.iter().flat_map(|drawing| &drawing.shapes);
            assert!(!shapes.any(|shape| matches!(shape, Shape::Bar { .. })));
        }
    }

    #[test]
    fn the_style_sheet_has_every_color() {
        let css = include_str!("page.css");
        for series in 0..SERIES {
            assert!(css.contains(&format!(".chart .s{series} {{ fill: var(--s{series})")), "{series}");
        }
        assert!(!css.contains(&format!("--s{SERIES}")));
    }

    fn amount() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..9, 0_u64..1_000_000, 0_u64..1_000_000_000_000]
    }

    proptest! {
        #[test]
        fn bars_stay_in_their_drawing(
            bars in prop::collection::vec((1_u32..1_000_000, prop::collection::vec(amount(), 0..9)), 0..6),
        ) {
            let bars: Vec<StackedBar> = bars.into_iter().map(|(cut, amounts)| StackedBar {
                label: format!("{cut}x"),
                total: thousands(amounts.iter().sum()),
                parts: amounts.into_iter().enumerate().map(|(index, amount)| (color(index), amount)).collect(),
            }).collect();
            assert_nothing_overflows(&stacked_bars(caption(), &bars));
        }

        #[test]
        fn histograms_stay_in_their_drawing(
            from in 0_i64..20,
            length in 1_i64..40,
            counts in prop::collection::vec(amount(), 0..60),
            markers in prop::collection::btree_set(0_i64..60, 0..12),
        ) {
            // The axis begins at `from` and may end before the last bin: no shape may leave the plot.
            let labeled = |at: i64| (at * 1000, thousands(at.unsigned_abs() * 1024));
            let data = Histogram {
                bins: (0..).zip(&counts).map(|(bin, count)| (bin * 1000, bin * 1000 + 1000, *count)).collect(),
                range: (from * 1000, (from + length) * 1000),
                ticks: (from..=from + length).map(labeled).collect(),
                markers: markers.into_iter().map(labeled).collect(),
                color: 0,
                titles: ["summaries per raw document", "raw documents"],
            };
            assert_nothing_overflows(&histogram(caption(), &data));
        }
    }
}
