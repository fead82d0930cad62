//! The keys of this version, each with its meaning: the table itself.

use crate::gate_key::{
    BlueGreenKeys, CanaryKeys, ChecklistKeys, FreezeKeys, GatesKeys, SmokeKeys, WindowKeys,
};
use crate::kind::{CIVIL, COOKIE, HEADER, HOST, Kind, PAGE_PLACE, QUEUE, RATE, URL};
use crate::scale_key::{FloorKeys, ScaleKeys};
use crate::shape::{Keyed, Names, Shape, Shaped, keys};
use crate::status_key::StatusPageKeys;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use std::borrow::Cow;
use std::marker::PhantomData;

/// Milliseconds of a second, a minute, an hour and a day.
pub(crate) const SECOND: u64 = 1000;
pub(crate) const HOUR: u64 = 3600 * SECOND;
pub(crate) const DAY: u64 = 24 * HOUR;

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
    Way = Kind::Way;
    Host = Kind::Like(&HOST);
    Header = Kind::Like(&HEADER);
    Cookie = Kind::Like(&COOKIE);
    Civil = Kind::Like(&CIVIL);
    RequestRate = Kind::Like(&RATE);
    QueuePlace = Kind::Like(&QUEUE);
    Url = Kind::Like(&URL);
    People = Kind::People;
    AlertsForm = Kind::Alerts;
    ChecksForm = Kind::Checks;
    CheckNames = Kind::CheckNames;
    PagePlace = Kind::Like(&PAGE_PLACE);
    PartOf = Kind::Share;
    Truth = Kind::Truth;
    Size = Kind::Size;
    Cron = Kind::Cron;
    Zone = Kind::Zone;
    Secret = Kind::Secret;
    Injection = Kind::Injection;
    Jobs = Kind::Jobs;
    Extensions = Kind::Extensions;
    Steps = Kind::Steps;
    Conditions = Kind::Conditions;
    FlipWord = Kind::Word(&["auto", "manual"]);
    BaselineWord = Kind::Word(&["same_age", "stable"]);
    StoreWord = Kind::Word(&["sqlite", "volume"]);
    OverlapWord = Kind::Word(&["forbid", "queue", "replace"]);
    ProtocolWord = Kind::Word(&["remote_write", "remote_write_2", "otlp"]);
    MissedWord = Kind::Word(&["run", "skip"]);
    EvictWord = Kind::Word(&EVICT);
}

/// Redis' `maxmemory-policy`.
const EVICT: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

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
    JobNames = "job", "NAME", open false,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of JobKeys;
    StoreNames = "store", "NAME", open false,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of Either<StoreWord, StoreKeys>;
    InjectionNames = "variable", "VARIABLE", open true,
        keys "^[A-Za-z_][A-Za-z0-9_]*$", of Injection;
    SettingNames = "setting", "SETTING", open true,
        keys "^[a-z_][a-z0-9_.]*$", of Text;
    EnvironmentNames = "environment", "NAME", open false,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of EnvironmentKeys;
    DomainNames = "domain", "HOST", open true,
        keys "^[a-z0-9-]+(\\.[a-z0-9-]+)*$", of DomainKeys;
    RouteNames = "route", "PREFIX", open true,
        keys "^/[^?#%]*$", of Either<Service, RouteKeys>;
    SmokeNames = "smoke test", "NAME", open false,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of SmokeKeys;
    WindowNames = "window", "NAME", open true,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of WindowKeys;
    FreezeNames = "freeze", "NAME", open true,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of FreezeKeys;
    ChecklistNames = "item", "NAME", open true,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of ChecklistKeys;
    FloorNames = "scheduled minimum", "NAME", open true,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of FloorKeys;
    RemoteNames = "remote", "NAME", open true,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of RemoteKeys;
    TargetNames = "target", "NAME", open true,
        keys "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", of TargetKeys;
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
        /// Commands that run to their end: on a schedule, around a release, or when asked, by name.
        jobs: Option<JobNames>, default "{}", example "{ digest: { run: ./bin/digest } }";
        /// Where data is kept, by name: databases, caches, files.
        stores: Option<StoreNames>, default "{}", example "{ db: { postgres: 15 } }";
        /// What answers from outside: routes to services, by host name.
        domains: Option<DomainNames>, default "{}", example "{ shop.example: { to: web } }";
        /// Where the platform listens for requests from outside.
        gateway: Option<GatewayKeys>, default "{}", example "{ http: 8081 }";
        /// Metrics and rules: what is kept, and files of rules.
        signals: Option<SignalsKeys>, default "{}", example "{ keep: 30d }";
        /// Who is told of alerts, what is set for the rules that come with the platform, and what alerts do by
        /// themselves (`then`): the guide says how.
        alerts: Option<AlertsForm>, default "(nobody is told)", example "{ channels: { ops: { command: [./tell] } }, to: [ops] }";
        /// What is asked from outside, by name: addresses, ports, names, certificates, flows of requests. The guide
        /// says how.
        checks: Option<ChecksForm>, default "{}", example "{ home: { url: \"https://shop.example/\", contains: Welcome } }";
        /// A signed page on which it says to whoever asks from outside how it is; another Mainstay's `checks` verify it.
        status_page: Option<StatusPageKeys>, default "(none)", example "{ at: /status }";
        /// What lets a release begin: people who agree, windows, a checklist.
        gates: Option<GatesKeys>, default "{}", example "{ approvals: 2 }";
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
        /// Changes to jobs of the file.
        jobs: Option<JobNames>, default "{}", example "{ digest: { timeout: 5m } }";
        /// Changes to stores of the file.
        stores: Option<StoreNames>, default "{}", example "{ db: { memory: 2Gi } }";
        /// Domains that are added, changed, or taken away with `null`.
        domains: Option<DomainNames>, default "{}", example "{ staging.shop.example: { to: web } }";
        /// Changes to the gateway.
        gateway: Option<GatewayKeys>, default "{}", example "{ http: 8081 }";
        /// Changes to metrics and rules.
        signals: Option<SignalsKeys>, default "{}", example "{ keep: 30d }";
        /// Changes to who is told of alerts.
        alerts: Option<AlertsForm>, default "(nobody is told)", example "{ channels: { ops: { command: [./tell] } }, to: [ops] }";
        /// Changes to what is asked from outside.
        checks: Option<ChecksForm>, default "{}", example "{ home: { every: 5m } }";
        /// Changes to the status page.
        status_page: Option<StatusPageKeys>, default "(none)", example "{ at: /health/status }";
        /// Changes to what lets a release begin.
        gates: Option<GatesKeys>, default "{}", example "{ approvals: 2 }";
    }
}

