//! `alerts checks`, and the objectives of `alerts rules`.

use crate::argument::Arguments;
use crate::command::signals::{ask, encoded, list};
use crate::failure::Failure;
use crate::show;
use mainstay_faults::{Exit, escaped};
use mainstay_world::SignalsClient;
use serde_json::{Value, json};

/// An objective, as the file says it, and what is left of its error budget.
pub(crate) struct Aim {
    name: String,
    text: String,
    /// A share: 1 is all of it, below 0 more is gone than there was.
    left: Option<f64>,
}

impl Aim {
    /// As a row of the table of rules.
    pub(crate) fn cells(self) -> Vec<String> {
        let left = match self.left {
            Some(left) => format!("on: {:.1} % of the budget left", left * 100.0),
            None => "on: no requests yet".to_owned(),
        };
        vec![self.name, left, self.text]
    }

    /// As the rules are told to programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.name,
            "alert": "BudgetBurns",
            "answers": [self.text],
            "stands": "on",
            "budget_left": self.left,
        })
    }
}

/// The objectives of all services.
pub(crate) fn aims(client: &SignalsClient, config: &Value) -> Result<Vec<Aim>, Failure> {
    let services = config["objectives"].as_array().cloned().unwrap_or_default();
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let path = format!("/api/v1/query?query={}", encoded("slo:budget:remaining"));
    let answer = ask(client, "GET", &path, &[])?;
    let left = |name: &str| {
        let rows = answer["data"]["result"].as_array()?;
        let row = rows.iter().find(|row| row["metric"]["slo"] == name)?;
        row["value"][1].as_str()?.parse().ok()
    };
    let aim = |service: &Value, key: &str| {
        let text = service[key].as_str()?.to_owned();
        let name = format!("{}-{key}", service["service"].as_str()?);
        let left = left(&name);
        Some(Aim { name, text, left })
    };
    let keys = ["availability", "latency"];
    let aims = services
        .iter()
        .flat_map(|one| keys.iter().filter_map(move |key| aim(one, key)));
    Ok(aims.collect())
}

/// What is asked from outside, and what came of it.
pub(crate) fn checks(arguments: &Arguments, client: &SignalsClient) -> Result<Exit, Failure> {
    let answer = ask(client, "GET", "/v1/checks", &[])?;
    let nothing = "nothing is asked from outside: the file has no `checks`";
    let heads = ["CHECK", "OF", "STANDS", "TOOK", "WHEN", "WHY"];
    Ok(list(arguments, &answer["data"], nothing, &heads, cells))
}

fn cells(row: &Value) -> Vec<String> {
    let text = |name: &str| escaped(row[name].as_str().unwrap_or_default()).into_owned();
    let stands = match row["success"].as_bool() {
        None => "not asked yet",
        Some(true) => "works",
        Some(false) => "fails",
    };
    let took = row["took_ms"].as_f64();
    let at = row["at_ms"].as_u64();
    vec![
        text("check"),
        text("instance"),
        stands.to_owned(),
        took.map_or_else(String::new, |took| format!("{took:.0} ms")),
        at.map_or_else(String::new, show::time::relative),
        [text("why"), text("remark")].concat(),
    ]
}
