//! Fetching: one HTTP/1.1 exchange within limits of time and size; redirects are answers like any other.

use crate::config::Place;
use crate::tls;
use flate2::read::MultiGzDecoder;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// Longest head of an answer.
const HEAD_MAX: usize = 32 << 10;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchFault {
    /// The name has no address.
    #[error("`{address}` has no address: {source}")]
    Name { address: String, source: io::Error },
    /// The address is one where clouds keep their secrets.
    #[error("`{address}` is link-local, and not allowed")]
    LinkLocal { address: IpAddr },
    /// Nobody answers.
    #[error("the connection failed: {0}")]
    Connection(#[from] io::Error),
    /// The answer is not HTTP.
    #[error("the answer cannot be read: {why}")]
    Garbled { why: &'static str },
    /// The answer is too long.
    #[error("the answer has more than {limit} bytes")]
    Long { limit: usize },
    /// It was not given in time.
    #[error("no answer within {limit_ms} ms")]
    Late { limit_ms: u64 },
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// Lines of the head, each with its end.
    pub(crate) fields: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) bytes_max: usize,
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// When it may be asked again, as the field `Retry-After` says it.
    pub(crate) retry_after: String,
    /// How many samples were written, as a receiver of remote-write 2.0 says; nothing where it does not.
    pub(crate) written: Option<u64>,
    pub(crate) body: Vec<u8>,
    /// Cookies that it sets, as `name=value`.
    pub(crate) cookies: Vec<String>,
    /// Whether the connection can be used again.
    is_open: bool,
}

/// By what a peer's certificate is judged.
#[derive(Debug, Clone, Copy)]
enum Judge<'j> {
    /// The system's certificates.
    System,
    /// The same, and when the peer's end is remembered.
    Seen(&'j tls::Seen),
    /// Certificates of the target's own.
    Only(&'j tls::Trust),
}

/// A connection to one place.
#[derive(Debug)]
pub(crate) enum Connection {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Connection {
    /// Connects; of several addresses the first that answers is taken.
    pub(crate) async fn open(place: &Place, link_local: bool) -> Result<Self, FetchFault> {
        Self::begin(place, link_local, Judge::System).await
    }

    /// The same, where the peer is trusted by certificates of its own, if any.
    async fn open_by(
        place: &Place,
        link_local: bool,
        trust: Option<&tls::Trust>,
    ) -> Result<Self, FetchFault> {
        let judge = trust.map_or(Judge::System, Judge::Only);
        Self::begin(place, link_local, judge).await
    }

    /// The same, and remembers when the certificates of the peer end.
    pub(crate) async fn open_seen(place: &Place, seen: &tls::Seen) -> Result<Self, FetchFault> {
        Self::begin(place, false, Judge::Seen(seen)).await
    }

    async fn begin(place: &Place, link_local: bool, judge: Judge<'_>) -> Result<Self, FetchFault> {
        let address = match place {
            Place::Unix(path) => return Ok(Self::Unix(UnixStream::connect(path).await?)),
            Place::Tcp(address) | Place::Tls(address) => address,
        };
        let found = tokio::net::lookup_host(address.as_str()).await;
        let found = found.map_err(|source| FetchFault::Name {
            address: address.clone(),
            source,
        })?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for one in found {
            if is_link_local(one.ip()) && !link_local {
                return Err(FetchFault::LinkLocal { address: one.ip() });
            }
            match TcpStream::connect(one).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    if matches!(place, Place::Tcp(_)) {
                        return Ok(Self::Tcp(stream));
                    }
                    let host = address
                        .rsplit_once(':')
                        .map_or(address.as_str(), |pair| pair.0);
                    let host = host.trim_start_matches('[').trim_end_matches(']');
                    let secured = match judge {
                        Judge::Seen(seen) => tls::begin_seen(stream, host, seen).await?,
                        Judge::System => tls::begin(stream, host).await?,
                        Judge::Only(trust) => tls::begin_by(stream, host, trust).await?,
                    };
                    return Ok(Self::Tls(Box::new(secured)));
                }
                Err(fault) => last = fault,
            }
        }
        Err(FetchFault::Connection(last))
    }

    /// The peer's address.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Tls(stream) => stream.get_ref().0.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Whether nothing waits to be read: a peer that closed has something.
    fn is_idle(&self) -> bool {
        let mut byte = [0; 1];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            // What waits may be of the protocol; a peer that closed is found out by asking.
            Self::Tls(_) => return false,
            Self::Unix(stream) => stream.try_read(&mut byte),
        };
        matches!(read, Err(fault) if fault.kind() == io::ErrorKind::WouldBlock)
    }

    /// Asks one question.
    pub(crate) async fn exchange(
        &mut self,
        request: &Request<'_>,
        into: &mut Vec<u8>,
    ) -> Result<Answer, FetchFault> {
        match self {
            Self::Tcp(stream) => exchange(stream, request, into).await,
            Self::Tls(stream) => exchange(stream, request, into).await,
            Self::Unix(stream) => exchange(stream, request, into).await,
        }
    }
}

