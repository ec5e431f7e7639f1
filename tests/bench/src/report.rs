//! The table: a row for each thing measured, printed as soon as it is there, aligned for people or as Markdown.

use crate::Result;
use crate::measure::Pair;
use std::io::Write;

/// How a figure is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds of one operation, written as how many there are in a second.
    Rate,
    /// Seconds of one operation, written as a time.
    Time,
}

/// What is to be reached.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At most so many times the time of what runs beside.
    TimesItsTime(f64),
    /// At least so many times as fast.
    TimesAsFast(f64),
}

/// Writes the rows.
pub(crate) struct Report {
    markdown: bool,
    missed: usize,
    rows: usize,
}

/// The widths of the columns, but for the last.
const WIDTHS: [usize; 5] = [53, 9, 43, 9, 22];

impl Report {
    /// Writes the head of the table.
    pub(crate) fn new(markdown: bool) -> Result<Report> {
        let report = Report { markdown, missed: 0, rows: 0 };
        report.line(["what", "ours", "beside", "its figure", "ratio [least..most]", "to reach"])?;
        if markdown {
            writeln!(std::io::stdout(), "|---|---|---|---|---|---|")?;
        }
        Ok(report)
    }

    /// A row of two things measured in turns.
    pub(crate) fn pair(
        &mut self,
        what: &str,
        beside: &str,
        unit: Unit,
        pair: &Pair,
        target: Target,
    ) -> Result<()> {
        let (ratio, least, most) = pair.ratio();
        let (ratio, least, most, text, reached) = match target {
            Target::TimesItsTime(times) => {
                (ratio, least, most, format!("at most {times}x its time"), ratio <= times)
            }
            Target::TimesAsFast(times) => {
                let ratio = 1.0 / ratio;
                (ratio, 1.0 / most, 1.0 / least, format!("at least {times}x as fast"), ratio >= times)
            }
        };
        self.row(
            what,
            &figure(unit, pair.ours()),
            beside,
            &figure(unit, pair.beside()),
            &format!("{ratio:.2}x [{least:.2}..{most:.2}]"),
            &text,
            reached,
        )
    }

    /// A row of any texts.
    #[expect(clippy::too_many_arguments, reason = "one for each column")]
    pub(crate) fn row(
        &mut self,
        what: &str,
        ours: &str,
        beside: &str,
        theirs: &str,
        ratio: &str,
        target: &str,
        reached: bool,
    ) -> Result<()> {
        self.rows += 1;
        self.missed += usize::from(!reached);
        let verdict = format!("{target}: {}", if reached { "yes" } else { "NO" });
        self.line([what, ours, beside, theirs, ratio, &verdict])
    }

    /// A line between the rows, for people; in Markdown it goes to standard error.
    pub(crate) fn note(&self, text: &str) -> Result<()> {
        if self.markdown {
            writeln!(std::io::stderr(), "{text}")?;
        } else {
            writeln!(std::io::stdout(), "{text}")?;
        }
        Ok(())
    }

    /// The last line.
    pub(crate) fn finish(&self) -> Result<()> {
        self.note(&format!("{} rows, {} missed", self.rows, self.missed))
    }

    fn line(&self, cells: [&str; 6]) -> Result<()> {
        let mut line = String::new();
        if self.markdown {
            line = format!("| {} |", cells.join(" | "));
        } else {
            for (number, cell) in cells.iter().enumerate() {
                line.push_str(cell);
                if let Some(width) = WIDTHS.get(number) {
                    line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
                }
            }
        }
        // Shown at once, since the next row may take a minute.
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()?;
        Ok(())
    }
}

/// Seconds of one operation as a rate or a time, with three digits.
pub(crate) fn figure(unit: Unit, seconds: f64) -> String {
    let scales: &[(f64, &str)] = match unit {
        Unit::Rate => &[(1e6, " M/s"), (1e3, " k/s"), (1.0, "/s")],
        Unit::Time => &[(1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")],
    };
    let value = if unit == Unit::Rate { 1.0 / seconds } else { seconds };
    let last = scales.last().copied().unwrap_or((1.0, ""));
    let (scale, name) = scales.iter().copied().find(|(scale, _)| value >= *scale).unwrap_or(last);
    let scaled = value / scale;
    let digits = match scaled {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!(figure(Unit::Rate, 1e-7), "10.0 M/s");
        assert_eq!(figure(Unit::Rate, 1.0 / 6_900.0), "6.90 k/s");
        assert_eq!(figure(Unit::Time, 0.000_145), "145 us");
        assert_eq!(figure(Unit::Time, 0.000_000_036), "36.0 ns");
    }
}
