//! Why a request is refused, and with which status.

use std::fmt;

/// A refusal: the status of the answer, after which the connection closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refuse {
    /// The HTTP status: 400, 405, 417, 431, 501 or 505.
    pub status: u16,
    /// Which rule was broken.
    pub reason: Reason,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $status:literal $text:literal,)+) => {
        /// A rule of framing that a request broke. [`fmt::Display`] says it in words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            /// Every reason, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The refusal that this reason leads to.
            pub const fn refuse(self) -> Refuse {
                let status = match self { $(Self::$variant => $status,)+ };
                Refuse { status, reason: self }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }
    };
}

reasons! {
    /// A line feed without a carriage return before it (RFC 9112, 2.2 allows leniency; we do not).
    BareLineFeed 400 "a line ends in a bare line feed",
    /// A carriage return that no line feed follows.
    BareCarriageReturn 400 "a carriage return stands alone",
    /// NUL or another control character.
    ControlCharacter 400 "a control character in the head",
    /// A field line that continues the one before (RFC 9112, 5.2).
    FoldedField 400 "a folded field line",
    /// A field name that is no token, or blank before the colon (RFC 9112, 5.1).
    FieldName 400 "a field name that is not a token",
    /// A name with `_`, which CGI-like servers take for `-`.
    UnderscoreName 400 "a field name with an underscore",
    /// The request line is not `METHOD SP TARGET SP VERSION`.
    RequestLine 400 "a request line that is not `METHOD TARGET HTTP/1.1`",
    /// A target with `#`, `%00`, a backslash or a broken escape.
    Target 400 "a target with a forbidden character",
    /// `CONNECT` or `TRACE`.
    Method 405 "a method that is not served",
    /// Neither HTTP/1.1 nor HTTP/1.0.
    Version 505 "a protocol version that is not served",
    /// `OPTIONS *`.
    Asterisk 501 "a target of `*` is not served",
    /// No `Host`.
    NoHost 400 "no `Host`",
    /// More than one `Host`.
    TwoHosts 400 "more than one `Host`",
    /// A `Host` that is not `name[:port]`.
    OddHost 400 "a `Host` that is not a name",
    /// An absolute target whose authority is not `Host`.
    HostMismatch 400 "a target of another host than `Host`",
    /// `Content-Length` is not one plain number.
    Length 400 "a `Content-Length` that is not one number",
    /// More than one `Content-Length`.
    TwoLengths 400 "more than one `Content-Length`",
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndCoding 400 "both `Content-Length` and `Transfer-Encoding`",
    /// `Transfer-Encoding` twice, or `chunked` twice.
    TwoCodings 400 "more than one `Transfer-Encoding`",
    /// A coding other than `chunked`.
    Coding 501 "a `Transfer-Encoding` other than `chunked`",
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112, 6.1).
    OldCoding 400 "a `Transfer-Encoding` in HTTP/1.0",
    /// `Connection` names a field that must not be removed.
    Nomination 400 "a `Connection` that names a protected field",
    /// `Expect` asks for something other than `100-continue`.
    Expectation 417 "an expectation that cannot be met",
    /// A head longer than [`crate::Scanner::HEAD_LIMIT`].
    HeadLength 431 "a head longer than 32 KiB",
    /// More fields than [`crate::Scanner::FIELD_LIMIT`].
    FieldCount 431 "more than 100 fields",
    /// A chunk-size line that is not hexadecimal digits and extensions.
    ChunkSize 400 "a chunk size that is not a number",
    /// A chunk-size line, or all extensions of a message, beyond their limits.
    ChunkLine 400 "a chunk line that is too long",
    /// Chunk data not followed by CRLF.
    ChunkEnd 400 "a chunk that does not end where it said",
    /// A trailer that frames, routes or authenticates (RFC 9110, 6.5.1).
    Trailer 400 "a trailer that belongs in the head",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_answers_with_a_client_or_server_error() {
        for reason in Reason::ALL {
            assert!((400..=505).contains(&reason.refuse().status), "{reason}");
        }
    }
}
