//! Keys of how a release earns its place: trials, smoke tests, gates.

use crate::key::{
    BaselineWord, ChecklistNames, Civil, Conditions, Cookie, Cron, DAY, Either, FlipWord,
    FreezeNames, HOUR, Header, Host, PartOf, People, SECOND, Span, Steps, Text, Truth, UrlPath,
    Whole, WindowNames, Words, Zone,
};
use crate::shape::{Keyed as _, keys};

keys! {
    /// How a release earns its traffic.
    CanaryKeys = "`canary`" {
        /// Shares of the traffic, one after the other; all of it follows the last.
        steps: Option<Steps>, default "[5%, 25%, 50%]", example "[10%, 50%]";
        /// How long each step is held at least.
        hold: Option<Span<SECOND, {7 * DAY}>>, default "5m", example "10m";
        /// The release goes back when one of these holds.
        abort_if: Option<Conditions>, default "[error_rate > 2 × baseline]", example "[error_rate > 1%, p95 > 400ms]";
        /// What it is compared with: fresh instances of the release before, started with its own, or the
        /// instances that serve anyway.
        baseline: Option<BaselineWord>, default "same_age", example "stable";
        /// Time between two measurements.
        every: Option<Span<SECOND, DAY>>, default "10s", example "1s";
        /// Fewest requests that say anything.
        least: Option<Whole<1, 1_000_000>>, default "100", example "500";
        /// How much longer than its hold a step waits for a verdict before it asks a person.
        patience: Option<Span<0, {7 * DAY}>>, default "30m", example "2h";
        /// How long the release is watched with all of the traffic before it is done.
        bake: Option<Span<0, {7 * DAY}>>, default "5m", example "30m";
        /// Whether a client stays on the side that it came to: it is given a cookie, and never leaves a release
        /// whose share grows.
        sticky: Option<Truth>, default "false", example "true";
        /// Requests with this field in their head go to the release whatever its share is.
        header: Option<Header>, default "(none)", example "x-canary=always";
        /// Requests with this cookie go to the release whatever its share is.
        cookie: Option<Cookie>, default "(none)", example "beta=1";
        /// The share of the `GET` and `HEAD` requests answered by the release before of which a copy goes to the
        /// release on trial; what it answers reaches nobody.
        mirror: Option<PartOf>, default "0%", example "10%";
    }
}

keys! {
    /// A release that takes all of the traffic at once.
    BlueGreenKeys = "`blue_green`" {
        /// Host name that the release answers before it has the traffic; else the release that serves does.
        preview: Option<Host>, default "(none)", example "preview.shop.example";
        /// Who gives it the traffic: `auto`, as soon as it is ready and judged, or `manual`, a person with
        /// `mainstay promote`.
        flip: Option<FlipWord>, default "auto", example "manual";
        /// How long it is judged by the requests of its preview before it has the traffic.
        before: Option<Span<0, {7 * DAY}>>, default "0s", example "5m";
        /// How long it is judged once it has the traffic; until then it can be taken back at once.
        after: Option<Span<0, {7 * DAY}>>, default "5m", example "10m";
        /// The release goes back when one of these holds. Nothing serves beside it, so none compares with a
        /// baseline.
        abort_if: Option<Conditions>, default "[error_rate > 1%]", example "[error_rate > 5%, p95 > 400ms]";
        /// Time between two measurements.
        every: Option<Span<SECOND, DAY>>, default "10s", example "1s";
        /// Fewest requests that say anything.
        least: Option<Whole<1, 1_000_000>>, default "100", example "500";
        /// How much longer than its time a verdict is waited for before a person is asked.
        patience: Option<Span<0, {7 * DAY}>>, default "30m", example "2h";
        /// How long the release before is kept running once this one was judged good.
        warm: Option<Span<0, {7 * DAY}>>, default "1m", example "10m";
    }
}

keys! {
    /// One request whose answer says whether an instance does its work.
    SmokeKeys = "a smoke test" {
        /// Path of a GET that is sent to the instance itself.
        get: UrlPath, default "", example "/";
        /// The status that passes.
        expect: Option<Whole<100, 599>>, default "200", example "204";
        /// A text that the first 64 KiB of the body must hold.
        contains: Option<Text>, default "(anything)", example "<h1>shop</h1>";
        /// How long it is tried again until it passes.
        within: Option<Span<100, HOUR>>, default "10s", example "1m";
    }
}

keys! {
    /// What lets a release begin. A rollback passes: its contents passed before.
    GatesKeys = "`gates`" {
        /// People who agree to what the release contains; a number: so many, whoever they are, but not its
        /// author.
        approvals: Option<Either<Whole<0, 20>, ApprovalsKeys>>, default "0", example "2";
        /// Times in which releases begin; without one they begin at any time. One that began goes on.
        windows: Option<WindowNames>, default "{}", example "{ office: { opens: \"0 9 * * mon-thu\", lasts: 7h } }";
        /// Times in which nothing is released, and a release under way stands still.
        freezes: Option<FreezeNames>, default "{}", example "{ sale: { from: 2026-11-27, until: 2026-12-01 } }";
        /// What has to be answered for each release, by name: by a command, or by a person's tick.
        checklist: Option<ChecklistNames>, default "{}", example "{ backup: {} }";
    }
}

keys! {
    /// Whose agreement a release needs.
    ApprovalsKeys = "`approvals`" {
        /// How many people.
        need: Whole<0, 20>, default "", example "2";
        /// Who may: login names, and names of tokens.
        from: Option<People>, default "(everybody)", example "[ann, bob]";
        /// Whether the author's own counts not.
        not_author: Option<Truth>, default "true", example "false";
        /// How long an approval holds.
        expiry: Option<Span<{60 * SECOND}, {7 * DAY}>>, default "30m", example "2h";
    }
}

keys! {
    /// A time that recurs, in which releases begin.
    WindowKeys = "a window" {
        /// When it opens: minute, hour, day of month, month, day of week.
        opens: Cron, default "", example "0 9 * * mon-thu";
        /// How long it stays open.
        lasts: Span<{60 * SECOND}, {7 * DAY}>, default "", example "7h";
        /// Time zone of `opens`, by its name in the IANA database.
        time_zone: Option<Zone>, default "UTC", example "Europe/Berlin";
    }
}

keys! {
    /// A time in which nothing is released.
    FreezeKeys = "a freeze" {
        /// Its first moment; of a day, its beginning.
        from: Civil, default "", example "2026-11-27";
        /// The first moment after it.
        until: Civil, default "", example "2026-12-01";
        /// Time zone of both, by its name in the IANA database.
        time_zone: Option<Zone>, default "UTC", example "Europe/Berlin";
        /// Why, as it is told to whoever waits.
        reason: Option<Text>, default "(the name of the freeze)", example "the big sale";
    }
}

keys! {
    /// One item of a checklist.
    ChecklistKeys = "an item" {
        /// Command that answers it, run in the file's folder by `mainstay checklist run`; without one a person
        /// ticks it.
        run: Option<Words>, default "(a person ticks it)", example "./bin/check-disk";
        /// Longest run of the command.
        timeout: Option<Span<SECOND, HOUR>>, default "1m", example "5m";
    }
}