keys! {
    /// The process that takes requests and hands them to ready instances.
    GatewayKeys = "the gateway" {
        /// Port for plain HTTP: on every address when a domain other than `localhost` is declared,
        /// else on loopback only. 80 once `mainstay install` has installed the platform.
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
        /// Services that it calls and stores that it uses: they start first. Of a service `api` it
        /// is told `API_URL`, `API_HOST` and `API_PORT`; of a PostgreSQL store `DATABASE_URL` and
        /// `PGHOST`, `PGPORT`, `PGDATABASE`, `PGUSER`, `PGPASSWORD`; of a Redis store `REDIS_URL`; of
        /// a SQLite store `DATABASE_URL`; of a volume `uploads` the folder, `UPLOADS_DIR`.
        needs: Option<Services>, default "[]", example "[api]";
        /// What it is told of stores, under names that it chooses, instead of the usual ones. The
        /// store is one that it `needs`.
        inject: Option<InjectionNames>, default "{}", example "{ ORDERS_URL: db.DATABASE_URL }";
        /// Liveness: an instance that fails is restarted. A text is the path of a GET.
        health: Option<Either<UrlPath, HealthKeys>>, default "(none: an instance lives while it runs)", example "/healthz";
        /// Readiness: an instance that fails takes no requests. A text is the path of a GET.
        ready: Option<Either<UrlPath, ReadyKeys>>, default "(a connection, for a service with a `port`; else ready while it runs)", example "/ready";
        /// Where each instance tells its metrics, in the text format of Prometheus. A text is the path.
        metrics: Option<Either<UrlPath, MetricsKeys>>, default "(none)", example "/metrics";
        /// What share of its requests must go well; alerts tell when the error budget burns too fast.
        slo: Option<SloKeys>, default "(none)", example "{ availability: 99.9% over 30d, latency: 95% < 300ms }";
        /// How many instances run.
        replicas: Option<Whole<0, 1000>>, default "1", example "3";
        /// How many run by what is measured; in place of `replicas`.
        scale: Option<ScaleKeys>, default "(none: `replicas` run)", example "{ min: 2, max: 6, cpu: 70% }";
        /// What one instance may use.
        size: Option<SizeKeys>, default "{}", example "{ cpu: 500m, memory: 256Mi }";
        /// Environment of the process, besides `PATH`, `HOME`, `TMPDIR`, `LANG`, `TZ`, `PORT` and what
        /// `needs` tells it.
        env: Option<VariableNames>, default "{}", example "{ LOG_LEVEL: info }";
        /// How an instance is stopped.
        stop: Option<StopKeys>, default "{}", example "{ grace: 20s }";
        /// How a release replaces instances.
        deploy: Option<Either<Way, DeployKeys>>, default "rolling", example "{ rolling: { surge: 1 } }";
    }
}

