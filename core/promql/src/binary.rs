//! Binary operators between scalars, vectors and scalars, and two samples.

use crate::annotation::Joining;
use crate::ast::{Binary, Expr, Op};
use crate::eval::{Evaluator, Result};
use crate::fault::{Fault, Span};
use crate::value::{Cell, Evaluated, Series, Steps};
use mainstay_metrics::{FloatHistogram, ResetHint, Value};
use std::sync::Arc;

/// What an operator makes of two samples.
#[derive(Debug)]
pub(crate) enum Combined {
    /// A value.
    Made(Value),
    /// A comparison that does not hold.
    Filtered,
    /// Nothing: the two do not go together.
    Nothing,
}

impl Evaluator<'_> {
    pub(crate) fn binary(&self, expr: &Expr, binary: &Binary, steps: Steps) -> Result<Evaluated> {
        let left = self.eval(&binary.left, steps)?;
        let right = self.eval(&binary.right, steps)?;
        Ok(match (left, right) {
            (Evaluated::Scalar(left), Evaluated::Scalar(right)) => {
                let pairs = left.iter().zip(&right);
                Evaluated::Scalar(
                    pairs
                        .map(|(one, two)| of_floats(binary.op, *one, *two))
                        .collect(),
                )
            }
            (Evaluated::Vector(left), Evaluated::Vector(right)) => {
                Evaluated::Vector(if binary.op.is_set() {
                    Self::set(binary, left, &right, steps)
                } else {
                    self.matched(expr.span, binary, &left, &right, steps)?
                })
            }
            (Evaluated::Vector(vector), Evaluated::Scalar(scalar)) => {
                Evaluated::Vector(self.with_scalar(expr.span, binary, vector, &scalar, false))
            }
            (Evaluated::Scalar(scalar), Evaluated::Vector(vector)) => {
                Evaluated::Vector(self.with_scalar(expr.span, binary, vector, &scalar, true))
            }
            _ => return Err(Fault::execution("a string is no operand")),
        })
    }

    fn with_scalar(
        &self,
        span: Span,
        binary: &Binary,
        vector: Vec<Series>,
        scalar: &[f64],
        scalar_left: bool,
    ) -> Vec<Series> {
        let op = binary.op;
        let filters = op.is_comparison() && !binary.bool;
        let combined = vector.into_iter().map(|one| {
            let column = one.column.map(|place, cell| {
                let number = Cell::Float(scalar[place]);
                let (left, right) = if scalar_left {
                    (number, cell)
                } else {
                    (cell, number)
                };
                match self.combine(op, left, right, span) {
                    Combined::Nothing => None,
                    Combined::Filtered => binary.bool.then_some(Value::Float(0.0)),
                    Combined::Made(_) if binary.bool => Some(Value::Float(1.0)),
                    Combined::Made(_) if filters => Some(cell.owned()),
                    Combined::Made(value) => Some(value),
                }
            });
            Series {
                drop_name: one.drop_name || !filters,
                column,
                ..one
            }
        });
        combined.filter(|one| !one.column.is_empty()).collect()
    }

    /// Applies an operator to two samples. A comparison that holds yields the left one.
    pub(crate) fn combine(&self, op: Op, left: Cell<'_>, right: Cell<'_>, span: Span) -> Combined {
        match (left, right) {
            (Cell::Float(one), Cell::Float(two)) => match op {
                Op::TrimUpper | Op::TrimLower => self.incompatible(op, "float", "float", span),
                _ if op.is_comparison() => hold(of_floats(op, one, two) == 1.0, left),
                _ => Combined::Made(Value::Float(of_floats(op, one, two))),
            },
            (Cell::Histogram(one), Cell::Histogram(two)) => match op {
                Op::Add | Op::Sub => self.joined(op, one, two, span),
                Op::Equal => hold(one.equals(two), left),
                Op::NotEqual => hold(!one.equals(two), left),
                _ => self.incompatible(op, "histogram", "histogram", span),
            },
            (Cell::Histogram(one), Cell::Float(two)) => {
                let made = match op {
                    Op::Mul => (**one).clone().scaled(two),
                    Op::Div => (**one).clone().divided(two),
                    Op::TrimUpper => crate::trim::trimmed(one, two, true),
                    Op::TrimLower => crate::trim::trimmed(one, two, false),
                    _ => return self.incompatible(op, "histogram", "float", span),
                };
                Combined::Made(Value::Histogram(made.into()))
            }
            (Cell::Float(one), Cell::Histogram(two)) => match op {
                Op::Mul => Combined::Made(Value::Histogram((**two).clone().scaled(one).into())),
                _ => self.incompatible(op, "float", "histogram", span),
            },
        }
    }

    fn joined(
        &self,
        op: Op,
        one: &Arc<FloatHistogram>,
        two: &Arc<FloatHistogram>,
        span: Span,
    ) -> Combined {
        let mut made = (**one).clone();
        let (joined, joining) = match op {
            Op::Add => (made.add(two), Joining::Addition),
            _ => (made.subtract(two), Joining::Subtraction),
        };
        let Ok(joined) = joined else {
            self.warn(
                span,
                format!(
                    "incompatible bucket layout encountered for binary operator {}",
                    op.sign()
                ),
            );
            return Combined::Nothing;
        };
        if joined.resets_collide {
            self.warn(
                span,
                format!(
                    "conflicting counter resets during histogram {}",
                    joining.name()
                ),
            );
        }
        if joined.bounds_reconciled {
            self.bounds_reconciled(joining, span);
        }
        if op == Op::Sub {
            made.hint = ResetHint::Gauge;
        }
        Combined::Made(Value::Histogram(made.into()))
    }

    fn incompatible(&self, op: Op, left: &str, right: &str, span: Span) -> Combined {
        let sign = op.sign();
        let text = format!(
            "incompatible sample types encountered for binary operator {sign:?}: {left} {sign} {right}"
        );
        self.inform(span, text);
        Combined::Nothing
    }
}

fn hold(holds: bool, left: Cell<'_>) -> Combined {
    if holds {
        Combined::Made(left.owned())
    } else {
        Combined::Filtered
    }
}

/// Arithmetic, or 1 and 0 for comparisons.
pub(crate) fn of_floats(op: Op, left: f64, right: f64) -> f64 {
    let truth = |holds: bool| f64::from(u8::from(holds));
    match op {
        Op::Add => left + right,
        Op::Sub => left - right,
        Op::Mul => left * right,
        Op::Div => left / right,
        Op::Mod => left % right,
        Op::Pow => left.powf(right),
        Op::Atan2 => left.atan2(right),
        Op::Equal => truth(left == right),
        Op::NotEqual => truth(left != right),
        Op::Less => truth(left < right),
        Op::Greater => truth(left > right),
        Op::LessEqual => truth(left <= right),
        Op::GreaterEqual => truth(left >= right),
        Op::And | Op::Or | Op::Unless | Op::TrimUpper | Op::TrimLower => f64::NAN,
    }
}