/// Whether an address is where clouds answer questions about their machines.
fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => four.is_link_local() || four.is_unspecified(),
        IpAddr::V6(six) => six.is_unicast_link_local() || six.is_unspecified() || is_metadata(six),
    }
}

/// The one address of the kind that is not link-local: `fd00:ec2::254`.
fn is_metadata(address: std::net::Ipv6Addr) -> bool {
    address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
}

/// Asks over a connection that is kept where both sides allow it.
pub(crate) async fn fetch(
    kept: &mut Option<Connection>,
    place: &Place,
    link_local: bool,
    trust: Option<&tls::Trust>,
    request: &Request<'_>,
    buffer: &mut Vec<u8>,
) -> Result<Answer, FetchFault> {
    let mut connection = match kept.take().filter(Connection::is_idle) {
        Some(connection) => connection,
        None => Connection::open_by(place, link_local, trust).await?,
    };
    let answer = connection.exchange(request, buffer).await?;
    if answer.is_open {
        *kept = Some(connection);
    }
    Ok(answer)
}

async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &Request<'_>,
    buffer: &mut Vec<u8>,
) -> Result<Answer, FetchFault> {
    let Request {
        method,
        path,
        host,
        fields,
        ..
    } = request;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}");
    if !request.body.is_empty() || *method == "POST" {
        // Writing to a text cannot fail.
        write!(head, "Content-Length: {}\r\n", request.body.len()).ok();
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(request.body).await?;
    buffer.clear();
    let head = read_head(stream, buffer).await?;
    let mut answer = Answer {
        status: head.status,
        content_type: head.content_type,
        retry_after: head.retry_after,
        written: head.written,
        body: Vec::new(),
        cookies: head.cookies,
        is_open: head.is_open,
    };
    let limit = request.bytes_max;
    match head.length {
        Length::None => {}
        Length::Known(length) => {
            if length > limit {
                return Err(FetchFault::Long { limit });
            }
            while buffer.len() < length {
                more(stream, buffer).await?;
            }
            answer.is_open &= buffer.len() == length;
            buffer.truncate(length);
        }
        Length::Chunks => unchunk(stream, buffer, limit).await?,
        Length::Open => {
            answer.is_open = false;
            while some(stream, buffer).await? > 0 {
                if buffer.len() > limit {
                    return Err(FetchFault::Long { limit });
                }
            }
        }
    }
    answer.body = if head.is_gzip {
        inflate(buffer, limit)?
    } else {
        std::mem::take(buffer)
    };
    Ok(answer)
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    None,
    Known(usize),
    Chunks,
    Open,
}

struct Head {
    status: u16,
    content_type: String,
    retry_after: String,
    written: Option<u64>,
    cookies: Vec<String>,
    length: Length,
    is_gzip: bool,
    is_open: bool,
}

