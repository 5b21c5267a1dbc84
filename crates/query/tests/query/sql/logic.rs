//! The examples of `docs/sql.md`, as sqllogictest files over the events of `slt/shop.ndjson`.

use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use pugmark_query::change_group;
use pugmark_query::saved::Definition;
use pugmark_query::spec::Did;
use pugmark_store::Event;
use serde_json::Value;
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};

use crate::common::Db;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slt"))
}

/// A store of the events of the file.
fn shop() -> Db {
    let db = Db::new();
    let lines = std::fs::read_to_string(folder().join("shop.ndjson")).expect("it is there");
    let events = lines.lines().map(|line| {
        let read: Value = serde_json::from_str(line).expect("a line is JSON");
        let text = |name: &str| read[name].as_str().expect("it is a text");
        let mut event = Event::new(text("event"), text("distinct_id")).at(crate::common::at(text("timestamp")));
        for (name, value) in read["properties"].as_object().into_iter().flatten() {
            event = match value {
                Value::String(text) => event.property(name, text.as_str()),
                Value::Number(number) => event.property(name, number.as_f64().expect("it is finite")),
                other => panic!("{other} is no property of the shop"),
            };
        }
        event
    });
    db.track(events);
    db.identify("anon-1", "ann");
    db.define(&Definition::segment("buyers", Did::event("purchase")));
    let currency = serde_json::json!({"currency": "EUR", "vat": 0.19});
    let germany = change_group("country", "DE", currency.as_object().expect("an object")).expect("it is valid");
    db.store.append(vec![germany.into()]).expect("it is stored");
    db
}

struct Shop(Db);

impl DB for Shop {
    type Error = pugmark_query::Error;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Self::Error> {
        let batches = self.0.block_on(self.0.engine.sql(&self.0.snapshot(), sql))?;
        let fields = batches.first().map(|batch| batch.schema().fields().clone()).unwrap_or_default();
        let types = fields.iter().map(|field| match field.data_type() {
            kind if kind.is_integer() => DefaultColumnType::Integer,
            kind if kind.is_floating() => DefaultColumnType::FloatingPoint,
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => DefaultColumnType::Text,
            _ => DefaultColumnType::Any,
        });
        Ok(DBOutput::Rows { types: types.collect(), rows: batches.iter().flat_map(rows).collect() })
    }
}

fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let formatters: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).expect("it can be shown"))
        .collect();
    let cell = |formatter: &ArrayFormatter<'_>, row| match formatter.value(row).to_string() {
        empty if empty.is_empty() => "(empty)".to_owned(),
        shown => shown,
    };
    (0..batch.num_rows()).map(|row| formatters.iter().map(|formatter| cell(formatter, row)).collect()).collect()
}

#[test]
fn every_example_answers_as_it_is_documented() {
    let mut files = 0;
    for file in std::fs::read_dir(folder()).expect("it can be listed") {
        let path = file.expect("it can be listed").path();
        if path.extension().is_some_and(|extension| extension == "slt") {
            let mut runner = Runner::new(|| async { Ok(Shop(shop())) });
            runner.run_file(&path).unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
            files += 1;
        }
    }
    assert!(files > 0, "no file of examples was found");
}

/// What is shown in the documentation is what is run.
#[test]
fn every_statement_of_the_documentation_is_an_example() {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sql.md")).expect("it is there");
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let files =
        std::fs::read_dir(folder()).expect("it can be listed").map(|file| file.expect("it can be listed").path());
    let examples: Vec<String> =
        files.map(|path| squeezed(&std::fs::read_to_string(path).expect("it can be read"))).collect();
    let statements: Vec<&str> = document.split("```sql").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(statements.len() > 5, "{} statements were found", statements.len());
    for statement in statements {
        let wanted = squeezed(statement);
        assert!(examples.iter().any(|example| example.contains(&wanted)), "no example runs {statement}");
    }
}
