//! `pugmark trend`: what is measured of events over time.

use serde_json::{Map, Value, json};

use crate::args::{Question, StoreDir};

/// Counts events over time, the people who did them, or what their properties come to
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark trend shop purchase --measure uniques --interval week --by country --zone Europe/Berlin --filter \"amount > 10\"\n  pugmark trend shop purchase --measure median:amount --measure p90:amount\n  pugmark trend shop '*' --measure first_time                    new people by day\n  pugmark trend shop '*' --measure uniques --rolling 7           people of the last seven days\n  pugmark trend shop purchase view --measure uniques --formula \"A / B * 100\"\n  pugmark trend shop purchase --measure frequency                how many people bought how often\n  pugmark trend shop purchase --measure sum:amount --attribute first --attribute linear --look-back 7d --by traffic_source"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Event names, a series for each; '*' is any event
    #[arg(value_name = "EVENT", required = true)]
    events: Vec<String>,
    /// What to measure, a series for each: count, uniques, count_per_user, first_time or frequency; or, of a property, sum:amount, and likewise avg, min,
    /// max, median, p75, p90, p95, p99, distinct or sum_per_user
    #[arg(long, value_name = "MEASURE[:PROPERTY]", default_value = "count")]
    measure: Vec<String>,
    /// Uniques over so many buckets, each of which is the last of them
    #[arg(long, value_name = "BUCKETS")]
    rolling: Option<u64>,
    /// Each bucket with all before it in the range; of count, uniques, sum and first_time
    #[arg(long)]
    cumulative: bool,
    /// Share count or sum out among what led to the events, a series for each model: first, last, linear or position; --by then is of the touches, which
    /// are the events that have a value of it
    #[arg(long, value_name = "MODEL")]
    attribute: Vec<String>,
    /// How long before an event what led to it may lie [default: 30d]
    #[arg(long, value_name = "DURATION", requires = "attribute")]
    look_back: Option<String>,
    /// Touches are events of this name, whether they have a value or not
    #[arg(long, value_name = "EVENT", requires = "attribute")]
    touch: Option<String>,
    /// One more series of the others, which are A, B and so on, such as A / B * 100
    #[arg(long)]
    formula: Option<String>,
    /// Calendar unit of a bucket: minute, hour, day, week, month, quarter or year
    #[arg(long, default_value = "day")]
    interval: String,
    /// First day of a week: monday or sunday
    #[arg(long, value_name = "DAY")]
    week_start: Option<String>,
    #[command(flatten)]
    pub(crate) question: Question,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let each = self.events.iter().flat_map(|event| self.measure.iter().map(move |measure| (event, measure)));
        let series: Vec<Value> =
            each.flat_map(|(event, measure)| self.attributed(self.series(event, measure))).collect();
        let mut own = json!({"series": series, "interval": self.interval});
        if let Some(buckets) = self.rolling {
            own["rolling"] = json!(buckets);
        }
        if self.cumulative {
            own["cumulative"] = json!(true);
        }
        if let Some(formula) = &self.formula {
            own["formula"] = json!(formula);
        }
        if let Some(day) = &self.week_start {
            own["week_start"] = json!(day);
        }
        self.question.to_json("trend", own)
    }

    /// The series by each model that was asked for.
    fn attributed(&self, series: Map<String, Value>) -> Vec<Value> {
        if self.attribute.is_empty() {
            return vec![Value::Object(series)];
        }
        let by = |model: &String| {
            let mut attribution = json!({"model": model});
            if let Some(window) = &self.look_back {
                attribution["window"] = json!(window);
            }
            if let Some(event) = &self.touch {
                attribution["touch"] = json!({"event": event});
            }
            let mut series = Value::Object(series.clone());
            series["attribution"] = attribution;
            if self.attribute.len() > 1 {
                let plain = if series["name"].is_null() { &series["event"] } else { &series["name"] };
                series["name"] = json!(format!("{} {model}", plain.as_str().unwrap_or_default()));
            }
            series
        };
        self.attribute.iter().map(by).collect()
    }

    fn series(&self, event: &str, measure: &str) -> Map<String, Value> {
        let (word, property) = match measure.split_once(':') {
            Some((word, property)) => (word, Some(property)),
            None => (measure, None),
        };
        let mut series = Map::from_iter([("event".to_owned(), json!(event))]);
        if word != "count" {
            series.insert("measure".to_owned(), json!(word));
        }
        if let Some(property) = property {
            series.insert("property".to_owned(), json!(property));
        }
        // Series of one event would all be called the same.
        if self.measure.len() > 1 {
            let name = property.map_or_else(|| format!("{event} {word}"), |own| format!("{event} {word} {own}"));
            series.insert("name".to_owned(), json!(name));
        }
        series
    }
}
