//! TLS to targets, probes and remotes: the system's certificates are trusted, or those that the file gives for one target,
//! and nothing else.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where systems keep the certificates that they trust, the most common first.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is trusted, and how it is judged.
#[derive(Debug, Clone)]
struct Trusted {
    config: Arc<ClientConfig>,
    judge: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

fn trusted() -> Result<Trusted, String> {
    let pem = BUNDLES.iter().find_map(|path| std::fs::read(path).ok());
    let roots = roots(&pem.unwrap_or_default());
    if roots.is_empty() {
        return Err(
            "no trusted certificates were found; install the package `ca-certificates`".into(),
        );
    }
    over(roots)
}

fn roots(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    roots.add_parsable_certificates(found);
    roots
}

/// What one target is trusted by.
#[derive(Debug, Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The certificates of a text in PEM, and no others.
    pub(crate) fn only(pem: &str) -> Result<Self, String> {
        let roots = roots(pem.as_bytes());
        if roots.is_empty() {
            return Err("`ca` holds no certificate in PEM".into());
        }
        Ok(Self(over(roots)?.config))
    }
}

fn over(roots: RootCertStore) -> Result<Trusted, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let judge = judge.build().map_err(|fault| fault.to_string())?;
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|fault| fault.to_string())?;
    let config = builder.with_webpki_verifier(judge.clone());
    Ok(Trusted {
        config: Arc::new(config.with_no_client_auth()),
        judge,
        provider,
    })
}

fn system() -> io::Result<Trusted> {
    static TRUSTED: OnceLock<Result<Trusted, String>> = OnceLock::new();
    TRUSTED
        .get_or_init(trusted)
        .clone()
        .map_err(io::Error::other)
}

/// Begins TLS with a host on a connection.
pub(crate) async fn begin(stream: TcpStream, host: &str) -> io::Result<TlsStream<TcpStream>> {
    connect(system()?.config, stream, host).await
}

/// Begins TLS with a host that is trusted by certificates of its own.
pub(crate) async fn begin_by(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
) -> io::Result<TlsStream<TcpStream>> {
    connect(trust.0.clone(), stream, host).await
}

async fn connect(
    config: Arc<ClientConfig>,
    stream: TcpStream,
    host: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// When the first of a peer's certificates ends, in seconds since 1970, once it showed them; also of one that is
/// not trusted.
pub(crate) type Seen = Arc<Mutex<Option<i64>>>;

/// The same as [`begin`], and remembers when the certificates end.
pub(crate) async fn begin_seen(
    stream: TcpStream,
    host: &str,
    seen: &Seen,
) -> io::Result<TlsStream<TcpStream>> {
    let trusted = system()?;
    let noting = Noting {
        judge: trusted.judge,
        seen: seen.clone(),
    };
    let builder =
        ClientConfig::builder_with_provider(trusted.provider).with_safe_default_protocol_versions();
    let config = builder.map_err(io::Error::other)?;
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(noting));
    connect(Arc::new(config.with_no_client_auth()), stream, host).await
}

/// Judges as the usual judge does, and notes when the certificates end.
#[derive(Debug)]
struct Noting {
    judge: Arc<WebPkiServerVerifier>,
    seen: Seen,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        let end = all.filter_map(|one| end_of(one)).min();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = end;
        self.judge
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// One element of DER: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        let (digits, rest) = rest.split_at_checked(count)?;
        if count > 4 {
            return None;
        }
        let length = digits
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `notAfter` of a certificate (RFC 5280, section 4.1), in seconds since 1970.
fn end_of(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // The version is there or not; serial number, algorithm and issuer come before the validity.
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Two digits of the year: up to 49 they are of this century.
        0x17 if text.get(..2)? < "50" => format!("20{text}"),
        0x17 => format!("19{text}"),
        _ => text.to_owned(),
    };
    let part = |from: usize, to: usize| text.get(from..to);
    let written = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    crate::form::time_ms(&written).map(|milliseconds| milliseconds / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let put = |tag: u8, content: &[u8]| [&[tag, content.len() as u8][..], content].concat();
        let times = [put(0x17, b"250101000000Z"), put(0x17, b"301231235959Z")].concat();
        let body = [
            put(0xa0, &[2, 1, 2]),
            put(2, &[1]),
            put(0x30, &[]),
            put(0x30, &[]),
            put(0x30, &times),
        ];
        let certificate = put(0x30, &put(0x30, &body.concat()));
        assert_eq!(end_of(&certificate), Some(1_924_991_999));
        for cut in 0..certificate.len() {
            assert_eq!(end_of(&certificate[..cut]), None);
        }
    }
}
