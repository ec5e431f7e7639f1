//! Lines out of what a handler writes, piece by piece.

/// A longer line is given out in pieces of this size.
const LINE_MAX: usize = 64 << 10;

/// The beginning of a line whose end has not come.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Whether what comes next begins a line.
    pub fn is_at_start(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes what belongs to the next line, and gives out that line if this is its end; how many bytes were used.
    pub fn next<E>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let room = LINE_MAX - self.rest.len();
        let window = bytes.get(..room).unwrap_or(bytes);
        let (line, used) = match memchr::memchr(b'\n', window) {
            Some(at) => (true, at + 1),
            None => (window.len() == room, window.len()),
        };
        let piece = window.get(..used).unwrap_or(window);
        if !line {
            self.rest.extend_from_slice(piece);
            return Ok(used);
        }
        let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
        if self.rest.is_empty() {
            each(piece)?;
        } else {
            self.rest.extend_from_slice(piece);
            let whole = std::mem::take(&mut self.rest);
            each(&whole)?;
        }
        Ok(used)
    }

    /// Gives out a last line without a newline.
    pub fn end<E>(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() { Ok(()) } else { each(&rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lines: &mut Lines, mut bytes: &[u8], each: &mut dyn FnMut(&[u8])) {
        while !bytes.is_empty() {
            let used = lines
                .next(bytes, |line| {
                    each(line);
                    Ok::<(), ()>(())
                })
                .unwrap();
            bytes = &bytes[used..];
        }
    }

    #[test]
    fn lines_come_out_whole_however_they_came_in() {
        let text = b"one\n\ntwo three\nlast";
        for size in 1..=text.len() {
            let (mut lines, mut out) = (Lines::default(), Vec::new());
            let mut each = |line: &[u8]| out.push(String::from_utf8_lossy(line).into_owned());
            for piece in text.chunks(size) {
                take(&mut lines, piece, &mut each);
            }
            let last = lines.end(|line| {
                each(line);
                Ok::<(), ()>(())
            });
            last.unwrap();
            assert_eq!(out, ["one", "", "two three", "last"], "pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_out_in_pieces() {
        let (mut lines, mut sizes) = (Lines::default(), Vec::new());
        let long = vec![b'x'; 200_000];
        for piece in long.chunks(7_000) {
            take(&mut lines, piece, &mut |line| sizes.push(line.len()));
        }
        assert!(lines.rest.len() < LINE_MAX);
        assert_eq!(sizes, [LINE_MAX; 3]);
    }
}
