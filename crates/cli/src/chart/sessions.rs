//! Sessions: a bar for each bucket in which they begin.

use anyhow::{Result, bail};
use serde_json::Value;

use super::stickiness::bars_chart;
use super::theme::Look;
use crate::render::words::{items, text};

pub(super) fn sessions(answer: &Value, look: Look) -> Result<String> {
    if !answer["buckets"].is_array() {
        bail!("a chart of sessions is of their number over time: add an interval");
    }
    let labels: Vec<String> = items(&answer["buckets"]).iter().map(|label| text(label).to_owned()).collect();
    let values: Vec<Option<f64>> = items(&answer["counts"]).iter().map(Value::as_f64).collect();
    bars_chart(answer, "Sessions", &labels, &values, look)
}
