//! `health` and `ready`.

use super::fields::{Field, Fields};
use super::{Reported, Walk};
use crate::nearest::short;
use mainstay_atoms::{Check, Probe};

/// The three ways to ask, of which a probe has one.
const WAYS: [&str; 3] = ["path", "tcp", "exec"];

impl Walk<'_> {
    /// Liveness; none unless said.
    pub(super) fn health(&mut self, fields: &Fields<'_, '_>) -> Result<Option<Probe>, Reported> {
        let Some(field) = fields.get("health") else {
            return Ok(None);
        };
        let probe = self.probe(fields, &field, Probe::liveness);
        probe.map(Some).ok_or(Reported)
    }

    /// Readiness; a service with a port is asked by a connection unless said otherwise.
    pub(super) fn ready(&mut self, fields: &Fields<'_, '_>) -> Result<Option<Probe>, Reported> {
        let Some(field) = fields.get("ready") else {
            let port = fields.has("port");
            return Ok(port.then(|| Probe::readiness(Check::Tcp)));
        };
        let probe = self.probe(fields, &field, Probe::readiness);
        probe.map(Some).ok_or(Reported)
    }

    fn probe(
        &mut self,
        service: &Fields<'_, '_>,
        field: &Field<'_, '_>,
        default: fn(Check) -> Probe,
    ) -> Option<Probe> {
        if field.value().scalar().is_some() {
            let path = self.url_path(field)?;
            self.port_for(service, field, "a path");
            return Some(default(Check::Http(path)));
        }
        let at = field.entry.key.span;
        let fields = self.fields(field.value(), at, field.key.shape, &field.path)?;
        let check = self.check(service, &fields);
        let every = self.optional(&fields, "every", Self::duration);
        let timeout = self.optional(&fields, "timeout", Self::duration);
        let after = self.optional(&fields, "after", Self::duration);
        let fail = self.optional(&fields, "fail", Self::whole);
        let pass = self.optional(&fields, "pass", Self::whole);
        let probe = default(check?);
        let count = |given: Option<u64>, or: u32| {
            given
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(or)
        };
        Some(Probe {
            every: every.ok()?.unwrap_or(probe.every),
            timeout: timeout.ok()?.unwrap_or(probe.timeout),
            after: after.ok()?.unwrap_or(probe.after),
            fail: count(fail.ok()?, probe.fail),
            pass: count(pass.ok()?, probe.pass),
            check: probe.check,
        })
    }

    /// The one way to ask.
    fn check(&mut self, service: &Fields<'_, '_>, fields: &Fields<'_, '_>) -> Option<Check> {
        let path = self.optional(fields, "path", Self::url_path);
        let tcp = self.optional(fields, "tcp", Self::truth);
        let exec = self.optional(fields, "exec", Self::words);
        let given: Vec<_> = WAYS.into_iter().filter_map(|way| fields.get(way)).collect();
        let [way] = given.as_slice() else {
            self.one_way(fields, &given);
            return None;
        };
        match (path.ok()?, tcp.ok()?, exec.ok()?) {
            (Some(path), ..) => {
                self.port_for(service, way, "a path");
                Some(Check::Http(path))
            }
            (_, Some(()), _) => {
                self.port_for(service, way, "a connection");
                Some(Check::Tcp)
            }
            (.., exec) => exec.map(Check::Exec),
        }
    }

    /// None of the ways, or several.
    fn one_way(&mut self, fields: &Fields<'_, '_>, given: &[Field<'_, '_>]) {
        let noun = fields.path.name();
        let [first, .., last] = given else {
            if WAYS.into_iter().any(|way| fields.tries(way)) {
                return;
            }
            let message = format!("`{noun}` needs one of `path`, `tcp` and `exec`");
            self.add("missing_key", fields.at, fields.path, message, |fault| {
                fault
                    .label("how to ask is missing")
                    .hint("add `path: /healthz`, `tcp: true` or `exec: COMMAND`")
            });
            return;
        };
        let names = (first.key.name, last.key.name);
        let line = self.line(first.entry.key.span, last.entry.key.span);
        let message = format!("`{noun}` has both `{}` and `{}`", names.0, names.1);
        self.add(
            "conflict",
            last.entry.key.span,
            &last.path,
            message,
            |fault| {
                fault
                    .label(format!("`{}` is given in {line}", names.0))
                    .hint(format!(
                        "keep one; an inherited one goes with `{}: null`",
                        names.0
                    ))
            },
        );
    }

    /// Asking over the network needs a port; a mistake in the port is reported there.
    fn port_for(&mut self, service: &Fields<'_, '_>, way: &Field<'_, '_>, what: &str) {
        if service.tries("port") {
            return;
        }
        let message = format!("{what} can be asked of a service with a `port` only");
        self.add(
            "missing_key",
            way.entry.key.span,
            &way.path,
            message,
            |fault| fault.hint("add `port: 8080` to the service, or ask with `exec: COMMAND`"),
        );
    }

    /// The path of a URL, as a request line carries it (RFC 9112: no spaces, no controls).
    pub(super) fn url_path(&mut self, field: &Field<'_, '_>) -> Option<String> {
        let text = &self.scalar(field)?.text;
        let clean = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if text.starts_with('/') && clean {
            return Some(text.clone());
        }
        let hint = match text.split_once("://") {
            Some((_, rest)) => rest
                .find('/')
                .map(|at| format!("write the path alone: `{}`", short(&rest[at..]))),
            None if clean
                && !text.is_empty()
                && field
                    .value()
                    .scalar()
                    .is_some_and(|scalar| scalar.text.parse::<f64>().is_err()) =>
            {
                Some(format!("did you mean `/{}`?", short(text)))
            }
            None => None,
        };
        let hint =
            hint.unwrap_or_else(|| format!("write for example `{}: /healthz`", field.key.name));
        self.wrong_type(field, field.value(), Some(hint));
        None
    }
}
