//! The chunked coding (RFC 9112, 7.1), judged as it arrives.

use crate::field;
use crate::refuse::Reason;

/// A chunked body under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    state: State,
    /// Bytes of chunk-size lines so far, extensions above all.
    lines: usize,
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    /// The CRLF behind the data; how many of its bytes are still to come.
    End(u8),
    Trailers,
    Done,
}

/// The longest chunk-size line, its CRLF included: 16 digits and room for an extension.
const LINE: usize = 256;
/// All chunk-size lines of one message that carry extensions (CVE-2024-22020 and its kin).
const LINES: usize = 16 * 1024;
/// The longest trailer section.
const TRAILERS: usize = 8 * 1024;

impl Chunks {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size,
            lines: 0,
            trailers: 0,
        }
    }

    /// Takes what can be judged of `bytes`: how many bytes that is, and whether the body is over.
    /// A partial line stays with the caller, who gives it again with more behind it.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, bool), (usize, Reason)> {
        let mut at = 0;
        while self.state != State::Done {
            let rest = &bytes[at..];
            match self.step(rest).map_err(|reason| (at, reason))? {
                0 => break,
                taken => at += taken,
            }
        }
        Ok((at, self.state == State::Done))
    }

    /// Takes one piece; 0 when more bytes are needed.
    fn step(&mut self, rest: &[u8]) -> Result<usize, Reason> {
        match self.state {
            State::Size => self.size(rest),
            State::Data(left) => Ok(self.data(left, rest)),
            State::End(left) => self.end(left, rest),
            State::Trailers => self.trailer(rest),
            State::Done => Ok(0),
        }
    }

    fn size(&mut self, rest: &[u8]) -> Result<usize, Reason> {
        let Some(line) = line(rest, LINE, Reason::ChunkLine)? else {
            return Ok(0);
        };
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let extension = &line[digits..];
        if digits == 0 || digits > 15 || !matches!(extension.first(), None | Some(b';')) {
            return Err(Reason::ChunkSize);
        }
        field::check_value(extension)?;
        self.lines += extension.len();
        if self.lines > LINES {
            return Err(Reason::ChunkLine);
        }
        self.state = match hexadecimal(&line[..digits]) {
            0 => State::Trailers,
            size => State::Data(size),
        };
        Ok(line.len() + 2)
    }

    fn data(&mut self, left: u64, rest: &[u8]) -> usize {
        let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - u64::try_from(taken).unwrap_or(left);
        self.state = if left == 0 {
            State::End(2)
        } else {
            State::Data(left)
        };
        taken
    }

    fn end(&mut self, left: u8, rest: &[u8]) -> Result<usize, Reason> {
        let wanted = if left == 2 { b'\r' } else { b'\n' };
        match rest.first() {
            None => return Ok(0),
            Some(byte) if *byte == wanted => {}
            Some(_) => return Err(Reason::ChunkEnd),
        }
        self.state = if left == 2 {
            State::End(1)
        } else {
            State::Size
        };
        Ok(1)
    }

    fn trailer(&mut self, rest: &[u8]) -> Result<usize, Reason> {
        let Some(line) = line(rest, TRAILERS, Reason::HeadLength)? else {
            return Ok(0);
        };
        if line.is_empty() {
            self.state = State::Done;
            return Ok(2);
        }
        let (name, _) = field::split(line)?;
        if field::is_protected(name) {
            return Err(Reason::Trailer);
        }
        self.trailers += line.len() + 2;
        if self.trailers > TRAILERS {
            return Err(Reason::HeadLength);
        }
        Ok(line.len() + 2)
    }
}

/// The first line of `rest` without its CRLF, once it is whole.
fn line(rest: &[u8], limit: usize, long: Reason) -> Result<Option<&[u8]>, Reason> {
    let looked = &rest[..rest.len().min(limit)];
    let Some(feed) = memchr::memchr(b'\n', looked) else {
        return if rest.len() >= limit {
            Err(long)
        } else {
            Ok(None)
        };
    };
    match looked[..feed].split_last() {
        Some((b'\r', text)) => Ok(Some(text)),
        _ => Err(Reason::BareLineFeed),
    }
}

fn hexadecimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, byte| {
        let digit = char::from(*byte).to_digit(16).unwrap_or(0);
        (sum << 4) | u64::from(digit)
    })
}
