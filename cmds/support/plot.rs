//! Charts of numbers as plain text, drawn with braille dots. No control sequence is in them, so they go into a pipe, a file or
//! a mail as well as to a terminal.
//!
//! Failure contract: drawing cannot fail. However many numbers come, memory stays bounded: the chart keeps the lowest and the
//! highest of each stretch, which is all that a line of dots can show.

use super::{time, units};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Alignment, Rect};
use ratatui_core::symbols::Marker;
use ratatui_core::widgets::Widget as _;
use ratatui_widgets::chart::{Axis, Chart, Dataset, GraphType};

/// From this many points on, stretches of them are thinned out.
const POINTS_MAX: usize = 1 << 16;
/// Of so many points in a row, the lowest and the highest stay.
const STRETCH: usize = 4;
/// Columns of a chart: fewer show nothing, and more are a mistake.
const WIDTHS: std::ops::RangeInclusive<u16> = 30..=400;
/// Lines of a chart without its title.
const HEIGHT: u16 = 16;
const SECOND_NS: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Point {
    number: u64,
    time_ns: u64,
    value: f64,
}

/// Numbers of one woof, to be drawn.
///
/// ```
/// use woofcmds::support::plot::Plot;
/// let mut plot = Plot::new("farm/temp");
/// for (number, value) in (1..).zip([20.5, 22.0, 21.0]) {
///     plot.add(number, 0, value);
/// }
/// assert!(plot.draw(60).starts_with("farm/temp  3 values  min 20.5  max 22  last 21\n"));
/// ```
#[derive(Clone, Debug)]
pub struct Plot {
    name: String,
    points: Vec<Point>,
    /// How many numbers came, the first and the last of them, and the lowest and highest.
    count: u64,
    ends: Option<(Point, Point)>,
    min: f64,
    max: f64,
}

impl Plot {
    /// A chart of what is called `name`; without numbers yet.
    pub fn new(name: &str) -> Plot {
        let name = name.chars().map(|char| if char.is_control() { '?' } else { char }).collect();
        Plot { name, points: Vec::new(), count: 0, ends: None, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }

    /// How many numbers it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds a number: the `number` of its element, and when that was, or 0. Infinities and not-a-number are passed over.
    pub fn add(&mut self, number: u64, time_ns: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        let point = Point { number, time_ns, value };
        self.points.push(point);
        self.ends = Some((self.ends.map_or(point, |(first, _)| first), point));
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if self.points.len() >= POINTS_MAX {
            self.thin();
        }
    }

    /// Halves the points; what a stretch spans up and down stays.
    fn thin(&mut self) {
        let mut kept = Vec::with_capacity(POINTS_MAX);
        for stretch in self.points.chunks(STRETCH) {
            let of = |better: fn(f64, f64) -> bool| {
                stretch
                    .iter()
                    .enumerate()
                    .reduce(|best, point| if better(point.1.value, best.1.value) { point } else { best })
            };
            if let (Some(low), Some(high)) = (of(|a, b| a < b), of(|a, b| a > b)) {
                let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
                kept.push(*first.1);
                if first.0 != second.0 {
                    kept.push(*second.1);
                }
            }
        }
        self.points = kept;
    }

    /// The chart, `width` columns wide: a title, then the lines of the chart. Without numbers it is the title alone.
    pub fn draw(&self, width: u16) -> String {
        let Some((first, last)) = &self.ends else {
            return format!("{}no numbers\n", self.head());
        };
        let head = self.head();
        let values = units::counted(self.count, "value");
        let (min, max) = (number(self.min), number(self.max));
        let mut text = format!("{head}{values}  min {min}  max {max}  last {}\n", number(last.value));
        let timed = first.time_ns > 0 && last.time_ns.saturating_sub(first.time_ns) > SECOND_NS;
        let (x_labels, along): (_, fn(&Point, &Point) -> f64) = if timed {
            (time_labels(first.time_ns, last.time_ns), |first, point| from(first.time_ns, point.time_ns))
        } else {
            (number_labels(first.number, last.number), |first, point| from(first.number, point.number))
        };
        let end = self.points.iter().map(|point| along(first, point)).fold(0.0, f64::max);
        let scale = scale(self.min, self.max);
        let (low, high) = (*scale.first().unwrap_or(&0.0), *scale.last().unwrap_or(&1.0));
        // As parts of the chart, since who draws it computes with spans and products that overflow.
        let place = |point: &Point| (part(along(first, point), 0.0, end), part(point.value, low, high));
        let data: Vec<(f64, f64)> = self.points.iter().map(place).collect();
        let dataset = Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).data(&data);
        let chart =
            Chart::new(vec![dataset]).x_axis(Axis::default().bounds([0.0, 1.0]).labels(x_labels)).y_axis(
                Axis::default()
                    .bounds([0.0, 1.0])
                    .labels_alignment(Alignment::Right)
                    .labels(scale.iter().map(|tick| number(*tick))),
            );
        let area = Rect::new(0, 0, width.clamp(*WIDTHS.start(), *WIDTHS.end()), HEIGHT);
        let mut buffer = Buffer::empty(area);
        chart.render(area, &mut buffer);
        for line in buffer.content().chunks(usize::from(area.width)) {
            let line: String = line.iter().map(ratatui_core::buffer::Cell::symbol).collect();
            text.push_str(line.trim_end_matches([' ', '\u{2800}']));
            text.push('\n');
        }
        text
    }

