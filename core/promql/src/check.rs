//! Types: every operand and argument is what its place takes.

use crate::ast::{Aggregate, Binary, Call, Expr, Kind, Selector, Type};
use crate::fault::ParseFault;

type Checked = Result<(), ParseFault>;

/// Checks a whole query.
pub(crate) fn check(query: &str, expr: &Expr) -> Checked {
    Checker { query }.expr(expr)
}

struct Checker<'a> {
    query: &'a str,
}

impl Checker<'_> {
    fn fault(&self, expr: &Expr, why: impl Into<String>) -> Checked {
        Err(ParseFault {
            position: expr.span.position(self.query),
            why: why.into(),
        })
    }

    fn wants(&self, expr: &Expr, wanted: Type, place: &str) -> Checked {
        self.expr(expr)?;
        let found = expr.yields();
        if found == wanted {
            return Ok(());
        }
        let why = format!(
            "expected type {} in {place}, got {}",
            wanted.name(),
            found.name()
        );
        self.fault(expr, why)
    }

    fn expr(&self, expr: &Expr) -> Checked {
        match &expr.kind {
            Kind::Number(_) | Kind::Text(_) => Ok(()),
            Kind::Paren(inner) | Kind::Negate(inner) => self.expr(inner),
            Kind::Select(selector) => self.selector(expr, selector),
            Kind::Range(range) => self.selector(expr, &range.selector),
            Kind::Subquery(subquery) => {
                self.expr(&subquery.inner)?;
                let found = subquery.inner.yields();
                if found == Type::Vector {
                    return Ok(());
                }
                let why = format!(
                    "subquery is only allowed on instant vector, got {} instead",
                    found.name()
                );
                self.fault(expr, why)
            }
            Kind::Call(call) => self.call(expr, call),
            Kind::Aggregate(aggregate) => self.aggregate(aggregate),
            Kind::Binary(binary) => self.binary(expr, binary),
        }
    }

    fn selector(&self, expr: &Expr, selector: &Selector) -> Checked {
        if selector
            .matchers
            .iter()
            .any(|matcher| !matcher.matches_empty())
        {
            return Ok(());
        }
        self.fault(
            expr,
            "vector selector must contain at least one non-empty matcher",
        )
    }

    fn call(&self, expr: &Expr, call: &Call) -> Checked {
        let (function, count) = (call.function, call.arguments.len());
        let (least, most) = (function.arguments_min(), function.arguments_max());
        if count < least || count > most {
            let name = function.name;
            let wanted = if count < least { least } else { most };
            let how = match (least == most, count < least) {
                (true, _) => "expected",
                (false, true) => "expected at least",
                (false, false) => "expected at most",
            };
            return self.fault(
                expr,
                format!("{how} {wanted} argument(s) in call to {name:?}, got {count}"),
            );
        }
        let place = format!("call to function {:?}", function.name);
        for (number, argument) in call.arguments.iter().enumerate() {
            if function.name == "info" && number == 1 {
                self.data_labels(argument)?;
                continue;
            }
            self.wants(argument, function.argument(number), &place)?;
        }
        Ok(())
    }

    /// The second argument of `info` has the form of a selector without being one.
    fn data_labels(&self, argument: &Expr) -> Checked {
        match &argument.kind {
            Kind::Select(selector)
                if self.query[argument.span.start..].starts_with('{')
                    && selector.modifiers.offset.is_none()
                    && selector.modifiers.at.is_none() =>
            {
                Ok(())
            }
            _ => self.fault(argument, "expected label selectors only"),
        }
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Checked {
        if let (Some(parameter), Some(wanted)) =
            (&aggregate.parameter, aggregate.aggregation.parameter())
        {
            self.wants(parameter, wanted, "aggregation parameter")?;
        }
        self.wants(&aggregate.inner, Type::Vector, "aggregation expression")
    }

    fn binary(&self, expr: &Expr, binary: &Binary) -> Checked {
        self.expr(&binary.left)?;
        self.expr(&binary.right)?;
        let op = binary.op;
        for operand in [&binary.left, &binary.right] {
            if !matches!(operand.yields(), Type::Scalar | Type::Vector) {
                return self.fault(
                    operand,
                    "binary expression must contain only scalar and instant vector types",
                );
            }
        }
        let scalars = [&binary.left, &binary.right]
            .iter()
            .filter(|side| side.yields() == Type::Scalar)
            .count();
        if scalars == 2 && op.is_comparison() && !binary.bool {
            return self.fault(expr, "comparisons between scalars must use BOOL modifier");
        }
        if scalars > 0 && op.is_set() {
            return self.fault(
                expr,
                format!(
                    "set operator {:?} not allowed in binary scalar expression",
                    op.sign()
                ),
            );
        }
        let matching = &binary.matching;
        if scalars > 0 && (!matching.labels.is_empty() || matching.on) {
            return self.fault(expr, "vector matching only allowed between instant vectors");
        }
        if scalars > 0 && (matching.fill_left.is_some() || matching.fill_right.is_some()) {
            return self.fault(
                expr,
                "filling in missing series only allowed between instant vectors",
            );
        }
        Ok(())
    }
}