keys! {
    /// A command that runs to its end. It never runs twice at the same time, and a run that a crash
    /// cut off is not run again unless `at_least_once` says so.
    JobKeys = "a job" {
        /// Command that makes the program, run in the file's folder before anything is shipped; a
        /// text is split into words as a shell does, without a shell.
        build: Option<Words>, default "", example "make shop";
        /// Program and arguments, started in a copy of the artifact.
        run: Words, default "", example "[./bin/shop, migrate]";
        /// Files and folders that are shipped, relative to the file's folder.
        artifact: Option<Paths>, default "(the program's file, when `run` begins with a relative path)", example "[bin, templates]";
        /// Services that it calls and stores that it uses, as for a service.
        needs: Option<Services>, default "[]", example "[api]";
        /// What it is told of stores, under names that it chooses.
        inject: Option<InjectionNames>, default "{}", example "{ ORDERS_URL: db.DATABASE_URL }";
        /// What one run may use.
        size: Option<SizeKeys>, default "{}", example "{ cpu: 500m, memory: 256Mi }";
        /// Environment of the process.
        env: Option<VariableNames>, default "{}", example "{ LOG_LEVEL: info }";
        /// How a run is stopped when its time is up.
        stop: Option<StopKeys>, default "{}", example "{ grace: 20s }";
        /// When it runs by itself: minute, hour, day of month, month, day of week; or `@daily` and
        /// its like. Without one it runs when `mainstay jobs run` or a release asks.
        schedule: Option<Cron>, default "(when asked)", example "0 6 * * *";
        /// Time zone of the schedule, by its name in the IANA database.
        time_zone: Option<Zone>, default "UTC", example "Europe/Berlin";
        /// Longest run; then it is stopped and counts as failed.
        timeout: Option<Span<SECOND, {7 * DAY}>>, default "1h", example "10m";
        /// Further tries after a failure, 10 s apart and then twice as long each time.
        retries: Option<Whole<0, 20>>, default "0", example "3";
        /// When it is due and still runs: `forbid` skips this time, `queue` runs it right after,
        /// `replace` stops the older run.
        overlap: Option<OverlapWord>, default "forbid", example "queue";
        /// Times that passed while the platform was away: `run` makes up for all of them by one
        /// run, `skip` forgets them.
        missed: Option<MissedWord>, default "run", example "skip";
        /// Whether a run that a crash cut off is run again. It must then bear being done twice.
        at_least_once: Option<Truth>, default "false", example "true";
        /// Whether what it does cannot be undone, such as a migration that drops a column: a release
        /// that fails after it stays where it is instead of going back, and says so.
        one_way: Option<Truth>, default "false", example "true";
    }
}

