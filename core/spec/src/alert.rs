//! What the schema says of `alerts`: the form is judged where it is shipped from, and editors know what alerts do.

use crate::kind::SPAN;
use serde_json::{Value, json};

/// What the definition of one deed is called.
pub(crate) const DEED: &str = "Deed";

/// The map under `alerts`.
pub(crate) fn schema() -> Value {
    let then = then();
    let preset = json!({
        "type": ["object", "null"],
        "properties": { "then": then },
    });
    json!({
        "type": "object",
        "properties": {
            "preset": { "type": ["object", "null"], "additionalProperties": preset },
            "then": {
                "description": "What alerts do by themselves, by their names.",
                "type": ["object", "null"],
                "additionalProperties": then,
            },
        },
    })
}

/// One deed, or a list of them.
fn then() -> Value {
    let deed = json!({ "$ref": format!("#/$defs/{DEED}") });
    json!({ "anyOf": [deed, { "type": "array", "items": deed }, { "type": "null" }] })
}

/// One deed with its bounds; that exactly one is named is judged where the file is shipped from.
pub(crate) fn deed() -> Value {
    let span = json!({ "type": "string", "minLength": 2, "pattern": SPAN });
    let whole = json!({ "type": "integer" });
    let scale = json!({
        "description": "Sets the count of a service that is scaled, within bounds, for a time.",
        "type": "object",
        "additionalProperties": false,
        "required": ["service", "by"],
        "properties": {
            "service": { "type": "string" },
            "by": { "description": "How many are added; taken away below zero.", "type": "integer" },
            "min": whole,
            "max": whole,
            "for": span,
        },
    });
    json!({
        "description": "Something that an alert does by itself.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "scale": scale,
            "run": { "description": "Runs a job.", "type": "string" },
            "pause": { "description": "Has the gateway answer for a route itself: host and path.", "type": "string" },
            "for": span,
            "cool_down": span,
            "at_most": { "type": "string", "pattern": "^[0-9]+ ?/day$" },
            "dry_run": { "type": "boolean" },
        },
        "dependentRequired": { "pause": ["for"], "for": ["pause"] },
    })
}
