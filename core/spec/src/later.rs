//! Words that people bring along: keys that later versions of the language have, and other tools'
//! names for keys of this one.

/// A key that this program cannot honour yet.
pub(crate) struct Later {
    /// Mirror types of the maps where it will stand.
    places: &'static [&'static str],
    /// The key.
    pub(crate) name: &'static str,
    /// What is missing, to follow `this program has no`.
    pub(crate) what: &'static str,
    /// What to do instead.
    pub(crate) instead: &'static str,
    /// Keys that the user would have given instead, so that their absence is no second mistake.
    pub(crate) excuses: &'static [&'static str],
}

const FILE: &[&str] = &["FileKeys", "EnvironmentKeys"];
const ENVIRONMENT: &[&str] = &["EnvironmentKeys"];
const SERVICE: &[&str] = &["ServiceKeys"];
const DOMAIN: &[&str] = &["DomainKeys"];
const ROUTE: &[&str] = &["DomainKeys", "RouteKeys"];
const GATEWAY: &[&str] = &["GatewayKeys"];
const DEPLOY: &[&str] = &["DeployKeys"];
const STORE: &[&str] = &["StoreKeys"];
const PROGRAM: &[&str] = &["run", "artifact"];
/// A key that says what a store is.
const KIND: &[&str] = &["postgres"];

macro_rules! later {
    ($($places:ident $name:literal $what:literal, $instead:literal $(, $excuses:expr)?;)*) => {
        const LATER: &[Later] = &[$(Later {
            places: $places,
            name: $name,
            what: $what,
            instead: $instead,
            excuses: later!(@ $($excuses)?),
        }),*];
    };
    (@) => { &[] };
    (@ $excuses:expr) => { $excuses };
}

later! {
    FILE "secrets" "secrets", "let the program read a file outside the platform and name it in `env`";
    FILE "backups" "backups", "back the data up with the database's own tool";
    FILE "notify" "channels at this place", "write them under `alerts: { channels }`, and who hears of releases under `alerts: { releases }`";
    FILE "machines" "second machine", "run one platform on each machine, with a file each";
    FILE "clusters" "clusters", "run one platform on each machine, with a file each";
    FILE "externals" "externals", "give the address of the third party in `env`";
    FILE "monitoring" "monitoring profiles", "take the key away; the gateway counts requests by itself";
    FILE "security" "security profiles", "take the key away";
    FILE "access" "roles", "take the key away; whoever may open the control socket may act";
    FILE "cost" "cost estimates", "take the key away";
    FILE "group" "groups of containers", "run the containers beside the platform";
    FILE "dashboards" "dashboards", "take the key away";
    FILE "slo" "objectives of a whole platform", "write `slo` under a service";
    FILE "incidents" "incidents", "take the key away";
    FILE "duties" "duties", "take the key away";
    FILE "personal" "personal data register", "take the key away";
    FILE "pipeline" "pipeline", "call `mainstay deploy` from the pipeline you have";
    FILE "flags" "feature flags", "give the flag in `env`";
    FILE "models" "models", "take the key away";
    FILE "contracts" "contracts", "take the key away";
    FILE "views" "views", "take the key away";
    FILE "lifecycle" "lifecycle rules", "take the key away";
    FILE "hosted" "hosted parts", "release that part with its own command";
    FILE "components" "components", "write the services out";
    ENVIRONMENT "target" "other target than this machine", "take the key away";
    ENVIRONMENT "protect" "protection of stores", "take the key away";
    SERVICE "image" "container images", "make the program with `build: COMMAND` and name it with `run: ./PROGRAM`", PROGRAM;
    SERVICE "static" "static sites", "serve the folder by a program: `run: ./bin/server`, `artifact: [bin, site]`", PROGRAM;
    SERVICE "command" "container images, to which `command` belongs", "name the program and its arguments with `run:`", PROGRAM;
    SERVICE "secrets" "secrets", "let the program read a file outside the platform and name it in `env`";
    SERVICE "on" "second machine", "take the key away; everything runs on this machine";
    SERVICE "pool" "clusters", "take the key away; everything runs on this machine";
    SERVICE "logs" "log settings", "take the key away; `mainstay logs` shows what the program writes";
    SERVICE "user" "choice of user", "take the key away";
    SERVICE "hosted" "hosted parts", "release that part with its own command", PROGRAM;
    SERVICE "group" "groups of containers", "run the containers beside the platform", PROGRAM;
    SERVICE "security" "security profiles", "take the key away";
    SERVICE "monitoring" "monitoring profiles", "take the key away";
    DOMAIN "tls" "TLS", "take the key away and let a proxy in front terminate TLS";
    ROUTE "limit" "rate limits", "take the key away";
    ROUTE "filter" "request filter", "take the key away";
    ROUTE "cache" "response cache", "take the key away and let the service send `cache-control`";
    ROUTE "redirect" "redirects", "let the service redirect", &["to"];
    GATEWAY "https" "TLS", "use `http:` and let a proxy in front terminate TLS";
    STORE "s3" "buckets", "give the address of the bucket in `env`", KIND;
    STORE "mongodb" "MongoDB", "run the database beside the platform and give its address in `env`", KIND;
    STORE "kafka" "Kafka", "run the broker beside the platform and give its address in `env`", KIND;
    STORE "rabbitmq" "RabbitMQ", "run the broker beside the platform and give its address in `env`", KIND;
    STORE "ipfs" "IPFS", "run the node beside the platform and give its address in `env`", KIND;
    STORE "mariadb" "MariaDB", "run the database beside the platform and give its address in `env`", KIND;
    STORE "replicas" "replicas of stores", "take the key away";
    STORE "backup" "backups", "back the data up with the database's own tool";
    STORE "failover" "standby servers", "take the key away";
    STORE "encrypted" "encryption of stores", "put the state folder on an encrypted disk";
    DEPLOY "abort_if" "verdicts outside of a canary", "write it under `canary` or `blue_green`";
}

