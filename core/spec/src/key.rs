//! The keys of this version, each with its meaning: the table itself.

use crate::kind::Kind;
use crate::shape::{Keyed, Names, Shape, Shaped, keys};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use std::borrow::Cow;
use std::marker::PhantomData;

/// Milliseconds of a second, a minute, an hour and a day.
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// Declares the mirror type of one kind of value.
macro_rules! value {
    ($($type:ident $(<$(const $bound:ident),*>)? = $kind:expr;)*) => {$(
        pub(crate) struct $type $(<$(const $bound: u64),*>)?;

        impl $(<$(const $bound: u64),*>)? Shaped for $type $(<$($bound),*>)? {
            const SHAPE: Shape = Shape::Value($kind);
        }

        impl $(<$(const $bound: u64),*>)? JsonSchema for $type $(<$($bound),*>)? {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let kind: Kind = $kind;
                Schema::try_from(kind.json()).expect("a kind's schema is an object")
            }
        }
    )*};
}

value! {
    Version = Kind::Version;
    Label = Kind::Label;
    Service = Kind::Service;
    Services = Kind::Services;
    Whole<const LEAST, const MOST> = Kind::Whole { least: LEAST, most: MOST };
    Span<const LEAST, const MOST> = Kind::Span { least: LEAST, most: MOST };
    Memory = Kind::Memory;
    Cores = Kind::Cores;
    Amount = Kind::Amount;
    Words = Kind::Words;
    Paths = Kind::Paths;
    UrlPath = Kind::UrlPath;
    Text = Kind::Text;
    True = Kind::True;
    Signal = Kind::Signal;
    Rolling = Kind::Rolling;
}

/// A short form of one value, or keys.
pub(crate) struct Either<V, K>(PhantomData<(V, K)>);

impl<V: Shaped, K: Keyed> Shaped for Either<V, K> {
    const SHAPE: Shape = match V::SHAPE {
        Shape::Value(kind) => Shape::Either(kind, &K::KEYS),
        other => other,
    };
}

impl<V: JsonSchema, K: JsonSchema> JsonSchema for Either<V, K> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        K::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (short, long) = (
            generator.subschema_for::<V>(),
            generator.subschema_for::<K>(),
        );
        schemars::json_schema!({ "anyOf": [short, long] })
    }
}

/// Declares the mirror type of a map whose keys the user chooses.
macro_rules! names {
    ($($type:ident = $noun:literal, $placeholder:literal, open $open:literal, keys $pattern:literal, of $value:ty;)*) => {$(
        pub(crate) struct $type;

        impl Shaped for $type {
            const SHAPE: Shape = Shape::Names(&Names {
                noun: $noun,
                placeholder: $placeholder,
                open: $open,
                value: <$value as Shaped>::SHAPE,
            });
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let value = json!(generator.subschema_for::<$value>());
                schemars::json_schema!({
                    "type": "object",
                    "propertyNames": { "pattern": $pattern },
                    "additionalProperties": value,
                })
            }
        }
    )*};
}

names! {
    ServiceNames = "service", "NAME", open false,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of ServiceKeys;
    EnvironmentNames = "environment", "NAME", open false,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of EnvironmentKeys;
    DomainNames = "domain", "HOST", open true,
        keys "^[a-z0-9-]+(\\.[a-z0-9-]+)*$", of DomainKeys;
    RouteNames = "route", "PREFIX", open true,
        keys "^/[^?#%]*$", of Either<Service, RouteKeys>;
    VariableNames = "variable", "VARIABLE", open true,
        keys "^[A-Za-z_][A-Za-z0-9_]*$", of Text;
}

keys! {
    /// A company's platform: everything that runs, in one file.
    FileKeys = "a platform file" {
        /// Version of the language; this program reads `1`.
        mainstay: Version, default "", example "1";
        /// Name of the platform, shown everywhere; part of paths and of the gateway's metrics.
        name: Label, default "", example "shop";
        /// The processes that are kept running, by name.
        services: Option<ServiceNames>, default "{}", example "{ web: { run: ./bin/web } }";
        /// What answers from outside: routes to services, by host name.
        domains: Option<DomainNames>, default "{}", example "{ shop.example: { to: web } }";
        /// Where the platform listens for requests from outside.
        gateway: Option<GatewayKeys>, default "{}", example "{ http: 8081 }";
        /// What differs between copies of the platform, by name: each holds the same keys as the
        /// file and is laid over it. Maps merge, lists replace, `null` deletes.
        environments: Option<EnvironmentNames>, default "(one environment, `default`)", example "{ staging: {} }";
    }
}