    fn head(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!("{}  ", self.name) }
    }
}

/// Where a value lies between two others, from 0 to 1.
fn part(value: f64, low: f64, high: f64) -> f64 {
    let (span, above) = match high - low {
        span if span.is_finite() => (span, value - low),
        // The difference of two large numbers can be no number; that of their halves is one.
        _ => (high / 2.0 - low / 2.0, value / 2.0 - low / 2.0),
    };
    if span > 0.0 { (above / span).clamp(0.0, 1.0) } else { 0.0 }
}

/// How far `to` lies behind `from`, or before it.
#[expect(clippy::cast_precision_loss, reason = "a dot is wider than what is lost")]
fn from(from: u64, to: u64) -> f64 {
    if to >= from { (to - from) as f64 } else { -((from - to) as f64) }
}

/// Round numbers at equal distances that enclose `min` and `max`, two to seven of them.
fn scale(min: f64, max: f64) -> Vec<f64> {
    // A span that is nothing beside its numbers would not survive the arithmetic.
    let least = (min.abs().max(max.abs()) * 1e-9).max(f64::MIN_POSITIVE * 1e9);
    let (min, max) = if max - min < least {
        let half = if max == 0.0 { 1.0 } else { (max.abs() * 0.05).max(least) };
        ((min - half).max(f64::MIN), (max + half).min(f64::MAX))
    } else {
        (min, max)
    };
    // Halves first, as the difference of two large numbers can be no number.
    let rough = max / 5.0 - min / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let (low, high) = ((min / step).floor(), (max / step).ceil());
    let ticks: Vec<f64> =
        (0..8).map(|index| low + f64::from(index)).take_while(|tick| *tick <= high).collect();
    let ticks: Vec<f64> = ticks.into_iter().map(|tick| tick * step).collect();
    if ticks.len() >= 2 && ticks.iter().all(|tick| tick.is_finite()) { ticks } else { vec![min, max] }
}

