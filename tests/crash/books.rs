//! What the writers were told, what a reader saw, and whether the two agree.

use std::collections::HashMap;

/// An element: who wrote it and which of its own it was, from 0. The rest of its bytes follows from the two.
pub(crate) fn element(life: u64, number: u64, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&life.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    let fill = (life.wrapping_mul(31).wrapping_add(number * 7) % 40) as usize;
    out.resize(16 + fill, (life ^ number) as u8);
}

/// The largest element, in bytes.
pub(crate) const ELEMENT_MAX: u64 = 56;

/// What one writer was told is in: its elements' numbers, and their seqnos.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) life: u64,
    pub(crate) acks: Vec<(u64, u64)>,
}

/// What a reader of a woof saw, from its first element on.
#[derive(Default)]
pub(crate) struct Seen {
    /// The seqno that must come next.
    expected: u64,
    /// By writer: the numbers and seqnos of its elements, in the order of the woof.
    elements: HashMap<u64, Vec<(u64, u64)>>,
    /// Seqnos that were gone before they could be read.
    gone: Vec<(u64, u64)>,
    last_time_ns: u64,
}

impl Seen {
    pub(crate) fn new() -> Seen {
        Seen { expected: 1, ..Seen::default() }
    }

    /// How many elements were seen.
    pub(crate) fn count(&self) -> usize {
        self.elements.values().map(Vec::len).sum()
    }

    pub(crate) fn gaps(&self) -> usize {
        self.gone.len()
    }

    /// The next seqno.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// Takes an element in: whole, in its place, and later than the one before it.
    pub(crate) fn element(&mut self, seqno: u64, time_ns: u64, data: &[u8]) {
        let life = u64::from_le_bytes(data[..8].try_into().unwrap());
        let number = u64::from_le_bytes(data[8..16].try_into().unwrap());
        let mut whole = Vec::new();
        element(life, number, &mut whole);
        assert_eq!(data, whole, "element {seqno} is torn");
        self.numbered(seqno, time_ns, life, number);
    }

    /// Takes an element in that holds `number` of the writer `life`.
    pub(crate) fn numbered(&mut self, seqno: u64, time_ns: u64, life: u64, number: u64) {
        assert_eq!(seqno, self.expected, "elements in order, none left out");
        assert!(time_ns >= self.last_time_ns, "element {seqno} is older than the one before it");
        (self.expected, self.last_time_ns) = (seqno + 1, time_ns);
        let of_life = self.elements.entry(life).or_default();
        let last = of_life.last().map(|(number, _)| *number);
        match last {
            _ if self.gone.is_empty() => {
                assert_eq!(number, last.map_or(0, |last| last + 1), "element {seqno}, writer {life:x}");
            }
            Some(last) => assert!(number > last, "element {seqno}: writer {life:x}: {number} after {last}"),
            None => {}
        }
        of_life.push((number, seqno));
    }

    /// Takes note of elements that were gone.
    pub(crate) fn gone(&mut self, from: u64, to: u64) {
        assert_eq!(from, self.expected, "what is gone is told in its place");
        assert!(to >= from);
        self.expected = to + 1;
        self.gone.push((from, to));
    }

    /// Everything that the writers were told is in was seen, where they were told it is, unless it was gone; and nothing was
    /// seen twice, nor more of a writer than it can have been about to be told of.
    pub(crate) fn agrees_with(&self, told: &[Told], unacknowledged_max: u64) {
        for Told { life, acks } in told {
            let elements = self.elements.get(life).map_or(&[][..], Vec::as_slice);
            for (number, seqno) in acks {
                let found = elements.binary_search_by_key(number, |(number, _)| *number);
                match found {
                    Ok(at) => assert_eq!(elements[at].1, *seqno, "writer {life:x}, number {number}"),
                    Err(_) => assert!(
                        self.gone.iter().any(|(from, to)| (from..=to).contains(&seqno)),
                        "writer {life:x} was told that its number {number} is element {seqno}, which is not there"
                    ),
                }
            }
            let acknowledged = acks.last().map_or(0, |(number, _)| number + 1);
            let seen = elements.last().map_or(0, |(number, _)| number + 1);
            assert!(
                seen <= acknowledged + unacknowledged_max,
                "writer {life:x}: {acknowledged} were acknowledged, {seen} are there"
            );
        }
        let known = told.iter().filter(|told| self.elements.contains_key(&told.life)).count();
        assert_eq!(known, self.elements.len(), "elements of writers that never were");
    }
}
