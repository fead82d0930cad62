//! A query pinned to one time with `@`: it must yield the same whenever it is evaluated.

use mainstay_promql::{At, Expr, Kind, Modifiers};

/// Functions whose result depends on the time of evaluation even for constant input.
const BY_TIME: [&str; 15] = [
    "time",
    "timestamp",
    "predict_linear",
    "start",
    "end",
    "range",
    "step",
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
];

/// Puts `@` on every selector and outermost subquery that has none; false when the query cannot be pinned.
pub(crate) fn pin(expr: &mut Expr, at_ms: i64) -> bool {
    let set = |modifiers: &mut Modifiers| {
        if modifiers.at.is_none() {
            modifiers.at = Some(At::Time(at_ms));
        }
        matches!(modifiers.at, Some(At::Time(_)))
    };
    match &mut expr.kind {
        Kind::Number(_) | Kind::Text(_) => true,
        Kind::Paren(inner) | Kind::Negate(inner) => pin(inner, at_ms),
        Kind::Select(selector) => set(&mut selector.modifiers),
        Kind::Range(range) => set(&mut range.selector.modifiers),
        // What is inside follows the subquery's own times; only its functions matter here.
        Kind::Subquery(subquery) => set(&mut subquery.modifiers) && steady(&subquery.inner),
        Kind::Call(call) => {
            // The second argument of `info` is no selector, and info series are looked up at each step.
            !BY_TIME.contains(&call.function.name)
                && call.function.name != "info"
                && call
                    .arguments
                    .iter_mut()
                    .all(|argument| pin(argument, at_ms))
        }
        Kind::Aggregate(aggregate) => {
            pin(&mut aggregate.inner, at_ms)
                && aggregate
                    .parameter
                    .as_mut()
                    .is_none_or(|parameter| pin(parameter, at_ms))
        }
        Kind::Binary(binary) => pin(&mut binary.left, at_ms) && pin(&mut binary.right, at_ms),
    }
}

/// Whether nothing inside a subquery looks at the query's own bounds.
fn steady(expr: &Expr) -> bool {
    pin(&mut expr.clone(), 0)
}
