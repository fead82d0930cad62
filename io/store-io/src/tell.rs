//! What users of a store are told: where it is, and their password.

use crate::fault::StoreFault;
use crate::secret::{Secret, Secrets};
use mainstay_atoms::Told;
use std::path::Path;

/// The secret that holds a user's password.
pub(crate) fn password_name(store: &str, user: &str) -> String {
    format!("{store}/{user}")
}

/// The value of one variable. `folder` is where the store's data lies, for those that have no server.
pub(crate) fn value(
    told: &Told,
    folder: &Path,
    secrets: &dyn Secrets,
) -> Result<Secret, StoreFault> {
    if let Some(name) = &told.external {
        return Ok(external(told, secrets.get(name)?));
    }
    let (store, user) = (told.store.as_str(), told.login.as_str());
    let data = folder.join("data");
    let Some(address) = told.address else {
        return Ok(Secret::new(match told.kind.as_str() {
            "sqlite" => format!("sqlite:{}", data.join(format!("{store}.db")).display()),
            _ => data.display().to_string(),
        }));
    };
    let password = || secrets.get_or_make(&password_name(store, user));
    let text = match told.variable.as_str() {
        "PGHOST" => address.ip().to_string(),
        "PGPORT" => address.port().to_string(),
        "PGDATABASE" => store.to_owned(),
        "PGUSER" => user.to_owned(),
        "PGPASSWORD" => return Ok(password()?),
        "REDIS_URL" => format!("redis://{user}:{}@{address}/0", password()?.reveal()),
        // Names are letters, digits and hyphens, passwords hexadecimal: nothing needs escaping.
        _ => format!(
            "postgresql://{user}:{}@{address}/{store}",
            password()?.reveal()
        ),
    };
    Ok(Secret::new(text))
}

/// What somebody else's address says: as it was given, or one part of it.
fn external(told: &Told, given: Secret) -> Secret {
    let text = given.reveal();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (host, "5432"),
    };
    let database = path.split(['?', '#']).next().unwrap_or("");
    let part = match told.variable.as_str() {
        "PGHOST" => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
        "PGPORT" => port.to_owned(),
        "PGDATABASE" => database.to_owned(),
        "PGUSER" => decoded(user),
        "PGPASSWORD" => decoded(password),
        _ => return given,
    };
    Secret::new(part)
}

/// A part of a URL without its escapes (RFC 3986, 2.1); a `%` that begins none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = hex.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        if let (b'%', Some(byte)) = (first, byte) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::FileSecrets;
    use mainstay_atoms::ServiceName;

    fn told(variable: &str, kind: &str, address: Option<&str>, external: Option<&str>) -> Told {
        Told {
            store: ServiceName::new("db").unwrap(),
            kind: kind.into(),
            variable: variable.into(),
            login: ServiceName::new("web").unwrap(),
            address: address.map(|address| address.parse().unwrap()),
            external: external.map(str::to_owned),
        }
    }

    #[test]
    fn every_kind_tells_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(&folder.path().join("secrets"));
        let at = Some("127.64.1.2:5432");
        let say = |told: Told| {
            let value = value(&told, Path::new("/s/db"), &secrets).unwrap();
            value.reveal().to_owned()
        };
        let password = secrets.get_or_make("db/web").unwrap();
        let url = format!("postgresql://web:{}@127.64.1.2:5432/db", password.reveal());
        assert_eq!(say(told("DATABASE_URL", "postgres", at, None)), url);
        assert_eq!(say(told("PGHOST", "postgres", at, None)), "127.64.1.2");
        assert_eq!(
            say(told("PGPASSWORD", "postgres", at, None)),
            password.reveal()
        );
        assert_eq!(
            say(told("DATABASE_URL", "sqlite", None, None)),
            "sqlite:/s/db/data/db.db"
        );
        assert_eq!(say(told("DB_DIR", "volume", None, None)), "/s/db/data");
    }

    #[test]
    fn an_address_of_somebody_else_is_taken_apart() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(folder.path());
        let given = "postgres://al%40ice:p%25w@db.example:6543/shop?sslmode=require";
        secrets.put("DB_URL", &Secret::new(given)).unwrap();
        let say = |variable| {
            let told = told(variable, "postgres", None, Some("DB_URL"));
            let value = value(&told, Path::new("/s/db"), &secrets).unwrap();
            value.reveal().to_owned()
        };
        assert_eq!(say("DATABASE_URL"), given);
        assert_eq!(
            ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"].map(say),
            ["db.example", "6543", "shop", "al@ice", "p%w"]
        );
        let missing = told("DATABASE_URL", "postgres", None, Some("OTHER"));
        assert!(value(&missing, Path::new("/"), &secrets).is_err());
    }
}
