//! Keys of how many instances run.

use crate::key::{
    Cron, DAY, Either, FloorNames, HOUR, Label, PartOf, QueuePlace, RequestRate, SECOND, Span,
    Text, Whole, Zone,
};
use crate::shape::{Keyed as _, keys};

keys! {
    /// How many instances run, from what is measured of them; in place of `replicas`. Each target is what
    /// one instance is to use: `ceil(count × measured / target)` are wanted, the most that any target asks
    /// for, and within a tenth of the target nothing changes.
    ScaleKeys = "`scale`" {
        /// Least instances.
        min: Whole<1, 1000>, default "", example "2";
        /// Most instances.
        max: Whole<1, 1000>, default "", example "6";
        /// Target: this share of the cores that `size` limits an instance to.
        cpu: Option<PartOf>, default "(no target)", example "70%";
        /// Target: this share of the memory that `size` limits an instance to.
        memory: Option<PartOf>, default "(no target)", example "80%";
        /// Target: so many requests a second, or a minute, as the gateway counts them.
        requests: Option<RequestRate>, default "(no target)", example "50/s";
        /// Target: 95 of 100 requests take no longer.
        p95: Option<Span<1, HOUR>>, default "(no target)", example "400ms";
        /// Target: what waits in a store that the service needs. A key of Redis (a list, stream, set or sorted
        /// set), as `STORE.KEY`, or `KEY` where only one Redis is needed; or what a query counts in PostgreSQL.
        queue: Option<Either<QueuePlace, QueueKeys>>, default "(no target)", example "cache.orders";
        /// How much of `queue` one instance is to have.
        per: Option<Whole<1, 1_000_000_000>>, default "", example "100";
        /// From one look to the next.
        every: Option<Span<SECOND, {300 * SECOND}>>, default "15s", example "30s";
        /// How long fewer must do before instances leave: a shrink goes no lower than the highest
        /// recommendation of this long.
        settle: Option<Span<SECOND, HOUR>>, default "5m", example "10m";
        /// How long after it became ready an instance is set aside: its use is that of its start.
        warm_up: Option<Span<0, HOUR>>, default "30s", example "2m";
        /// Higher minimums by the calendar, by name.
        at: Option<FloorNames>, default "{}", example "{ office: { begins: \"0 8 * * mon-fri\", lasts: 10h, min: 4 } }";
    }
}

keys! {
    /// What waits for a service. It is asked as the service itself, which may see no more.
    QueueKeys = "a queue" {
        /// The store: a Redis for `key`, a PostgreSQL for `query`; among `needs`.
        of: Label, default "", example "db";
        /// A list, stream, set or sorted set of Redis, of which the elements are counted; one that is not there has none.
        key: Option<Text>, default "", example "orders";
        /// A query of PostgreSQL that answers with one number, which may only read and take 10 s.
        query: Option<Text>, default "", example "\"SELECT count(*) FROM orders WHERE done_at IS NULL\"";
    }
}

keys! {
    /// A minimum that holds for a time that recurs.
    FloorKeys = "a scheduled minimum" {
        /// When it begins: minute, hour, day of month, month, day of week.
        begins: Cron, default "", example "0 8 * * mon-fri";
        /// How long it holds.
        lasts: Span<{60 * SECOND}, {7 * DAY}>, default "", example "10h";
        /// Time zone of `begins`, by its name in the IANA database.
        time_zone: Option<Zone>, default "UTC", example "Europe/Berlin";
        /// Least instances meanwhile.
        min: Whole<1, 1000>, default "", example "4";
    }
}