/// A number in few characters: at most six digits that count.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&value.abs()) {
        let text = format!("{value:.5e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 9 by the test above"
    )]
    let places = (5.0 - value.abs().log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn number_labels(first: u64, last: u64) -> Vec<String> {
    if first == last {
        return vec![first.to_string(), String::new()];
    }
    let middle = first / 2 + last / 2 + (first % 2 + last % 2) / 2;
    vec![first.to_string(), middle.to_string(), last.to_string()]
}

/// The time of the first, and how much later the middle and the last are.
fn time_labels(first_ns: u64, last_ns: u64) -> Vec<String> {
    let span_ns = last_ns - first_ns;
    vec![time::local(first_ns), later(span_ns / 2), later(span_ns)]
}

/// A length of time in its two largest units: `+2h30m`.
fn later(span_ns: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let secs = span_ns / SECOND_NS;
    let Some(at) = UNITS.iter().position(|(_, size)| secs >= *size) else {
        return format!("+{}ms", span_ns / 1_000_000);
    };
    let mut text = "+".to_owned();
    let mut rest = secs;
    for (unit, size) in UNITS.iter().skip(at).take(2) {
        if rest >= *size {
            text.push_str(&format!("{}{unit}", rest / size));
        }
        rest %= size;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: &[f64]) -> Plot {
        let mut plot = Plot::new("farm/temp");
        for (number, value) in (1..).zip(values) {
            plot.add(number, 0, *value);
        }
        plot
    }

    #[test]
    fn a_chart_is_plain_text() {
        let values: Vec<f64> =
            (0..120).map(|step| (f64::from(step) / 120.0 * std::f64::consts::TAU).sin() * 10.0).collect();
        assert_eq!(plot(&values).draw(60), include_str!("plot_sine.txt"));
    }

    #[test]
    fn one_value_no_value_and_values_that_are_all_the_same_are_drawn() {
        assert_eq!(Plot::new("w").draw(60), "w  no numbers\n");
        let one = plot(&[21.5]).draw(60);
        assert!(one.starts_with("farm/temp  1 value  min 21.5  max 21.5  last 21.5\n"), "{one}");
        assert_eq!(one.lines().count(), 17);
        let same = plot(&[5.0; 10]).draw(60);
        assert_eq!(
            same.lines()
                .filter(|line| line.contains('\u{28c0}')
                    || line.contains('⠉')
                    || line.contains('⠒')
                    || line.contains('⠤'))
                .count(),
            1,
            "{same}"
        );
    }

    #[test]
    fn numbers_that_cannot_be_drawn_are_passed_over() {
        let plot = plot(&[1.0, f64::NAN, f64::INFINITY, 2.0]);
        assert_eq!(plot.count(), 2);
        assert!(plot.draw(60).starts_with("farm/temp  2 values  min 1  max 2  last 2\n"));
        let mut widest = Plot::new("");
        widest.add(1, 0, f64::MAX);
        widest.add(u64::MAX, 0, f64::MIN);
        assert_eq!(widest.draw(0).lines().count(), 17);
        assert_eq!(widest.draw(u16::MAX).lines().count(), 17);
    }

    #[test]
    fn all_numbers_of_a_double_are_drawn_in_an_instant() {
        let edges = [
            f64::MAX,
            f64::MIN,
            1e307,
            -1e307,
            1e300,
            1.0,
            -0.0,
            5e-324,
            -5e-324,
            f64::MIN_POSITIVE,
            f64::EPSILON,
            9_007_199_254_740_993.0,
        ];
        let (send, drawn) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for a in edges {
                for b in edges {
                    for values in [vec![a], vec![a, b], vec![a, b, a], vec![a, 1.0, b, 0.0]] {
                        let charts = [1, 30, 60, u16::MAX].map(|width| plot(&values).draw(width));
                        let _ = send.send((values, charts));
                    }
                    let mut far = Plot::new("");
                    far.add(u64::MAX, 1, a);
                    far.add(1, u64::MAX, b);
                    let _ = send.send((vec![a, b], [1, 30, 60, u16::MAX].map(|width| far.draw(width))));
                }
            }
        });
        let mut count = 0;
        while count < edges.len() * edges.len() * 5 {
            let (values, charts) =
                drawn.recv_timeout(std::time::Duration::from_secs(60)).expect("the drawing ends");
            count += 1;
            for chart in charts {
                assert!(
                    chart.lines().count() >= 17 && !chart.contains("inf") && !chart.contains("NaN"),
                    "{values:?}\n{chart}"
                );
                let dots = chart.chars().filter(|char| ('\u{2801}'..='\u{28ff}').contains(char)).count();
                assert!(dots > 0, "{values:?}\n{chart}");
            }
        }
    }

    #[test]
    fn the_axis_is_time_when_the_elements_are_apart() {
        let mut plot = Plot::new("w");
        plot.add(1, 1_795_309_323_000_000_000, 1.0);
        plot.add(2, 1_795_309_323_900_000_000, 2.0);
        let lines = plot.draw(60);
        assert!(lines.ends_with("2\n") && lines.contains(" 1 "), "{lines}");
        plot.add(3, 1_795_312_023_000_000_000, 2.0);
        let lines = plot.draw(60);
        assert!(
            lines.contains(&time::local(1_795_309_323_000_000_000)) && lines.ends_with("+45m\n"),
            "{lines}"
        );
        assert_eq!(
            [later(5 * SECOND_NS), later(93_600 * SECOND_NS), later(3600 * SECOND_NS)],
            ["+5s", "+1d2h", "+1h"]
        );
    }

    #[test]
    fn the_scale_is_round_and_encloses_all() {
        assert_eq!(scale(34.1, 75.9), [30.0, 40.0, 50.0, 60.0, 70.0, 80.0]);
        assert_eq!(scale(0.0, 2.0), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(scale(-3.0, 4.0), [-4.0, -2.0, 0.0, 2.0, 4.0]);
        assert_eq!(scale(0.0, 0.0), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert!(scale(f64::MIN, f64::MAX).iter().all(|tick| tick.is_finite()));
        assert!(scale(1e300, 1e300 + 1e285).len() >= 2);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (39.68760, "39.6876"),
            (8759.0, "8759"),
            (-0.5, "-0.5"),
            (1.5e9, "1.5e9"),
            (2e-7, "2e-7"),
            (0.1 + 0.2, "0.3"),
            (1_234_567.0, "1234567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn many_values_keep_their_extremes_in_little_memory() {
        let mut plot = Plot::new("w");
        for number in 1..=1_000_000u64 {
            let value = if number == 777_777 { 99.0 } else { f64::from(u32::try_from(number % 10).unwrap()) };
            plot.add(number, 0, value);
        }
        assert_eq!((plot.count(), plot.max), (1_000_000, 99.0));
        assert!(plot.points.len() < POINTS_MAX);
        assert!(plot.points.iter().any(|point| point.value == 99.0 && point.number == 777_777));
        let chart = plot.draw(60);
        assert!(chart.starts_with("w  1000000 values  min 0  max 99  last 0\n"), "{chart}");
        let labels: Vec<&str> = chart.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(labels, ["1", "500000", "1000000"]);
    }
}
