//! One service.

use super::fields::{Field, Fields};
use super::known::{Facts, Thing};
use super::{Reported, Walk};
use crate::key::ServiceKeys;
use crate::nearest::short;
use crate::node::{Entry, Span};
use crate::path::Path;
use crate::platform::Service;
use crate::shape::Shaped;
use mainstay_atoms::{ServiceName, Size, Stop};

/// The names of what is needed, where all of them are names.
pub(super) fn names_of(facts: &Facts<'_>) -> Option<Vec<ServiceName>> {
    let names = facts.needs.iter();
    names
        .map(|(name, _)| ServiceName::new(*name).ok())
        .collect()
}

impl Walk<'_> {
    /// Reads one service.
    pub(super) fn service<'t>(
        &mut self,
        entry: &'t Entry,
        path: &Path<'_>,
    ) -> (Facts<'t>, Option<Service>) {
        let mut facts = Facts::new(entry.key.span, Thing::Service);
        facts.port = true;
        if entry.value.is_null() {
            self.no_service(entry, path);
            return (facts, None);
        }
        let Some(fields) = self.fields(&entry.value, entry.key.span, ServiceKeys::SHAPE, path)
        else {
            return (facts, None);
        };
        facts.port = fields.tries("port") || self.is_incomplete(path.name());
        if let Some(field) = fields.get("needs") {
            facts.needs = self.names(&field);
        }
        let service = self.service_of(&fields, &facts);
        (facts, service)
    }

    fn no_service(&mut self, entry: &Entry, path: &Path<'_>) {
        let message = "a service needs `run`".to_owned();
        self.add("missing_key", entry.key.span, path, message, |fault| {
            fault
                .label("this service says nothing")
                .hint("name its program: `run: ./bin/web`")
        });
    }

    /// Every key is read, so that every mistake is found, before any missing one ends it.
    fn service_of(&mut self, fields: &Fields<'_, '_>, facts: &Facts<'_>) -> Option<Service> {
        let build = self.optional(fields, "build", Self::words);
        let program = self.program(fields);
        let port = self.optional(fields, "port", Self::port);
        let health = self.health(fields);
        let ready = self.ready(fields);
        let takes_requests = fields.tries("port");
        let metrics = self.optional(fields, "metrics", |walk, field| {
            walk.metrics(field, takes_requests)
        });
        let slo = self.optional(fields, "slo", |walk, field| walk.slo(field, takes_requests));
        let replicas = self.optional(fields, "replicas", Self::whole);
        let size = self.optional(fields, "size", Self::size);
        let limits = size.as_ref().ok().map(|size| size.unwrap_or_default());
        let scale = self.optional(fields, "scale", |walk, field| {
            walk.scale(field, fields, limits.as_ref(), facts)
        });
        let inject = self.inject(fields, facts);
        let env = self.env(fields, facts, inject.as_ref());
        self.told_twice(facts, inject.as_ref(), &fields.path.key("needs"));
        let stop = self.optional(fields, "stop", Self::stop);
        // Unknown where it is wrong, so that nothing is judged by a count that nobody wrote.
        let least = scale
            .as_ref()
            .ok()
            .map(|scale| scale.as_ref().map(|scale| scale.min));
        let count = replicas.ok().zip(least).map(|(count, least)| {
            let count = count.map(|count| u32::try_from(count).unwrap_or(1));
            least.or(count).unwrap_or(1)
        });
        let deploy = self.deploy(fields, count);
        self.extends(fields);
        let (run, artifact) = program?;
        let needs = names_of(facts);
        let deploy = deploy?;
        Some(Service {
            build: build.ok()?,
            run,
            artifact,
            port: port.ok()?,
            needs: needs?,
            inject: inject?,
            health: health.ok()?,
            ready: ready.ok()?,
            metrics: metrics.ok()?,
            slo: slo.ok()?,
            replicas: count?,
            scale: scale.ok()?,
            size: size.ok()?.unwrap_or_default(),
            env: env?,
            stop: stop.ok()?.unwrap_or_default(),
            deploy: deploy.rolling,
            canary: deploy.canary,
            blue_green: deploy.blue_green,
            recreate: deploy.recreate,
            smoke: deploy.smoke,
            before: deploy.before,
            after: deploy.after,
        })
    }

    /// A key that may be absent; an error when it was wrong.
    pub(super) fn optional<'t, T>(
        &mut self,
        fields: &Fields<'t, '_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Field<'t, '_>) -> Option<T>,
    ) -> Result<Option<T>, Reported> {
        match fields.get(name) {
            None => Ok(None),
            Some(field) => read(self, &field).map(Some).ok_or(Reported),
        }
    }

    pub(super) fn port(&mut self, field: &Field<'_, '_>) -> Option<u16> {
        u16::try_from(self.whole(field)?).ok()
    }

    /// `extends` was followed before; only its type is left to judge.
    fn extends(&mut self, fields: &Fields<'_, '_>) {
        if let Some(field) = fields.get("extends") {
            self.scalar(&field);
        }
    }

    /// A list of names, as it stands.
    pub(super) fn names<'t>(&mut self, field: &Field<'t, '_>) -> Vec<(&'t str, Span)> {
        let crate::node::Content::List(items) = &field.value().content else {
            let text = field.value().scalar().map(|scalar| short(&scalar.text));
            let hint = text.map(|text| format!("write a list: `{}: [{text}]`", field.key.name));
            self.wrong_type(field, field.value(), hint);
            return Vec::new();
        };
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            match item.scalar().filter(|_| !item.is_null()) {
                Some(scalar) => names.push((scalar.text.as_str(), item.span)),
                None => self.wrong_type(field, item, None),
            }
        }
        names
    }

    pub(super) fn size(&mut self, field: &Field<'_, '_>) -> Option<Size> {
        let fields = self.fields(
            field.value(),
            field.entry.key.span,
            field.key.shape,
            &field.path,
        )?;
        let cpu = self.optional(&fields, "cpu", Self::cores);
        let memory = self.optional(&fields, "memory", Self::memory);
        let processes = self.optional(&fields, "processes", Self::whole);
        let files = self.optional(&fields, "files", Self::whole);
        let small = |count: Option<u64>| count.and_then(|count| u32::try_from(count).ok());
        Some(Size {
            cpu: cpu.ok()?,
            memory: memory.ok()?,
            processes: small(processes.ok()?),
            files: small(files.ok()?),
        })
    }

    pub(super) fn stop(&mut self, field: &Field<'_, '_>) -> Option<Stop> {
        let fields = self.fields(
            field.value(),
            field.entry.key.span,
            field.key.shape,
            &field.path,
        )?;
        let signal = self.optional(&fields, "signal", Self::signal);
        let grace = self.optional(&fields, "grace", Self::duration);
        let drain = self.optional(&fields, "drain", Self::duration);
        let streams = self.optional(&fields, "streams", Self::duration);
        let default = Stop::default();
        Some(Stop {
            signal: signal.ok()?.unwrap_or(default.signal),
            grace: grace.ok()?.unwrap_or(default.grace),
            drain: drain.ok()?.unwrap_or(default.drain),
            streams: streams.ok()?.unwrap_or(default.streams),
        })
    }
}
