//! The frame boundaries of a WebSocket (RFC 6455, 5.2).

/// Follows one direction of a WebSocket and knows whether a frame has just ended, so that a close
/// frame can be put in without cutting another in two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frames {
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    First,
    Second,
    Length {
        left: u8,
        length: u64,
        masked: bool,
    },
    Payload {
        left: u64,
    },
}

impl Frames {
    /// Takes the next bytes and says how many of them belong to whole frames: the place of the last
    /// boundary, or `None` when no frame ends in them.
    pub fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut boundary = None;
        let mut at = 0;
        while at < bytes.len() {
            at += self.step(&bytes[at..]);
            if self.at_boundary() {
                boundary = Some(at);
            }
        }
        boundary
    }

    /// Whether the bytes so far end with a whole frame.
    pub fn at_boundary(&self) -> bool {
        self.state == State::First
    }

    /// Takes at least one byte.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let Some(byte) = bytes.first().copied() else {
            return 0;
        };
        self.state = match self.state {
            State::First => State::Second,
            State::Second => second(byte),
            State::Length {
                left,
                length,
                masked,
            } => longer(left - 1, (length << 8) | u64::from(byte), masked),
            State::Payload { left } => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.state = payload(left - u64::try_from(taken).unwrap_or(left));
                return taken;
            }
        };
        1
    }
}

fn second(byte: u8) -> State {
    let masked = byte & 0x80 != 0;
    match byte & 0x7f {
        126 => State::Length {
            left: 2,
            length: 0,
            masked,
        },
        127 => State::Length {
            left: 8,
            length: 0,
            masked,
        },
        length => longer(0, u64::from(length), masked),
    }
}

fn longer(left: u8, length: u64, masked: bool) -> State {
    if left > 0 {
        return State::Length {
            left,
            length,
            masked,
        };
    }
    payload(length.saturating_add(if masked { 4 } else { 0 }))
}

fn payload(left: u64) -> State {
    if left == 0 {
        State::First
    } else {
        State::Payload { left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boundaries_of_short_long_and_masked_frames() {
        let mut frames = Frames::default();
        assert_eq!(frames.advance(&[0x81, 2, b'h', b'i', 0x81]), Some(4));
        assert!(!frames.at_boundary());
        assert_eq!(frames.advance(&[0]), Some(1));
        let mut long = vec![0x82, 126, 1, 0];
        long.extend([7; 256]);
        assert_eq!(frames.advance(&long), Some(260));
        assert_eq!(frames.advance(&[0x88, 0x82, 1, 2, 3, 4, 5, 6]), Some(8));
    }

    proptest! {
        #[test]
        fn splitting_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
            let cut = cut.min(bytes.len());
            let (mut whole, mut split) = (Frames::default(), Frames::default());
            whole.advance(&bytes);
            split.advance(&bytes[..cut]);
            split.advance(&bytes[cut..]);
            prop_assert_eq!(whole, split);
        }
    }
}
