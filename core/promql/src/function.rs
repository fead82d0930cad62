//! The table of functions: what each takes and yields.

use crate::ast::Type;

/// A function of the language.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Types of its arguments.
    pub takes: &'static [Type],
    /// How many of the last may be left out; with `repeats` the last may also come again.
    pub optional: usize,
    /// How often the last argument may come again.
    pub repeats: usize,
    /// What it yields.
    pub yields: Type,
    /// Whether upstream may still change it: refused unless switched on.
    pub experimental: bool,
}

use Type::{Matrix as M, Scalar as S, String as T, Vector as V};

const fn f(name: &'static str, takes: &'static [Type], yields: Type) -> Function {
    Function {
        name,
        takes,
        optional: 0,
        repeats: 0,
        yields,
        experimental: false,
    }
}

const fn optional(mut function: Function) -> Function {
    function.optional = 1;
    function
}

const fn repeated(mut function: Function, times: usize, optional: usize) -> Function {
    function.repeats = times;
    function.optional = optional;
    function
}

const fn experimental(mut function: Function) -> Function {
    function.experimental = true;
    function
}

/// Repeats without a limit of their own: the query's length is one.
const MANY: usize = usize::MAX;

/// All functions.
pub static FUNCTIONS: &[Function] = &[
    f("abs", &[V], V),
    f("absent", &[V], V),
    f("absent_over_time", &[M], V),
    f("acos", &[V], V),
    f("acosh", &[V], V),
    f("asin", &[V], V),
    f("asinh", &[V], V),
    f("atan", &[V], V),
    f("atanh", &[V], V),
    f("avg_over_time", &[M], V),
    f("ceil", &[V], V),
    f("changes", &[M], V),
    f("clamp", &[V, S, S], V),
    f("clamp_max", &[V, S], V),
    f("clamp_min", &[V, S], V),
    f("cos", &[V], V),
    f("cosh", &[V], V),
    f("count_over_time", &[M], V),
    optional(f("day_of_month", &[V], V)),
    optional(f("day_of_week", &[V], V)),
    optional(f("day_of_year", &[V], V)),
    optional(f("days_in_month", &[V], V)),
    f("deg", &[V], V),
    f("delta", &[M], V),
    f("deriv", &[M], V),
    experimental(f("double_exponential_smoothing", &[M, S, S], V)),
    experimental(f("end", &[], S)),
    f("exp", &[V], V),
    f("first_over_time", &[M], V),
    f("floor", &[V], V),
    f("histogram_avg", &[V], V),
    f("histogram_count", &[V], V),
    f("histogram_fraction", &[S, S, V], V),
    f("histogram_quantile", &[S, V], V),
    experimental(repeated(f("histogram_quantiles", &[V, T, S], V), 9, 0)),
    f("histogram_stddev", &[V], V),
    f("histogram_stdvar", &[V], V),
    f("histogram_sum", &[V], V),
    optional(f("hour", &[V], V)),
    f("idelta", &[M], V),
    f("increase", &[M], V),
    experimental(optional(f("info", &[V, V], V))),
    f("irate", &[M], V),
    repeated(f("label_join", &[V, T, T, T], V), MANY, 1),
    f("label_replace", &[V, T, T, T, T], V),
    f("last_over_time", &[M], V),
    f("ln", &[V], V),
    f("log10", &[V], V),
    f("log2", &[V], V),
    experimental(f("mad_over_time", &[M], V)),
    experimental(f("max_of", &[S, S], S)),
    f("max_over_time", &[M], V),
    experimental(f("min_of", &[S, S], S)),
    f("min_over_time", &[M], V),
    optional(f("minute", &[V], V)),
    optional(f("month", &[V], V)),
    f("pi", &[], S),
    f("predict_linear", &[M, S], V),
    f("present_over_time", &[M], V),
    f("quantile_over_time", &[S, M], V),
    f("rad", &[V], V),
    experimental(f("range", &[], S)),
    f("rate", &[M], V),
    f("resets", &[M], V),
    optional(f("round", &[V, S], V)),
    f("scalar", &[V], S),
    f("sgn", &[V], V),
    f("sin", &[V], V),
    f("sinh", &[V], V),
    f("sort", &[V], V),
    experimental(repeated(f("sort_by_label", &[V, T], V), MANY, 1)),
    experimental(repeated(f("sort_by_label_desc", &[V, T], V), MANY, 1)),
    f("sort_desc", &[V], V),
    f("sqrt", &[V], V),
    experimental(f("start", &[], S)),
    f("stddev_over_time", &[M], V),
    f("stdvar_over_time", &[M], V),
    experimental(f("step", &[], S)),
    f("sum_over_time", &[M], V),
    f("tan", &[V], V),
    f("tanh", &[V], V),
    f("time", &[], S),
    f("timestamp", &[V], V),
    experimental(f("ts_of_first_over_time", &[M], V)),
    experimental(f("ts_of_last_over_time", &[M], V)),
    experimental(f("ts_of_max_over_time", &[M], V)),
    experimental(f("ts_of_min_over_time", &[M], V)),
    f("vector", &[S], V),
    optional(f("year", &[V], V)),
];

/// A function by its name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

impl Function {
    /// Fewest arguments.
    pub fn arguments_min(&self) -> usize {
        self.takes.len() - self.optional
    }

    /// Most arguments.
    pub fn arguments_max(&self) -> usize {
        self.takes.len().saturating_add(self.repeats)
    }

    /// The type of an argument.
    pub fn argument(&self, place: usize) -> Type {
        let last = self.takes.len().saturating_sub(1);
        self.takes
            .get(place.min(last))
            .copied()
            .unwrap_or(Type::Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        let mut sorted: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), FUNCTIONS.len());
    }
}
