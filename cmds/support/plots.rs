//! Charts of the numbers of a stream, one for each woof in it.
//!
//! Failure contract: data that is no number is counted and passed over. Errors in the stream are told in their place.

use super::args::Args;
use super::command::{Failure, Outcome, Run};
use super::env::{Env, each};
use super::output::{Context, Output};
use super::plot::Plot;
use super::units;
use libwoofstream::chan::Reader;
use libwoofstream::error::{Code, Error};
use libwoofstream::name::shown;
use libwoofstream::wire::{Kind, Message, Raw};
use std::ops::ControlFlow;

/// The most woofs that get a chart each.
const PLOTS_MAX: usize = 16;
/// Columns where nobody says how many there are.
const WIDTH: u16 = 80;

/// Numbers of a stream, by woof.
#[derive(Debug, Default)]
struct Plots {
    plots: Vec<(String, Plot)>,
    context: Context,
    /// Raw data has no numbers of its own.
    counted: u64,
    /// Data that was no number.
    passed_over: u64,
}

/// Reads what the operands `NAME` name, or `in`, and draws its numbers.
///
/// # Errors
/// Those of reading and writing; more woofs than can have a chart each.
pub fn show(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let mut plots = Plots::default();
    let mut names = args.texts("NAME").peekable();
    if names.peek().is_none() {
        plots.read(env.input(args)?, out)?;
    }
    for name in names {
        plots.context = Context::default();
        plots.read(env.open(name, args)?, out)?;
    }
    let text = plots.draw(columns(out));
    out.bytes(text.as_bytes())?;
    Ok(Outcome::Done)
}

impl Plots {
    fn read(&mut self, mut reader: Reader, out: &mut Output) -> Result<(), Failure> {
        each(&mut reader, out, |raw, out| {
            self.message(raw, out)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    fn message(&mut self, raw: &Raw<'_>, out: &mut Output) -> Result<(), Error> {
        let (number, time_ns, data) = match raw.kind {
            Kind::ELEM => {
                let elem = raw.elem()?;
                (elem.seqno, elem.time_ns, elem.data)
            }
            Kind::BYTES => (0, 0, raw.payload),
            Kind::DIR => {
                if let Message::Dir(dir) = raw.decode()? {
                    self.context.enter(&dir);
                }
                return Ok(());
            }
            Kind::ERR => return out.message(raw),
            _ => return Ok(()),
        };
        self.counted += 1;
        match self.context.content.value(data) {
            Some(value) if value.is_finite() => {
                let number = if number == 0 { self.counted } else { number };
                self.plot()?.add(number, time_ns, value);
            }
            _ => self.passed_over += 1,
        }
        Ok(())
    }

    /// The chart of the woof that is the context.
    fn plot(&mut self) -> Result<&mut Plot, Error> {
        let woof = &self.context.woof;
        let at = match self.plots.iter().position(|(name, _)| name == woof) {
            Some(at) => at,
            None if self.plots.len() >= PLOTS_MAX => {
                let text = format!("numbers of over {PLOTS_MAX} woofs are too many for a chart each");
                return Err(Error::new(Code::TooLarge, "--plot", text));
            }
            None => {
                self.plots.push((woof.clone(), Plot::new(&shown(woof.as_bytes()))));
                self.plots.len() - 1
            }
        };
        // The place was found or made just now.
        self.plots.get_mut(at).map(|(_, plot)| plot).ok_or_else(|| Error::new(Code::Io, "--plot", "no chart"))
    }

    fn draw(&self, width: u16) -> String {
        let charts: Vec<String> = self.plots.iter().map(|(_, plot)| plot.draw(width)).collect();
        let mut text = if charts.is_empty() { "no numbers\n".to_owned() } else { charts.join("\n") };
        if self.passed_over > 0 {
            text.push_str(&format!("{} without a number\n", units::counted(self.passed_over, "message")));
        }
        text
    }
}

/// How wide a chart is: what `COLUMNS` says, else as the terminal is, else 80.
fn columns(out: &Output) -> u16 {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let terminal = || {
        let tty = std::fs::File::open("/dev/tty").ok().filter(|_| out.is_terminal())?;
        rustix::termios::tcgetwinsize(&tty).ok().map(|size| size.ws_col)
    };
    told.or_else(terminal).filter(|columns| *columns > 0).unwrap_or(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::super::messages::{Color, Messages};
    use super::*;
    use libwoofstream::wire::{Decoder, Dir, Step, encode};

    /// What the plots of a stream say in their titles.
    fn titles(stream: &[u8]) -> Vec<String> {
        let mut out = Output::nowhere(Messages::new("wcat", Color::Never));
        let (mut plots, mut decoder, mut rest) = (Plots::default(), Decoder::new(1 << 20), stream);
        while !rest.is_empty() {
            let (used, step) = decoder.step(rest).unwrap();
            if let Step::Message(raw) = step {
                plots.message(&raw, &mut out).unwrap();
            }
            rest = &rest[used..];
        }
        let drawn = plots.draw(60);
        drawn
            .lines()
            .filter(|line| line.contains("  min ") || line.contains("number"))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn each_woof_has_a_chart_and_what_is_no_number_is_counted() {
        let mut stream = Vec::new();
        encode::preamble(&mut stream);
        encode::bytes(&mut stream, b"1\n");
        encode::bytes(&mut stream, b"one\n");
        encode::dir(&mut stream, &Dir::new().set("path", "a").set("content", "f64")).unwrap();
        encode::elem(&mut stream, 5, 0, &21.5f64.to_le_bytes());
        encode::dir(&mut stream, &Dir::new().set("path", "b").set("content", "i64")).unwrap();
        encode::elem(&mut stream, 1, 0, &7i64.to_le_bytes());
        encode::dir(&mut stream, &Dir::new().set("path", "a").set("content", "f64")).unwrap();
        encode::elem(&mut stream, 6, 0, &22f64.to_le_bytes());
        encode::end(&mut stream, Ok(()));
        assert_eq!(
            titles(&stream),
            [
                "1 value  min 1  max 1  last 1",
                "a  2 values  min 21.5  max 22  last 22",
                "b  1 value  min 7  max 7  last 7",
                "1 message without a number"
            ]
        );
    }

    #[test]
    fn a_stream_without_numbers_says_so() {
        let mut stream = Vec::new();
        encode::preamble(&mut stream);
        encode::end(&mut stream, Ok(()));
        assert_eq!(titles(&stream), ["no numbers"]);
    }
}
