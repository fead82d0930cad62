//! The strict reader under the HTTP library: sees every head and every body boundary first.

use crate::chunk::Chunks;
use crate::head::{Body, Head, Step};
use crate::refuse::{Reason, Refuse};

/// What may be done with a window of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// This many bytes from the window's start are judged and may be read; the next window begins
    /// behind them.
    pub pass: usize,
    /// And then.
    pub then: Then,
}

/// What follows the bytes that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The rest is a partial head or line: read more, and show it again with more behind it.
    More,
    /// A WebSocket was asked for: no byte behind it passes until [`Scanner::tunnel`] or
    /// [`Scanner::resume`] says what they are.
    Hold,
    /// Answer with this and close; nothing more passes, ever.
    Refuse(Refuse),
}

/// Reads the bytes from a client, in order, in windows of any size.
///
/// A head passes whole or not at all, so a refused head is never seen by anyone behind the scanner;
/// neither is a refused body that came in one window with its head. How the bytes are cut into windows
/// changes neither the verdict nor its place. Nothing is allocated: the caller keeps a partial head,
/// at most [`Scanner::HEAD_LIMIT`] bytes.
#[derive(Debug, Clone)]
pub struct Scanner {
    state: State,
    head: Head,
    cut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    Chunks(Chunks),
    Hold,
    Tunnel,
    Refused(Refuse),
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// The longest head, request line and final empty line included.
    pub const HEAD_LIMIT: usize = 32 * 1024;
    /// The most fields of a head.
    pub const FIELD_LIMIT: usize = 100;

    /// At the start of a connection.
    pub fn new() -> Self {
        Self {
            state: State::Head,
            head: Head::default(),
            cut: false,
        }
    }

    /// Judges a window: the bytes that have not passed yet, from the first of them.
    pub fn scan(&mut self, window: &[u8]) -> Scan {
        let mut at = 0;
        let mut message = None;
        loop {
            let step = match self.state {
                State::Head => self.head(window, &mut at, &mut message),
                State::Length(left) => self.length(window, &mut at, left),
                State::Chunks(chunks) => self.chunks(window, &mut at, chunks, message),
                State::Hold => Some(Then::Hold),
                State::Tunnel => {
                    at = window.len();
                    Some(Then::More)
                }
                State::Refused(refuse) => Some(Then::Refuse(refuse)),
            };
            match step {
                None => {}
                Some(then @ Then::Refuse(_)) => {
                    return Scan {
                        pass: message.unwrap_or(at),
                        then,
                    };
                }
                Some(then) => return Scan { pass: at, then },
            }
        }
    }

    /// Whether a message has begun and is not over, were `window` what is left.
    pub fn inside(&self, window: &[u8]) -> bool {
        match self.state {
            State::Head => !window.is_empty(),
            State::Length(_) | State::Chunks(_) => true,
            State::Hold | State::Tunnel | State::Refused(_) => false,
        }
    }

    /// Whether the body of a request is being read.
    pub fn in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunks(_))
    }

    /// Whether the refused message had begun to pass: its head came in an earlier window than the
    /// chunk that broke a rule, so somebody is reading its body.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The upgrade was granted: whatever follows is not HTTP any more.
    pub fn tunnel(&mut self) {
        if self.state == State::Hold {
            self.state = State::Tunnel;
        }
    }

    /// The upgrade was not granted: whatever follows is the next request.
    pub fn resume(&mut self) {
        if self.state == State::Hold {
            self.state = State::Head;
        }
    }

    fn head(&mut self, window: &[u8], at: &mut usize, message: &mut Option<usize>) -> Option<Then> {
        *message = None;
        let rest = &window[*at..];
        if rest.is_empty() {
            return Some(Then::More);
        }
        match self.head.advance(rest) {
            Err(reason) => Some(self.refuse(reason)),
            Ok(Step::More) => Some(Then::More),
            Ok(Step::Done(length, body)) => {
                self.head = Head::default();
                *message = Some(*at);
                *at += length;
                self.state = match body {
                    Body::Length(0) => State::Head,
                    Body::Length(left) => State::Length(left),
                    Body::Chunked => State::Chunks(Chunks::new()),
                    Body::Upgrade => State::Hold,
                };
                None
            }
        }
    }

    fn length(&mut self, window: &[u8], at: &mut usize, left: u64) -> Option<Then> {
        let there = window.len() - *at;
        let taken = there.min(usize::try_from(left).unwrap_or(usize::MAX));
        *at += taken;
        match left - u64::try_from(taken).unwrap_or(left) {
            0 => {
                self.state = State::Head;
                None
            }
            left => {
                self.state = State::Length(left);
                Some(Then::More)
            }
        }
    }

    fn chunks(
        &mut self,
        window: &[u8],
        at: &mut usize,
        mut chunks: Chunks,
        message: Option<usize>,
    ) -> Option<Then> {
        match chunks.advance(&window[*at..]) {
            Err((taken, reason)) => {
                *at += taken;
                self.cut = message.is_none();
                Some(self.refuse(reason))
            }
            Ok((taken, over)) => {
                *at += taken;
                self.state = if over {
                    State::Head
                } else {
                    State::Chunks(chunks)
                };
                (!over).then_some(Then::More)
            }
        }
    }

    fn refuse(&mut self, reason: Reason) -> Then {
        let refuse = reason.refuse();
        self.state = State::Refused(refuse);
        Then::Refuse(refuse)
    }
}

#[cfg(test)]
#[path = "scanner_test.rs"]
mod tests;
