//! A ridgeline: histograms on one axis, below each other, each on a scale of its own.

use super::charts::{Caption, Chart, Shape, TICK_CHARACTER, characters, scale, text};

/// The widths at which a ridgeline is drawn: it takes the whole width of the page.
const SIZES: [(&str, i32); 3] = [("narrow", 328), ("wide", 640), ("full", 1180)];

/// The height of a row's label and of its bars, in pixels.
const LABEL: i32 = 20;
const BARS: i32 = 40;

/// One histogram of a ridgeline. Positions are in thousandths of the axis' unit.
#[derive(Debug, Clone)]
pub(super) struct Ridge {
    /// The text above the bars.
    pub(super) label: String,
    /// The series color of the bars.
    pub(super) color: usize,
    /// The bins: from, to, and the number in the bin.
    pub(super) bins: Vec<(i64, i64, u64)>,
    /// Where half of the samples are at most.
    pub(super) median: i64,
}

/// What all histograms of a ridgeline share.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// What the axis measures.
    pub(super) title: &'static str,
    /// Its visible part.
    pub(super) range: (i64, i64),
    /// Labels below it.
    pub(super) ticks: Vec<(i64, String)>,
    /// Labeled vertical lines; the flag marks the one that the reader asked for.
    pub(super) markers: Vec<(i64, String, bool)>,
}

/// Draws the rows on their axis.
pub(super) fn ridgeline(caption: Caption, ridges: &[Ridge], axis: &Axis) -> Chart {
    Chart::new(caption, &SIZES, |width| {
        let frame = Frame { axis, left: 10, right: width - 14, top: 34, width };
        let bottom = frame.top + ridges.len() as i32 * (LABEL + BARS);
        let mut shapes = Vec::new();
        for (number, ridge) in (0..).zip(ridges) {
            frame.ridge(ridge, frame.top + number * (LABEL + BARS), &mut shapes);
        }
        frame.markers(bottom, &mut shapes);
        for (number, ridge) in (0..).zip(ridges) {
            let middle = frame.top + number * (LABEL + BARS) + LABEL / 2;
            shapes.push(text("label", "start", (frame.left, middle), &frame.fitted(&ridge.label)));
        }
        frame.ticks(bottom, &mut shapes);
        shapes.push(text("title", "middle", ((frame.left + frame.right) / 2, bottom + 32), axis.title));
        (bottom + 42, shapes)
    })
}

/// Where one size of a ridgeline is drawn.
struct Frame<'a> {
    axis: &'a Axis,
    left: i32,
    right: i32,
    top: i32,
    width: i32,
}

impl Frame<'_> {
    /// The pixel of a position on the axis.
    fn x(&self, at: i64) -> i32 {
        let (from, to) = self.axis.range;
        let position = i128::from(at.clamp(from, to.max(from)) - from) * i128::from(self.right - self.left);
        self.left + (position / i128::from((to - from).max(1))) as i32
    }

    /// A label, shortened to the width of the drawing.
    fn fitted(&self, label: &str) -> String {
        let most = ((self.right - self.left) / super::charts::LABEL_CHARACTER) as usize;
        if label.chars().count() <= most {
            return label.to_owned();
        }
        label.chars().take(most.saturating_sub(1)).chain(['…']).collect()
    }

    fn ridge(&self, ridge: &Ridge, top: i32, shapes: &mut Vec<Shape>) {
        let bottom = top + LABEL + BARS;
        let highest = ridge.bins.iter().map(|(_, _, count)| *count).max().unwrap_or(0);
        for (from, to, count) in ridge.bins.iter().filter(|(_, _, count)| *count > 0) {
            // Every bin that is not empty is visible, and bars have a gap if there is room for one.
            let height = scale(u128::from(*count), u128::from(highest), BARS - 2).max(1);
            let (x, end) = (self.x(*from), self.x(*to));
            let width = (end - x - i32::from(end - x > 3)).max(1);
            shapes.push(Shape::Bar { color: ridge.color, x, y: bottom - height, width, height });
        }
        shapes.push(Shape::Line { class: "axis", x1: self.left, y1: bottom, x2: self.right, y2: bottom });
        if highest > 0 {
            let x = self.x(ridge.median);
            shapes.push(Shape::Line { class: "median", x1: x, y1: bottom - BARS + 2, x2: x, y2: bottom });
        }
    }

    /// Lines through all rows. The labels are at the top, in two rows if they are close; one without room is left out.
    fn markers(&self, bottom: i32, shapes: &mut Vec<Shape>) {
        let (from, to) = self.axis.range;
        let mut free = [0; 2];
        for (at, label, is_own) in self.axis.markers.iter().filter(|(at, ..)| (from..=to).contains(at)) {
            let half = TICK_CHARACTER * characters(label) / 2 + 1;
            let x = self.x(*at);
            let middle = x.clamp(half + 1, (self.width - half - 1).max(half + 1));
            let row = free.iter().position(|free| middle - half >= *free);
            let rise = row.map_or(0, |row| 12 * row as i32);
            let class = if *is_own { "own marker" } else { "marker" };
            shapes.push(Shape::Line { class, x1: x, y1: self.top - 6 - rise, x2: x, y2: bottom });
            if let Some(row) = row {
                shapes.push(text(class, "middle", (middle, self.top - 13 - rise), label));
                free[row] = middle + half + 2;
            }
        }
    }

    /// Labels below the axis: every second, third, ... if there is no room for all.
    fn ticks(&self, bottom: i32, shapes: &mut Vec<Shape>) {
        let half_width = |label: &String| TICK_CHARACTER * characters(label) / 2 + 3;
        let stride = (1..=self.axis.ticks.len()).find(|stride| {
            let ticks: Vec<_> = self.axis.ticks.iter().step_by(*stride).collect();
            ticks
                .windows(2)
                .all(|pair| self.x(pair[0].0) + half_width(&pair[0].1) <= self.x(pair[1].0) - half_width(&pair[1].1))
        });
        for (at, label) in self.axis.ticks.iter().step_by(stride.unwrap_or(1)) {
            let (x, half) = (self.x(*at), half_width(label));
            if x >= half && x + half <= self.width {
                shapes.push(text("tick", "middle", (x, bottom + 12), label));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::charts::tests::{assert_nothing_overflows, caption};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ridges_stay_in_their_drawing(
            from in 0_i64..20,
            length in 1_i64..40,
            rows in prop::collection::vec((".{0,60}", prop::collection::vec(0_u64..1_000_000, 0..60), 0_i64..90_000), 0..7),
            markers in prop::collection::btree_set(0_i64..60, 0..12),
        ) {
            let axis = Axis {
                title: "tokens per sample",
                range: (from * 1000, (from + length) * 1000),
                ticks: (from..=from + length).map(|at| (at * 1000, format!("{}", 1_u64 << at.min(40)))).collect(),
                markers: markers.into_iter().map(|at| (at * 1000, format!("{}", at * 1024), at % 2 == 0)).collect(),
            };
            let ridges: Vec<Ridge> = rows.into_iter().map(|(label, counts, median)| Ridge {
                label,
                color: 0,
                bins: (0..).zip(&counts).map(|(bin, count)| (bin * 1000, bin * 1000 + 1000, *count)).collect(),
                median,
            }).collect();
            assert_nothing_overflows(&ridgeline(caption(), &ridges, &axis));
        }
    }
}