keys! {
    /// What one environment changes; it sets keys of things that the file declares, and may add
    /// domains, routes and variables.
    EnvironmentKeys = "an environment" {
        /// Changes to services of the file.
        services: Option<ServiceNames>, default "{}", example "{ web: { replicas: 3 } }";
        /// Domains that are added, changed, or taken away with `null`.
        domains: Option<DomainNames>, default "{}", example "{ staging.shop.example: { to: web } }";
        /// Changes to the gateway.
        gateway: Option<GatewayKeys>, default "{}", example "{ http: 8081 }";
    }
}

keys! {
    /// The process that takes requests and hands them to ready instances.
    GatewayKeys = "the gateway" {
        /// Port for plain HTTP: on every address when a domain other than `localhost` is declared,
        /// else on loopback only.
        http: Option<Whole<1, 65535>>, default "8080", example "8081";
    }
}

keys! {
    /// A program that is kept running in equal instances.
    ServiceKeys = "a service" {
        /// Another service of the file whose keys hold where this one says nothing; `null` takes
        /// one of them away. One level: the other may not itself extend.
        extends: Option<Service>, default "", example "web";
        /// Command that makes the program, run in the file's folder before anything is shipped; a
        /// text is split into words as a shell does, without a shell.
        build: Option<Words>, default "", example "make shop";
        /// Program and arguments, started in a copy of the artifact; a text is split into words as a
        /// shell does, without a shell. A relative program is a file of the artifact.
        run: Words, default "", example "[./bin/web, --verbose]";
        /// Files and folders that are shipped, relative to the file's folder. A program outside the
        /// folder, such as `python3`, needs this key; `[]` ships nothing.
        artifact: Option<Paths>, default "(the program's file, when `run` begins with a relative path)", example "[bin, templates]";
        /// Port under which other services reach it; each instance is told in `PORT` where to
        /// listen. Without one it takes no requests.
        port: Option<Whole<1, 65535>>, default "", example "8080";
        /// Services that it calls: they start first, and `API_URL`, `API_HOST`, `API_PORT` tell it
        /// their address, here for `api`. Each of them has a `port`.
        needs: Option<Services>, default "[]", example "[api]";
        /// Liveness: an instance that fails is restarted. A text is the path of a GET.
        health: Option<Either<UrlPath, HealthKeys>>, default "(none: an instance lives while it runs)", example "/healthz";
        /// Readiness: an instance that fails takes no requests. A text is the path of a GET.
        ready: Option<Either<UrlPath, ReadyKeys>>, default "(a connection, for a service with a `port`; else ready while it runs)", example "/ready";
        /// How many instances run.
        replicas: Option<Whole<0, 1000>>, default "1", example "3";
        /// What one instance may use.
        size: Option<SizeKeys>, default "{}", example "{ cpu: 500m, memory: 256Mi }";
        /// Environment of the process, besides `PATH`, `HOME`, `TMPDIR`, `LANG`, `TZ`, `PORT` and what
        /// `needs` tells it.
        env: Option<VariableNames>, default "{}", example "{ LOG_LEVEL: info }";
        /// How an instance is stopped.
        stop: Option<StopKeys>, default "{}", example "{ grace: 20s }";
        /// How a release replaces instances.
        deploy: Option<Either<Rolling, DeployKeys>>, default "rolling", example "{ rolling: { surge: 1 } }";
    }
}

keys! {
    /// Ceilings of one instance; `request..limit`, and a single value means both.
    SizeKeys = "a size" {
        /// Processor cores: the request is its weight under contention, the limit a ceiling.
        cpu: Option<Cores>, default "(no limit)", example "100m..500m";
        /// Memory: above the limit the kernel kills, and `why` says so.
        memory: Option<Memory>, default "(no limit)", example "256Mi..512Mi";
        /// Most processes and threads of an instance.
        processes: Option<Whole<1, 4_194_304>>, default "(no limit)", example "64";
        /// Most open files of one process.
        files: Option<Whole<16, 1_048_576>>, default "(the machine's)", example "4096";
    }
}

