//! How text looks: the one mapping of meanings to colours.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The word `error`.
    Error,
    /// The first line's message.
    Message,
    /// File, line and column.
    Place,
    /// Line numbers and frame.
    Frame,
    /// Carets and what stands beside them.
    Caret,
    /// The word `hint`.
    Hint,
}

/// What the reader's terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether frames are drawn in ASCII, for a locale that is not UTF-8.
    pub ascii: bool,
    /// Whether colours are used; the text is complete without.
    pub coloured: bool,
    /// Columns of a source line that are shown at most.
    pub columns: usize,
}

impl Default for Style {
    /// UTF-8, no colour, 100 columns.
    fn default() -> Self {
        Self {
            ascii: false,
            coloured: false,
            columns: 100,
        }
    }
}

impl Style {
    /// The text as this role: with ANSI colours of the terminal's own palette, or as it is.
    pub fn paint(self, role: Role, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let code = match role {
            Role::Error => "1;31",
            Role::Message => "1",
            Role::Place => "36",
            Role::Frame => "2",
            Role::Caret => "31",
            Role::Hint => "1;32",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The corner, the bar and the mark of a cut.
    pub(crate) fn frame(self) -> (&'static str, &'static str, &'static str) {
        if self.ascii {
            ("-->", "|", "...")
        } else {
            ("┌", "│", "…")
        }
    }
}