/// Reads the head; what follows it stays in the buffer.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<Head, FetchFault> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(buffer);
        let parsed = parsed.map_err(|_| FetchFault::Garbled {
            why: "its head is not HTTP",
        })?;
        if let httparse::Status::Complete(end) = parsed {
            let head = understand(&response)?;
            let is_interim = (100..200).contains(&head.status);
            buffer.drain(..end);
            if is_interim {
                continue;
            }
            return Ok(head);
        }
        if buffer.len() > HEAD_MAX {
            return Err(FetchFault::Garbled {
                why: "its head is too long",
            });
        }
        more(stream, buffer).await?;
    }
}

/// What receivers of remote-write 2.0 say they have written; they keep no exemplars that come from here.
const WRITTEN: [&str; 2] = [
    "x-prometheus-remote-write-samples-written",
    "x-prometheus-remote-write-histograms-written",
];

fn understand(response: &httparse::Response<'_, '_>) -> Result<Head, FetchFault> {
    let mut head = Head {
        status: response.code.unwrap_or_default(),
        content_type: String::new(),
        retry_after: String::new(),
        written: None,
        cookies: Vec::new(),
        length: Length::Open,
        is_gzip: false,
        is_open: response.version == Some(1),
    };
    for field in response.headers.iter() {
        let text = String::from_utf8_lossy(field.value);
        let text = text.trim();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-type") {
            text.clone_into(&mut head.content_type);
        } else if is("retry-after") {
            text.clone_into(&mut head.retry_after);
        } else if WRITTEN.iter().any(|name| is(name)) {
            let more: u64 = text.parse().unwrap_or_default();
            head.written = Some(head.written.unwrap_or_default().saturating_add(more));
        } else if is("set-cookie") {
            let cookie = text.split(';').next().unwrap_or_default();
            head.cookies.push(cookie.trim().to_owned());
        } else if is("content-encoding") {
            head.is_gzip = text.eq_ignore_ascii_case("gzip");
        } else if is("connection") {
            head.is_open &= !text.eq_ignore_ascii_case("close");
        } else if is("transfer-encoding") {
            head.length = Length::Chunks;
        } else if is("content-length") && head.length == Length::Open {
            let length = text.parse().map_err(|_| FetchFault::Garbled {
                why: "its length is no number",
            })?;
            head.length = Length::Known(length);
        }
    }
    if matches!(head.status, 204 | 304) {
        head.length = Length::None;
    }
    Ok(head)
}

/// Reads some bytes; none at the end.
async fn some(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<usize, FetchFault> {
    buffer.reserve(PIECE);
    Ok(stream.read_buf(buffer).await?)
}

/// Reads some bytes; the end is a fault.
async fn more(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<(), FetchFault> {
    if some(stream, buffer).await? == 0 {
        return Err(FetchFault::Garbled {
            why: "it ends too early",
        });
    }
    Ok(())
}

/// Reads a body in chunks; leaves it without their lengths.
async fn unchunk(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<(), FetchFault> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let (end, size) = match httparse::parse_chunk_size(&buffer[at..]) {
            Ok(httparse::Status::Complete((end, size))) => (end, size),
            Ok(httparse::Status::Partial) if buffer.len() - at < 1024 => {
                more(stream, buffer).await?;
                continue;
            }
            _ => {
                return Err(FetchFault::Garbled {
                    why: "a chunk has no length",
                });
            }
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > limit || body.len() + size > limit {
            return Err(FetchFault::Long { limit });
        }
        at += end;
        while buffer.len() < at + size + 2 {
            more(stream, buffer).await?;
        }
        body.extend_from_slice(&buffer[at..at + size]);
        buffer.drain(..at + size + 2);
        at = 0;
        if size == 0 {
            *buffer = body;
            return Ok(());
        }
    }
}

/// Inflates within a limit: what a body says of its length is not asked.
pub(crate) fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, FetchFault> {
    let mut out = Vec::new();
    let mut reader = MultiGzDecoder::new(bytes).take(limit as u64 + 1);
    let read = reader.read_to_end(&mut out);
    read.map_err(|_| FetchFault::Garbled {
        why: "its compression is damaged",
    })?;
    if out.len() > limit {
        return Err(FetchFault::Long { limit });
    }
    Ok(out)
}
