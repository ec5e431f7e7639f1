//! Where sources push their messages, and ready places for that.

use woof_core::chan::Writer;
use woof_core::error::Result;
use woof_core::wire::{Addr, Dir, Fault, Raw};

/// A message that is passed on. What is behind it lives as long as the call.
#[derive(Clone, Copy, Debug)]
pub enum MessageRef<'a> {
    /// An element.
    Elem {
        /// Its seqno.
        seqno: u64,
        /// When it was put, in nanoseconds since 1970.
        time_ns: u64,
        /// Its bytes.
        data: &'a [u8],
    },
    /// Raw data, such as a part of a file.
    Bytes(&'a [u8]),
    /// Attributes of what follows.
    Dir(&'a Dir),
    /// The end of the file just sent.
    FileEnd {
        /// Bytes of the file.
        len: u64,
        /// CRC-32C of these bytes.
        crc32c: u32,
    },
    /// A name with a range.
    Addr(&'a Addr),
    /// A place in the stream.
    Mark(&'a str),
    /// An error about single elements or files; the source goes on.
    Fault(&'a Fault),
    /// A message of a kind that is not known here, or not of those above.
    Other(&'a Raw<'a>),
}

/// Where a source pushes its messages. Every error ends the source.
///
/// A sink says what becomes of a message in [`Sink::message`]; the verbs are for sources.
pub trait Sink {
    /// Takes a message.
    ///
    /// # Errors
    /// Ends the source.
    fn message(&mut self, message: MessageRef<'_>) -> Result<()>;

    /// Called before the source waits: what was batched is to go out.
    ///
    /// # Errors
    /// Ends the source.
    fn before_wait(&mut self) -> Result<()>;

    /// All elements up to this one were looked at: what was not given out was not wanted, or is gone. Said now and then, before the
    /// source waits, and at the end.
    ///
    /// # Errors
    /// Ends the source.
    fn seen(&mut self, seqno: u64) -> Result<()> {
        let _ = seqno;
        Ok(())
    }

    /// Whether it has enough for now: a source that works in steps ends its step then.
    fn is_full(&self) -> bool {
        false
    }

    /// An element.
    ///
    /// # Errors
    /// Ends the source.
    #[inline]
    fn elem(&mut self, seqno: u64, time_ns: u64, data: &[u8]) -> Result<()> {
        self.message(MessageRef::Elem { seqno, time_ns, data })
    }

    /// Raw data.
    ///
    /// # Errors
    /// Ends the source.
    #[inline]
    fn bytes(&mut self, data: &[u8]) -> Result<()> {
        self.message(MessageRef::Bytes(data))
    }

    /// Attributes of what follows.
    ///
    /// # Errors
    /// Ends the source.
    fn dir(&mut self, dir: &Dir) -> Result<()> {
        self.message(MessageRef::Dir(dir))
    }

    /// The end of the file just sent: its bytes, and their CRC-32C.
    ///
    /// # Errors
    /// Ends the source.
    fn file_end(&mut self, len: u64, crc32c: u32) -> Result<()> {
        self.message(MessageRef::FileEnd { len, crc32c })
    }

    /// A name with a range.
    ///
    /// # Errors
    /// Ends the source.
    fn addr(&mut self, addr: &Addr) -> Result<()> {
        self.message(MessageRef::Addr(addr))
    }

    /// A place in the stream.
    ///
    /// # Errors
    /// Ends the source.
    fn mark(&mut self, name: &str) -> Result<()> {
        self.message(MessageRef::Mark(name))
    }

    /// An error about single elements or files; the source goes on.
    ///
    /// # Errors
    /// Ends the source.
    fn fault(&mut self, fault: &Fault) -> Result<()> {
        self.message(MessageRef::Fault(fault))
    }
}

/// An element that was collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its seqno.
    pub seqno: u64,
    /// When it was put, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Keeps what comes, in memory, by its kind.
///
/// ```
/// use woof_space::{Collected, Sink};
/// let mut collected = Collected::default();
/// collected.elem(7, 0, b"21.5").unwrap();
/// collected.mark("caught-up").unwrap();
/// assert_eq!((collected.texts(), collected.marks), (vec!["21.5".to_owned()], vec!["caught-up".to_owned()]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// Elements.
    pub elements: Vec<Element>,
    /// Raw data, one after another.
    pub bytes: Vec<u8>,
    /// Attributes.
    pub dirs: Vec<Dir>,
    /// The ends of files: their bytes, and the CRC-32C of these.
    pub file_ends: Vec<(u64, u32)>,
    /// Names with ranges.
    pub addrs: Vec<Addr>,
    /// Places in the stream.
    pub marks: Vec<String>,
    /// Errors about single elements or files.
    pub faults: Vec<Fault>,
    /// How many others there were.
    pub others: u64,
    /// Up to where was looked.
    pub seen: u64,
}

impl Collected {
    /// The seqnos of the elements.
    pub fn seqnos(&self) -> Vec<u64> {
        self.elements.iter().map(|element| element.seqno).collect()
    }

    /// The data of the elements as text; what is none of UTF-8 is U+FFFD.
    pub fn texts(&self) -> Vec<String> {
        self.elements.iter().map(|element| String::from_utf8_lossy(&element.data).into_owned()).collect()
    }

    /// The paths of what was found, as text.
    pub fn paths(&self) -> Vec<String> {
        self.dirs.iter().filter_map(|dir| dir.text("path").map(str::to_owned)).collect()
    }
}

impl Sink for Collected {
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        match message {
            MessageRef::Elem { seqno, time_ns, data } => {
                self.elements.push(Element { seqno, time_ns, data: data.to_vec() });
            }
            MessageRef::Bytes(data) => self.bytes.extend_from_slice(data),
            MessageRef::Dir(dir) => self.dirs.push(dir.clone()),
            MessageRef::FileEnd { len, crc32c } => self.file_ends.push((len, crc32c)),
            MessageRef::Addr(addr) => self.addrs.push(addr.clone()),
            MessageRef::Mark(name) => self.marks.push(name.to_owned()),
            MessageRef::Fault(fault) => self.faults.push(fault.clone()),
            MessageRef::Other(_) => self.others += 1,
        }
        Ok(())
    }

    fn before_wait(&mut self) -> Result<()> {
        Ok(())
    }

    fn seen(&mut self, seqno: u64) -> Result<()> {
        self.seen = seqno;
        Ok(())
    }
}

/// Counts elements and raw data. The first fault ends its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Elements.
    pub elements: u64,
    /// Bytes of elements and raw data.
    pub bytes: u64,
}

impl Sink for Counted {
    #[inline]
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        match message {
            MessageRef::Elem { data, .. } => {
                self.elements += 1;
                self.bytes += data.len() as u64;
            }
            MessageRef::Bytes(data) => self.bytes += data.len() as u64,
            MessageRef::Fault(fault) => return Err(fault.to_error()),
            _ => {}
        }
        Ok(())
    }

    fn before_wait(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A writer is a sink: what comes goes into its stream. Its end stays to be written ([`Writer::end`]).
impl Sink for Writer {
    #[inline]
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        match message {
            MessageRef::Elem { seqno, time_ns, data } => Writer::elem(self, seqno, time_ns, data),
            MessageRef::Bytes(data) => Writer::bytes(self, data),
            MessageRef::Dir(dir) => Writer::dir(self, dir),
            MessageRef::FileEnd { len, crc32c } => Writer::file_end(self, len, crc32c),
            MessageRef::Addr(addr) => Writer::addr(self, addr),
            MessageRef::Mark(name) => Writer::mark(self, name),
            MessageRef::Fault(fault) => Writer::err(self, fault),
            MessageRef::Other(raw) => Writer::raw(self, raw),
        }
    }

    fn before_wait(&mut self) -> Result<()> {
        self.flush()
    }
}

/// Gives what comes to a function. It batches nothing.
#[derive(Clone, Copy, Debug)]
pub struct Each<F>(pub F);

impl<F: FnMut(MessageRef<'_>) -> Result<()>> Sink for Each<F> {
    #[inline]
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        (self.0)(message)
    }

    fn before_wait(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Gives what comes to two others, the first one first.
#[derive(Clone, Copy, Debug)]
pub struct Tee<A, B>(pub A, pub B);

impl<A: Sink, B: Sink> Sink for Tee<A, B> {
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        self.0.message(message)?;
        self.1.message(message)
    }

    fn before_wait(&mut self) -> Result<()> {
        self.0.before_wait()?;
        self.1.before_wait()
    }

    fn seen(&mut self, seqno: u64) -> Result<()> {
        self.0.seen(seqno)?;
        self.1.seen(seqno)
    }

    fn is_full(&self) -> bool {
        self.0.is_full() || self.1.is_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use woof_core::chan::{Input, Reader};
    use woof_core::error::{Code, Error};
    use woof_core::wire::Kind;

    fn all(sink: &mut dyn Sink) {
        sink.dir(&Dir::new().set("path", "farm/temp")).unwrap();
        sink.elem(7, 9, b"21.5").unwrap();
        sink.bytes(b"part").unwrap();
        sink.file_end(4, 5).unwrap();
        sink.mark("caught-up").unwrap();
        sink.fault(&Fault::from(&Error::new(Code::Gone, "farm/temp", "gone"))).unwrap();
        sink.message(MessageRef::Other(&Raw { kind: Kind(77), ..Raw::bytes(b"new") })).unwrap();
        sink.seen(8).unwrap();
    }

    #[test]
    fn a_collection_has_every_message_and_so_has_what_a_writer_wrote() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut both = Tee(Collected::default(), Writer::new(write, "out"));
        all(&mut both);
        let Tee(collected, writer) = both;
        writer.end(Ok(())).unwrap();
        assert_eq!(
            (collected.seqnos(), collected.texts(), collected.paths()),
            (vec![7], vec!["21.5".to_owned()], vec!["farm/temp".to_owned()])
        );
        assert_eq!(
            (&*collected.bytes, &*collected.file_ends, collected.others, collected.seen),
            (&b"part"[..], &[(4, 5)][..], 1, 8)
        );
        assert_eq!((collected.marks.len(), collected.faults[0].text.as_str()), (1, "gone"));
        let mut reader = Reader::new(read, "in");
        let mut kinds = Vec::new();
        while let Input::Message(raw) = reader.next(&mut ()).unwrap() {
            kinds.push(raw.kind);
        }
        let expected = [Kind::DIR, Kind::ELEM, Kind::BYTES, Kind::FILE_END, Kind::MARK, Kind::ERR, Kind(77)];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_fault_ends_the_source_of_who_counts() {
        let mut counted = Counted::default();
        counted.elem(1, 0, b"abc").unwrap();
        counted.bytes(b"de").unwrap();
        assert_eq!(counted, Counted { elements: 1, bytes: 5 });
        let fault = Fault::from(&Error::new(Code::Damaged, "w", "element 2 is damaged"));
        assert_eq!(counted.fault(&fault).unwrap_err().to_string(), "w: element 2 is damaged");
    }

    #[test]
    fn a_function_is_a_sink() {
        let mut marks = Vec::new();
        let mut sink = Each(|message: MessageRef<'_>| {
            if let MessageRef::Mark(name) = message {
                marks.push(name.to_owned());
            }
            Ok(())
        });
        sink.mark("here").unwrap();
        sink.elem(1, 0, b"").unwrap();
        assert_eq!(marks, ["here"]);
    }
}
