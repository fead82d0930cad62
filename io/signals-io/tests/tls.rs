//! Targets by TLS on a real server, nginx: one that is trusted, and every reason why one is not.

mod support;

use mainstay_signals_io::{Place, Target};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::{Exposer, Signals, config, target, until};

/// An authority of the test's own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Writes a certificate for a host and its key to a folder.
    fn give(&self, folder: &Path, name: &str, host: &str, ended: bool) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if ended {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 12, 31);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(folder, name, &certificate, &key);
    }
}

fn write(folder: &Path, name: &str, certificate: &Certificate, key: &KeyPair) {
    std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// nginx with a server for each certificate of its folder, by name and port.
struct Nginx {
    child: Child,
    ports: Vec<(&'static str, u16)>,
}

impl Nginx {
    fn start(folder: &Path, names: &[&'static str]) -> Self {
        std::fs::create_dir(folder.join("html")).unwrap();
        std::fs::write(folder.join("html/metrics"), "colour{of=\"nginx\"} 7\n").unwrap();
        let held: Vec<TcpListener> = names
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports = held.iter().map(|one| one.local_addr().unwrap().port());
        let ports: Vec<_> = names.iter().copied().zip(ports).collect();
        let mut servers = String::new();
        for (name, port) in &ports {
            write!(
                servers,
                "server {{ listen 127.0.0.1:{port} ssl; root html; default_type text/plain;
                 ssl_certificate {name}.crt; ssl_certificate_key {name}.key; }}\n"
            )
            .unwrap();
        }
        let text = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr crit;
             events {{}} http {{ access_log off; client_body_temp_path a; proxy_temp_path b;
             fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e; {servers} }}\n"
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, text).unwrap();
        drop(held);
        let search = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let child = Command::new("nginx")
            .env("PATH", search)
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .spawn()
            .expect("`cargo xtask setup` installs nginx");
        Self { child, ports }
    }

    fn port(&self, name: &str) -> u16 {
        self.ports.iter().find(|one| one.0 == name).unwrap().1
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn over_tls(job: &str, port: u16, ca: &str) -> Target {
    Target {
        place: Place::Tls(format!("localhost:{port}")),
        ca: ca.to_owned(),
        timeout_ms: 1000,
        every_ms: 1000,
        ..target(job, "")
    }
}

/// Why the last scrape of a target failed.
fn fault(signals: &Signals, job: &str) -> Option<String> {
    let (_, text) = signals.get("/api/v1/targets");
    let value: Value = serde_json::from_str(&text).unwrap();
    let rows = value["data"]["activeTargets"].as_array().unwrap();
    let row = rows.iter().find(|row| row["labels"]["job"] == job)?;
    Some(row["lastError"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn targets_by_tls_are_read_where_they_are_trusted_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    ours.give(folder.path(), "good", "localhost", false);
    ours.give(folder.path(), "expired", "localhost", true);
    ours.give(folder.path(), "wrong-name", "other.example", false);
    others.give(folder.path(), "unknown", "localhost", false);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap();
    write(folder.path(), "self-signed", &own, &key);
    let names = ["good", "expired", "wrong-name", "unknown", "self-signed"];
    let nginx = Nginx::start(folder.path(), &names);
    let plain = Exposer::text("x 1\n");
    let hangs = Exposer::new(|_| ());

    let ca = ours.certificate.pem();
    let mut targets: Vec<Target> = names
        .iter()
        .map(|name| over_tls(name, nginx.port(name), &ca))
        .collect();
    let good = nginx.port("good");
    targets.extend([
        over_tls("two-roots", good, &(others.certificate.pem() + &ca)),
        over_tls("system-roots", good, ""),
        over_tls("no-roots", good, "nothing"),
        over_tls("not-tls", plain.address.port(), &ca),
        over_tls("hangs", hangs.address.port(), &ca),
        target("not-plain", &format!("localhost:{good}")),
    ]);
    let signals = Signals::start();
    signals.configure(&config(1, targets));
    for job in ["good", "two-roots"] {
        signals.sees(&format!("up{{job=\"{job}\"}}"), 1.0);
        signals.sees(&format!("colour{{job=\"{job}\",of=\"nginx\"}}"), 7.0);
    }
    for (job, why) in [
        ("expired", "certificate expired"),
        ("wrong-name", "not valid for name"),
        ("unknown", "UnknownIssuer"),
        ("self-signed", "invalid peer certificate"),
        ("system-roots", "UnknownIssuer"),
        ("no-roots", "`ca` holds no certificate"),
        ("not-tls", "corrupt message"),
        ("hangs", "no answer within 1000 ms"),
        ("not-plain", "status 400"),
    ] {
        until(&format!("{job} fails because {why}"), || {
            fault(&signals, job).is_some_and(|fault| fault.contains(why))
        });
        signals.sees(&format!("up{{job=\"{job}\"}}"), 0.0);
    }
}