keys! {
    /// How an instance is asked whether it is ready: exactly one of `path`, `tcp` and `exec`.
    ReadyKeys = "a readiness probe" {
        /// GET of this path; 200 to 399 passes.
        path: Option<UrlPath>, default "", example "/ready";
        /// A connection to the port passes.
        tcp: Option<True>, default "", example "true";
        /// Command in the instance's folder with its environment; exit 0 passes.
        exec: Option<Words>, default "", example "./bin/web ping";
        /// From one probe to the next; before an instance is first ready it is asked every 50 ms.
        every: Option<Span<100, DAY>>, default "1s", example "2s";
        /// How long an answer may take.
        timeout: Option<Span<10, HOUR>>, default "5s", example "1s";
        /// How long a new instance has to become ready.
        after: Option<Span<SECOND, DAY>>, default "30s", example "1m";
        /// Failures in a row that take requests away.
        fail: Option<Whole<1, 1000>>, default "3", example "5";
        /// Successes in a row that give them back.
        pass: Option<Whole<1, 1000>>, default "1", example "2";
    }
}

keys! {
    /// How an instance is asked whether it lives: exactly one of `path`, `tcp` and `exec`.
    HealthKeys = "a liveness probe" {
        /// GET of this path; 200 to 399 passes.
        path: Option<UrlPath>, default "", example "/healthz";
        /// A connection to the port passes.
        tcp: Option<True>, default "", example "true";
        /// Command in the instance's folder with its environment; exit 0 passes.
        exec: Option<Words>, default "", example "./bin/web ping";
        /// From one probe to the next.
        every: Option<Span<100, DAY>>, default "10s", example "5s";
        /// How long an answer may take.
        timeout: Option<Span<10, HOUR>>, default "5s", example "1s";
        /// How long after the start no failure counts.
        after: Option<Span<0, DAY>>, default "30s", example "1m";
        /// Failures in a row that restart the instance.
        fail: Option<Whole<1, 1000>>, default "3", example "5";
        /// Successes in a row that end a series of failures.
        pass: Option<Whole<1, 1000>>, default "1", example "2";
    }
}

keys! {
    /// How an instance is taken out of service and stopped.
    StopKeys = "`stop`" {
        /// Signal that asks it to stop.
        signal: Option<Signal>, default "TERM", example "INT";
        /// From that signal to the kill of the whole group.
        grace: Option<Span<0, DAY>>, default "10s", example "20s";
        /// Longest wait for requests in flight before the signal.
        drain: Option<Span<0, DAY>>, default "30s", example "1m";
        /// Longest life of a WebSocket or event stream once draining began.
        streams: Option<Span<0, {7 * DAY}>>, default "10s", example "5m";
    }
}

keys! {
    /// How a release replaces instances.
    DeployKeys = "`deploy`" {
        /// A few instances at a time, new ones first.
        rolling: Option<RollingKeys>, default "{}", example "{ surge: 1 }";
    }
}

keys! {
    /// A rolling update's rules; `surge` and `unavailable` are never both zero.
    RollingKeys = "`rolling`" {
        /// Instances above the wanted count; a share rounds up.
        surge: Option<Amount>, default "25%", example "2";
        /// Instances that may be missing; a share rounds down.
        unavailable: Option<Amount>, default "0", example "1";
        /// How long an instance stays ready before it counts.
        min_ready: Option<Span<0, DAY>>, default "0s", example "10s";
        /// Longest time without progress, above `min_ready`; then the release fails and goes back.
        deadline: Option<Span<SECOND, {7 * DAY}>>, default "5m", example "2m";
    }
}

keys! {
    /// One host name: `to` for all its paths, or `routes`.
    DomainKeys = "a domain" {
        /// Service that answers every path.
        to: Option<Service>, default "", example "web";
        /// Services by path prefix; the longest prefix that matches whole segments wins.
        routes: Option<RouteNames>, default "", example "{ /: web }";
    }
}

keys! {
    /// One route.
    RouteKeys = "a route" {
        /// Service that answers; it has a `port`.
        to: Service, default "", example "web";
    }
}
