//! The named channels of a program.

use super::descriptor;
use crate::error::{Code, Error, Result};
use crate::limits;
use std::os::fd::{OwnedFd, RawFd};

/// What errors about the text form call it.
const OBJECT: &str = "WOOF_CHANNELS";

/// One channel.
#[derive(Debug)]
struct Channel {
    name: String,
    number: RawFd,
    direction: Direction,
    /// Whether the descriptor was open when the channels were made.
    open: bool,
    taken: bool,
    /// Whether the text names it, or it is one that is there anyway.
    told: bool,
}

/// Which way a channel goes, seen from the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Input,
    Output,
}

/// The named channels of a program, each of them a descriptor that was open when it started. They are not touched before
/// they are taken, and each can be taken once.
///
/// Make it before anything else is opened: a descriptor that is opened later could get a number that the text names.
///
/// ```
/// use woof_core::chan::Channels;
/// let channels = Channels::parse("in=<0,out=>1,left=<0").unwrap_err();
/// assert_eq!(channels.to_string(), "WOOF_CHANNELS: left=<0: descriptor 0 is the channel in already");
/// let channels = Channels::parse("left=<5")?;
/// assert!(channels.has("left") && channels.has("in") && !channels.has("ui"));
/// # Ok::<(), woof_core::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Channels {
    channels: Vec<Channel>,
}

impl Channels {
    /// Reads the text form, which is what `WOOF_CHANNELS` holds: `in=<0,out=>1,left=<5`. Names are 1 to [`limits::NAME_MAX`] ASCII
    /// letters, digits, `_`, `-` and `.`; `<` is a channel to read from, `>` one to write to. Those of [`Channels::standard`] are there
    /// too, where neither their names nor their descriptors are in the text.
    ///
    /// # Errors
    /// [`Code::Invalid`] and [`Code::TooLarge`] name the entry and what is wrong with it.
    pub fn parse(text: &str) -> Result<Channels> {
        let mut channels: Vec<Channel> = Vec::new();
        for entry in text.split(',').filter(|_| !text.is_empty()) {
            let channel = entry_of(entry)?;
            if channels.iter().any(|other| other.name == channel.name) {
                return Err(invalid(entry, "this name comes twice"));
            }
            if let Some(other) = channels.iter().find(|other| other.number == channel.number) {
                let text = format!("descriptor {} is the channel {} already", other.number, other.name);
                return Err(invalid(entry, &text));
            }
            if channels.len() == limits::CHANNELS_MAX {
                let text = format!("more than {} channels", limits::CHANNELS_MAX);
                return Err(Error::new(Code::TooLarge, OBJECT, text));
            }
            channels.push(channel);
        }
        for standard in Channels::standard().channels {
            if !channels.iter().any(|told| told.name == standard.name || told.number == standard.number) {
                channels.push(standard);
            }
        }
        Ok(Channels { channels })
    }

    /// The channels of a program that was told nothing: `in` is descriptor 0, `out` 1, `err` 2.
    pub fn standard() -> Channels {
        let channel = |name: &str, number, direction| Channel {
            name: name.to_owned(),
            number,
            direction,
            open: descriptor::is_open(number),
            taken: false,
            told: false,
        };
        Channels {
            channels: vec![
                channel("in", 0, Direction::Input),
                channel("out", 1, Direction::Output),
                channel("err", 2, Direction::Output),
            ],
        }
    }

    /// The names of the channels, in the order of the text and then the standard ones, whether taken or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().map(|channel| &*channel.name)
    }

    /// Whether there is a channel of this name, taken or not.
    pub fn has(&self, name: &str) -> bool {
        self.channels.iter().any(|channel| channel.name == name)
    }

    /// Whether the text names this channel.
    pub fn is_told(&self, name: &str) -> bool {
        self.channels.iter().any(|channel| channel.name == name && channel.told)
    }

    /// Whether there is a channel of this name whose descriptor was open.
    pub fn is_open(&self, name: &str) -> bool {
        self.channels.iter().any(|channel| channel.name == name && channel.open)
    }

    /// Takes a channel to read from.
    ///
    /// # Errors
    /// [`Code::NotFound`] where there is none of this name or its descriptor is not open, [`Code::Invalid`] where it was taken
    /// before or is one to write to.
    pub fn take_input(&mut self, name: &str) -> Result<OwnedFd> {
        self.take(name, Direction::Input)
    }

    /// Takes a channel to write to.
    ///
    /// # Errors
    /// As [`Channels::take_input`], the other way round.
    pub fn take_output(&mut self, name: &str) -> Result<OwnedFd> {
        self.take(name, Direction::Output)
    }

    fn take(&mut self, name: &str, direction: Direction) -> Result<OwnedFd> {
        let refused = |code, text: &str| Err(Error::new(code, name, text));
        let Some(channel) = self.channels.iter_mut().find(|channel| channel.name == name) else {
            return refused(Code::NotFound, "no such channel");
        };
        if channel.taken {
            return refused(Code::Invalid, "channel is in use already");
        }
        if channel.direction != direction {
            return refused(Code::Invalid, wrong_way(direction));
        }
        if !channel.open || !descriptor::is_open(channel.number) {
            return refused(Code::NotFound, "closed");
        }
        if let Some(fd) = descriptor::borrow(channel.number) {
            let (read, write) =
                descriptor::modes(fd).map_err(|err| Error::io(name, "look at its descriptor", err))?;
            if !(if direction == Direction::Input { read } else { write }) {
                return refused(Code::Invalid, wrong_way(direction));
            }
        }
        let fd = descriptor::take(channel.number, name)?;
        channel.taken = true;
        Ok(fd)
    }
}

fn wrong_way(wanted: Direction) -> &'static str {
    match wanted {
        Direction::Input => "channel is for writing, not for reading",
        Direction::Output => "channel is for reading, not for writing",
    }
}

fn entry_of(entry: &str) -> Result<Channel> {
    let (name, place) =
        entry.split_once('=').ok_or_else(|| invalid(entry, "expected NAME=<NUMBER or NAME=>NUMBER"))?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > limits::NAME_MAX || !name.chars().all(legal) {
        return Err(invalid(entry, "a name is 1 to 255 letters, digits, _, - or ."));
    }
    let (direction, number) = match (place.strip_prefix('<'), place.strip_prefix('>')) {
        (Some(number), _) => (Direction::Input, number),
        (_, Some(number)) => (Direction::Output, number),
        _ => return Err(invalid(entry, "expected < (to read) or > (to write) after =")),
    };
    // `parse` alone would take a sign, too.
    let number = match number.parse::<RawFd>() {
        Ok(parsed) if number.bytes().all(|c| c.is_ascii_digit()) => parsed,
        _ => return Err(invalid(entry, "expected the number of a descriptor")),
    };
    let open = descriptor::is_open(number);
    Ok(Channel { name: name.to_owned(), number, direction, open, taken: false, told: true })
}

fn invalid(entry: &str, what: &str) -> Error {
    let entry = crate::content::quoted(entry.as_bytes());
    let entry = entry.trim_matches('"');
    Error::new(Code::Invalid, OBJECT, format!("{entry}: {what}"))
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
