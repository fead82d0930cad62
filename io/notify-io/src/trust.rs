//! Whose certificates are trusted.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Where systems keep the certificates that they trust, the most common first.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Largest bundle that is read, in bytes: the usual one has 220 KB.
const BUNDLE_MAX: u64 = 8 << 20;

/// Why nothing is trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// No bundle is there.
    #[error("no trusted certificates were found in {}; install the package `ca-certificates`", BUNDLES.join(", "))]
    Absent,
    /// A bundle holds none that can be used.
    #[error("the certificates cannot be used: {0}")]
    Broken(String),
}

/// The certificates that the other side of TLS is checked against.
#[derive(Debug, Clone)]
pub struct Trust {
    pub(crate) config: Arc<ClientConfig>,
}

impl Trust {
    /// What the system trusts.
    pub fn system() -> Result<Self, TrustFault> {
        let usable =
            |path: &&&str| std::fs::metadata(path).is_ok_and(|file| file.len() <= BUNDLE_MAX);
        let path = BUNDLES.iter().find(usable).ok_or(TrustFault::Absent)?;
        let pem = std::fs::read(path).map_err(|fault| TrustFault::Broken(fault.to_string()))?;
        Self::of_pem(&pem)
    }

    /// The certificates of a text in PEM, and no others.
    pub fn of_pem(pem: &[u8]) -> Result<Self, TrustFault> {
        let mut roots = RootCertStore::empty();
        let found = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
        let (added, _) = roots.add_parsable_certificates(found);
        if added == 0 {
            return Err(TrustFault::Broken("none is there".into()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|fault| TrustFault::Broken(fault.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            config: Arc::new(config),
        })
    }
}
