//! Asks a question and shows the answer: what `trend`, `funnel`, `retention` and `query` have in common.

use std::io::Write;

use pugmark::{Pugmark, Query, QueryResult};
use serde_json::Value;

use super::open_existing;
use crate::args::{Question, StoreDir};
use crate::chart::{ChartFile, Charting};
use crate::failure::Result;
use crate::output::{Format, Output, to_batch, write_to};
use crate::render::{ColorChoice, explanation, render, warnings};

/// Asks the question of a command line.
pub(crate) fn run(store: &StoreDir, question: &Question, json: Value, color: ColorChoice) -> Result {
    about(store, &question.answering.output, &question.charting, &json, color)
}

/// Asks a question in the JSON form.
pub(crate) fn about(
    store: &StoreDir,
    output: &Output,
    charting: &Charting,
    json: &Value,
    color: ColorChoice,
) -> Result {
    output.check()?;
    let chart = charting.file()?;
    let query = Query::from_value(json).map_err(pugmark::Error::from)?;
    let db = open_existing(&store.dir)?;
    let answer = db.blocking()?.query(&query)?;
    show(&answer, &titles(json), output, chart.as_ref(), color)?;
    Ok(db.close()?)
}

/// Shows an answer in the form asked for, and draws it where a chart is; warnings go to standard error.
pub(crate) fn show(
    answer: &QueryResult,
    titles: &[String],
    output: &Output,
    chart: Option<&ChartFile>,
    color: ColorChoice,
) -> Result {
    let json = serde_json::to_value(answer)?;
    let mut stderr = std::io::stderr();
    for warning in warnings(&json) {
        writeln!(stderr, "warning: {warning}")?;
    }
    if let Some(chart) = chart {
        let drawn = chart.bytes(&json, titles)?;
        write_to(Some(chart.path()), |out| Ok(out.write_all(&drawn)?))?;
    }
    match output.format {
        Format::Table => output.write(|out| {
            write!(out, "{}", render(&json, titles, output.style(color)))?;
            if let Some(explanation) = explanation(&json) {
                write!(out, "\n{explanation}")?;
            }
            Ok(())
        }),
        Format::Json => output.write(|out| {
            serde_json::to_writer(&mut *out, &json)?;
            Ok(writeln!(out)?)
        }),
        Format::Csv | Format::Parquet | Format::Arrow => {
            if let Some(more) = left_out(&json) {
                writeln!(stderr, "warning: {more} of the answer stand in --format json only")?;
            }
            let (headings, rows) = answer.to_table();
            output.write_batches(&[to_batch(&headings, &rows)?])?;
            if let Some(next) = json["next"].as_str() {
                writeln!(stderr, "more: --cursor {next}")?;
            }
            if let Some(explanation) = explanation(&json) {
                write!(stderr, "{explanation}")?;
            }
            Ok(())
        }
    }
}

/// What was asked for besides and is in no flat table.
fn left_out(answer: &Value) -> Option<String> {
    let of_group =
        |name: &str| answer["groups"].as_array().is_some_and(|groups| groups.iter().any(|one| one.get(name).is_some()));
    let has_people = !matches!(answer["kind"].as_str(), Some("segment" | "people"));
    // Those of a retention are its table.
    let has_rows = answer["kind"] == "funnel";
    let parts = [
        ("the earlier range", answer.get("compare").is_some()),
        ("the people", answer.get("people").is_some() && has_people),
        ("the rows", has_rows && of_group("rows")),
        ("the trend", of_group("trend")),
    ];
    let names: Vec<&str> = parts.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The headings of the breakdown of a question in the JSON form.
pub(crate) fn titles(question: &Value) -> Vec<String> {
    let breakdowns = question
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.values())
        .filter_map(|analysis| analysis.get("breakdown")?.as_array());
    breakdowns
        .flatten()
        .filter_map(|item| {
            let forms = ["property", "expression", "profile", "name", "segment"];
            let title = forms.iter().find_map(|form| item.get(form)?.as_str());
            Some(title.or(item.get("segment").map(|_| "segment"))?.to_owned())
        })
        .collect()
}

/// Asks with a store that is open.
pub(crate) fn answer(db: &Pugmark, question: &str) -> std::result::Result<QueryResult, pugmark::Error> {
    db.blocking()?.query_json(question)
}