/// The row of a key that later versions have at this place.
pub(crate) fn later(place: &str, key: &str) -> Option<&'static Later> {
    LATER
        .iter()
        .find(|row| row.name == key && row.places.contains(&place))
}

/// Every row, with each of its places.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static Later)> {
    LATER
        .iter()
        .flat_map(|row| row.places.iter().map(move |&place| (place, row)))
}

/// What Compose, Kubernetes, Kamal, Fly and Procfile users call a key of this language, by place.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("FileKeys", "version", "mainstay"),
    ("FileKeys", "spec", "mainstay"),
    ("FileKeys", "apiVersion", "mainstay"),
    ("FileKeys", "platform", "name"),
    ("FileKeys", "project", "name"),
    ("FileKeys", "app", "name"),
    ("FileKeys", "apps", "services"),
    ("FileKeys", "processes", "services"),
    ("FileKeys", "hosts", "domains"),
    ("FileKeys", "routes", "domains"),
    ("FileKeys", "ingress", "domains"),
    ("FileKeys", "proxy", "gateway"),
    ("FileKeys", "envs", "environments"),
    ("FileKeys", "stages", "environments"),
    ("ServiceKeys", "cmd", "run"),
    ("ServiceKeys", "exec", "run"),
    ("ServiceKeys", "start", "run"),
    ("ServiceKeys", "entrypoint", "run"),
    ("ServiceKeys", "program", "run"),
    ("ServiceKeys", "environment", "env"),
    ("ServiceKeys", "variables", "env"),
    ("ServiceKeys", "depends_on", "needs"),
    ("ServiceKeys", "depends", "needs"),
    ("ServiceKeys", "requires", "needs"),
    ("ServiceKeys", "links", "needs"),
    ("ServiceKeys", "healthcheck", "health"),
    ("ServiceKeys", "liveness", "health"),
    ("ServiceKeys", "livenessProbe", "health"),
    ("ServiceKeys", "readiness", "ready"),
    ("ServiceKeys", "readinessProbe", "ready"),
    ("ServiceKeys", "instances", "replicas"),
    ("ServiceKeys", "count", "replicas"),
    ("ServiceKeys", "resources", "size"),
    ("ServiceKeys", "limits", "size"),
    ("ServiceKeys", "ports", "port"),
    ("ServiceKeys", "expose", "port"),
    ("ServiceKeys", "listen", "port"),
    ("ServiceKeys", "files", "artifact"),
    ("ServiceKeys", "artifacts", "artifact"),
    ("ServiceKeys", "inherits", "extends"),
    ("ServiceKeys", "strategy", "deploy"),
    ("SizeKeys", "ram", "memory"),
    ("SizeKeys", "mem", "memory"),
    ("SizeKeys", "cpus", "cpu"),
    ("SizeKeys", "cores", "cpu"),
    ("SizeKeys", "nofile", "files"),
    ("SizeKeys", "pids", "processes"),
    ("ReadyKeys", "http", "path"),
    ("ReadyKeys", "url", "path"),
    ("ReadyKeys", "command", "exec"),
    ("ReadyKeys", "interval", "every"),
    ("ReadyKeys", "period", "every"),
    ("ReadyKeys", "deadline", "after"),
    ("ReadyKeys", "grace", "after"),
    ("ReadyKeys", "retries", "fail"),
    ("HealthKeys", "http", "path"),
    ("HealthKeys", "url", "path"),
    ("HealthKeys", "command", "exec"),
    ("HealthKeys", "interval", "every"),
    ("HealthKeys", "period", "every"),
    ("HealthKeys", "grace", "after"),
    ("HealthKeys", "start_period", "after"),
    ("HealthKeys", "retries", "fail"),
    ("StopKeys", "timeout", "grace"),
    ("StopKeys", "wait", "drain"),
    ("RollingKeys", "max_surge", "surge"),
    ("RollingKeys", "maxSurge", "surge"),
    ("RollingKeys", "max_unavailable", "unavailable"),
    ("RollingKeys", "maxUnavailable", "unavailable"),
    ("RollingKeys", "minReadySeconds", "min_ready"),
    ("RollingKeys", "timeout", "deadline"),
    ("RollingKeys", "progressDeadlineSeconds", "deadline"),
    ("DomainKeys", "service", "to"),
    ("DomainKeys", "paths", "routes"),
    ("RouteKeys", "service", "to"),
    ("GatewayKeys", "port", "http"),
    ("FileKeys", "databases", "stores"),
    ("FileKeys", "volumes", "stores"),
    ("FileKeys", "crons", "jobs"),
    ("FileKeys", "tasks", "jobs"),
    ("ServiceKeys", "stores", "needs"),
    ("ServiceKeys", "volumes", "needs"),
    ("JobKeys", "cmd", "run"),
    ("JobKeys", "command", "run"),
    ("JobKeys", "cron", "schedule"),
    ("JobKeys", "every", "schedule"),
    ("JobKeys", "timezone", "time_zone"),
    ("JobKeys", "timeZone", "time_zone"),
    ("JobKeys", "environment", "env"),
    ("JobKeys", "depends_on", "needs"),
    ("JobKeys", "deadline", "timeout"),
    ("JobKeys", "activeDeadlineSeconds", "timeout"),
    ("JobKeys", "backoffLimit", "retries"),
    ("JobKeys", "concurrencyPolicy", "overlap"),
    ("JobKeys", "concurrency", "overlap"),
    ("StoreKeys", "postgresql", "postgres"),
    ("StoreKeys", "pg", "postgres"),
    ("StoreKeys", "valkey", "redis"),
    ("StoreKeys", "maxmemory", "memory"),
    ("StoreKeys", "maxmemory-policy", "evict"),
    ("StoreKeys", "config", "settings"),
    ("StoreKeys", "parameters", "settings"),
    ("ServiceKeys", "autoscale", "scale"),
    ("ServiceKeys", "autoscaling", "scale"),
    ("ServiceKeys", "hpa", "scale"),
    ("ScaleKeys", "minReplicas", "min"),
    ("ScaleKeys", "maxReplicas", "max"),
    ("ScaleKeys", "rps", "requests"),
    ("ScaleKeys", "latency", "p95"),
    ("ScaleKeys", "ram", "memory"),
    ("ScaleKeys", "stabilizationWindowSeconds", "settle"),
    ("ScaleKeys", "schedule", "at"),
    ("DeployKeys", "pre", "before"),
    ("DeployKeys", "post", "after"),
];

/// This language's word for another tool's key.
pub(crate) fn elsewhere(place: &str, key: &str) -> Option<&'static str> {
    ELSEWHERE
        .iter()
        .find(|row| row.0 == place && row.1 == key)
        .map(|row| row.2)
}