keys! {
    /// Where data is kept: exactly one of `postgres`, `redis`, `sqlite` and `volume`. A release never
    /// restarts a store for another reason than its own keys, and never deletes data.
    StoreKeys = "a store" {
        /// A PostgreSQL server of this major version, run from the machine's own package.
        postgres: Option<Whole<13, 17>>, default "", example "15";
        /// A Redis server of this major version, or the Valkey server that replaces it.
        redis: Option<Whole<6, 8>>, default "", example "7";
        /// A database file in a private folder, opened by the services themselves.
        sqlite: Option<True>, default "", example "true";
        /// A folder that outlives releases.
        volume: Option<True>, default "", example "true";
        /// The secret that holds the address of a store that somebody else runs.
        external: Option<Secret>, default "", example "DB_URL";
        /// PostgreSQL: what its buffers are sized from. Redis: most memory for data.
        memory: Option<Size>, default "256Mi", example "1Gi";
        /// PostgreSQL: the disk it may count on; its write-ahead log is sized from it.
        disk: Option<Size>, default "", example "20Gi";
        /// PostgreSQL: extensions that are made in its database.
        extensions: Option<Extensions>, default "[]", example "[citext]";
        /// PostgreSQL: further settings under the server's own names. Some of them need a restart,
        /// which the plan shows.
        settings: Option<SettingNames>, default "{}", example "{ log_min_duration_statement: 250ms }";
        /// Redis: what is removed when memory is full (`maxmemory-policy`).
        evict: Option<EvictWord>, default "noeviction", example "allkeys-lru";
        /// Redis: whether data outlives the server.
        persist: Option<Truth>, default "true", example "false";
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
        /// A release gets a rising share of the traffic and is judged at each step. The first one of a
        /// service has nothing to be judged against and is rolled out.
        canary: Option<CanaryKeys>, default "(none)", example "{ steps: [5%, 50%] }";
        /// A release starts beside the one that serves, is looked at, takes all of the traffic at once, and is
        /// looked at again while the other one stays. The first one of a service is rolled out.
        blue_green: Option<BlueGreenKeys>, default "(none)", example "{ warm: 10m }";
        /// Requests that every new instance must answer before it takes traffic, by name. One that it does not
        /// answer in time fails the release.
        smoke: Option<SmokeNames>, default "{}", example "{ home: { get: / } }";
        /// Jobs that a release runs before it replaces the first instance of this service, in this
        /// order. One that fails fails the release.
        before: Option<Jobs>, default "[]", example "[migrate]";
        /// Jobs that a release runs once the instances of this service serve. One that fails fails
        /// the release.
        after: Option<Jobs>, default "[]", example "[warm]";
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
    /// Where metrics are read.
    MetricsKeys = "`metrics`" {
        /// Path of the GET.
        path: Option<UrlPath>, default "/metrics", example "/internal/metrics";
        /// From one reading to the next.
        every: Option<Span<SECOND, HOUR>>, default "15s", example "5s";
    }
}

keys! {
    /// What share of the requests of a service must go well.
    SloKeys = "`slo`" {
        /// The share that is not answered with 5xx; over 30 days, where nothing is said.
        availability: Option<Text>, default "(none)", example "99.9% over 30d";
        /// The share that takes less than so long.
        latency: Option<Text>, default "(none)", example "95% < 300ms over 7d";
    }
}

keys! {
    /// Metrics and rules.
    SignalsKeys = "`signals`" {
        /// Whether metrics of the machine, the gateway and all instances are collected.
        enabled: Option<Truth>, default "(yes, once the file says `signals`, `alerts` or a service's `metrics`)", example "false";
        /// How long samples are kept.
        keep: Option<Span<HOUR, {3650 * DAY}>>, default "15d", example "30d";
        /// Most bytes of samples on disk; the oldest go first.
        disk: Option<Size>, default "2Gi", example "10Gi";
        /// Most bytes of memory of the process that collects them. What asks for more ends it, and it is started
        /// again.
        memory: Option<Size>, default "1Gi", example "2Gi";
        /// Where samples are sent to as well, by name. What the other side misses is sent once it is back, as far
        /// back as samples are kept.
        remotes: Option<RemoteNames>, default "{}", example "{ archive: { url: \"https://metrics.example/api/v1/write\" } }";
        /// What elsewhere tells metrics, by name; the name is the label `job`.
        targets: Option<TargetNames>, default "{}", example "{ db: { url: \"https://db.example:9187/metrics\" } }";
        /// Port on loopback under which other tools ask for metrics, with a token; `mainstay signals url` says
        /// how. Without one only the local user asks, by a unix socket.
        port: Option<Whole<1, 65535>>, default "(none)", example "9090";
        /// Files of rules in the form of Prometheus, relative to the file's folder.
        rules: Option<Paths>, default "[]", example "[rules.yml]";
        /// A configuration of Alertmanager whose routes and receivers hold, instead of `alerts`.
        alertmanager: Option<Paths>, default "[]", example "[alertmanager.yml]";
    }
}

keys! {
    /// Where samples are sent to as well.
    RemoteKeys = "a remote" {
        /// Where it takes them. Redirects are not followed, and link-local addresses are refused.
        url: Url, default "", example "https://metrics.example/api/v1/write";
        /// How they are written: `remote_write`, version 1.0 of Prometheus, `remote_write_2`, its version 2.0, or `otlp`,
        /// metrics of OpenTelemetry over HTTP.
        protocol: Option<ProtocolWord>, default "remote_write", example "otlp";
        /// The secret with the token that `Authorization: Bearer` says.
        token: Option<Secret>, default "(none)", example "ARCHIVE_TOKEN";
    }
}

keys! {
    /// Something elsewhere whose metrics are read.
    TargetKeys = "a target" {
        /// Where it tells them, in the text format of Prometheus. Redirects are not followed, and link-local
        /// addresses are refused.
        url: Url, default "", example "https://db.example:9187/metrics";
        /// From one reading to the next.
        every: Option<Span<SECOND, DAY>>, default "15s", example "1m";
        /// Certificates in PEM that alone are trusted for it, in place of the system's: files relative to the file's
        /// folder.
        ca: Option<Paths>, default "(those that the system trusts)", example "ca.pem";
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
