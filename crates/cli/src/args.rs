//! The command line: what all questions share, and one structure for each command beside its code.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value, json};

use crate::chart::Charting;
use crate::commands::{
    answer, backup, compact, declare, demo, erase, expire, explain, export, funnel, group, import, info, journey,
    lifecycle, paths, people, person, quarantine, query, retention, retract, save, saved, segment, sessions, sql,
    stickiness, trend, verify,
};
#[cfg(feature = "serve")]
use crate::commands::{health, key, serve};
use crate::output::Output;
use crate::render::ColorChoice;

const EXAMPLES: &str = "\
Examples:
  pugmark demo
  pugmark import shop events.ndjson.gz
  pugmark import shop orders.csv --map distinct_id=customer_id,timestamp=date --event purchase
  pugmark trend shop purchase --measure uniques --interval week --by country --zone Europe/Berlin
  pugmark funnel shop view cart purchase --window 7d --by country --from 2025-01-01
  pugmark retention shop signup --interval week --periods 8
  pugmark stickiness shop purchase --last 90d
  pugmark lifecycle shop --interval week
  pugmark journey shop ann --limit 20
  pugmark sessions shop --gap 1h --interval day
  pugmark paths shop signup --depth 4 --exclude ping
  pugmark segment shop --did purchase:5 --within 30d --did-not refund
  pugmark people shop --search ann@ --show email
  pugmark person show shop ann
  pugmark sql shop \"SELECT country, count(*) FROM events GROUP BY country\"
  pugmark query shop < query.json
  pugmark serve stores

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// Keeps every event, and answers who did what, how far they got, and who came back.
#[derive(Debug, Parser)]
#[command(name = "pugmark", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// When to write colours; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto")]
    pub(crate) color: ColorChoice,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant for each file in `commands`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    Import(import::Args),
    Export(export::Args),
    Trend(trend::Args),
    Funnel(Box<funnel::Args>),
    Retention(retention::Args),
    Stickiness(stickiness::Args),
    Lifecycle(lifecycle::Args),
    Journey(journey::Args),
    Sessions(sessions::Args),
    Paths(paths::Args),
    Segment(segment::Args),
    People(people::Args),
    Save(save::Args),
    Saved(saved::Args),
    Ask(answer::Args),
    Query(query::Args),
    Explain(explain::Args),
    Sql(sql::Args),
    Info(info::Args),
    Person(person::Args),
    Group(group::Args),
    Quarantine(quarantine::Args),
    Erase(erase::Args),
    Retract(retract::Args),
    Expire(expire::Args),
    Verify(verify::Args),
    Compact(compact::Args),
    Declare(declare::Args),
    Backup(backup::Args),
    #[cfg(feature = "serve")]
    Key(key::Args),
    #[cfg(feature = "serve")]
    Health(health::Args),
    #[cfg(feature = "serve")]
    Serve(serve::Args),
}

/// A store that is there already.
#[derive(Debug, Args)]
pub(crate) struct StoreDir {
    /// The store's directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Which events a question is about.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Begin of the range: a date (local midnight of the zone) or an instant; by default the first event
    #[arg(long, value_name = "WHEN", help_heading = "Range and filter")]
    from: Option<String>,
    /// End of the range, not included; by default just past the last event
    #[arg(long, value_name = "WHEN", help_heading = "Range and filter")]
    to: Option<String>,
    /// In place of --from and --to: the time of this length that ends now, such as 30d
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["from", "to"], help_heading = "Range and filter")]
    last: Option<String>,
    /// IANA time zone whose calendar counts, such as Europe/Berlin; by default UTC
    #[arg(long, value_name = "ZONE", help_heading = "Range and filter")]
    zone: Option<String>,
    /// Read only events for which this SQL expression is true, such as "country = 'DE' and amount > 10"; profile('plan') is a trait of the person,
    /// profile_at('plan') what it was when the event happened
    #[arg(long, value_name = "SQL", help_heading = "Range and filter")]
    filter: Option<String>,
}

/// How a question is answered.
#[derive(Debug, Args)]
pub(crate) struct Answering {
    /// Make an event or a property never seen an error instead of a warning
    #[arg(long, help_heading = "Answer")]
    strict_names: bool,
    /// Say how the answer was found: files, rows and bytes read, the plan
    #[arg(long, help_heading = "Answer")]
    explain: bool,
    /// Answer as of this sequence: with the events, links and types of then
    #[arg(long, value_name = "SEQUENCE", help_heading = "Answer")]
    as_of: Option<u64>,
    /// Give up after this long, such as 10s
    #[arg(long, value_name = "SPAN", help_heading = "Answer")]
    timeout: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What every question that counts takes beside its own parameters.
#[derive(Debug, Args)]
pub(crate) struct Question {
    #[command(flatten)]
    reading: Reading,
    /// Cut the answer by a property; up to three times, or with commas between
    #[arg(long, value_name = "PROPERTY", value_delimiter = ',', help_heading = "Breakdown")]
    by: Vec<String>,
    /// Cut the answer by who is in a segment: the name of a saved one, or one in the JSON form
    #[arg(long, value_name = "NAME|JSON", value_parser = name_or_json, help_heading = "Breakdown")]
    by_segment: Vec<Value>,
    /// Cut the answer by a SQL expression over the event, such as "profile('plan')"
    #[arg(long, value_name = "SQL", help_heading = "Breakdown")]
    by_sql: Vec<String>,
    /// How many values to show before the rest is folded into (other); 25 by default
    #[arg(long, value_name = "N", help_heading = "Breakdown")]
    limit: Option<u64>,
    /// The only people that the question is about: the name of a saved segment, or one in the JSON form, such as '{"did": {"event": "purchase"}, "times": {"at_least": 5}}';
    /// more than one are answered side by side
    #[arg(long, value_name = "NAME|JSON", value_parser = name_or_json, help_heading = "Range and filter")]
    segment: Vec<Value>,
    /// Ask the same of an earlier range besides: previous, or how far back, such as 7d, 3mo, 1q or 1y
    #[arg(long, value_name = "WHEN", help_heading = "Range and filter")]
    compare: Option<String>,
    /// Whom to count: person or distinct_id
    #[arg(long, value_name = "UNIT", help_heading = "Range and filter")]
    unit: Option<String>,
    #[command(flatten)]
    pub(crate) charting: Charting,
    #[command(flatten)]
    pub(crate) answering: Answering,
}

impl Question {
    /// The JSON form of a question: `own` is what the analysis called `name` has for itself.
    pub(crate) fn to_json(&self, name: &str, own: Value) -> Value {
        let mut analysis = match own {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        self.reading.add_to(&mut analysis);
        let mut set = |field: &str, value: Option<Value>| {
            if let Some(value) = value {
                analysis.insert(field.to_owned(), value);
            }
        };
        set(
            "segment",
            match self.segment.as_slice() {
                [] => None,
                [one] => Some(one.clone()),
                several => Some(json!(several)),
            },
        );
        set("unit", self.unit.as_deref().map(Value::from));
        let compare = self.compare.as_deref().map(|when| match when {
            "previous" => Value::from(when),
            shift => json!({ "shift": shift }),
        });
        set("compare", compare);
        let properties = self.by.iter().map(|property| json!({"property": property}));
        let expressions = self.by_sql.iter().map(|expression| json!({"expression": expression}));
        let segments = self.by_segment.iter().map(|segment| json!({"segment": segment}));
        let breakdown: Vec<Value> = properties.chain(expressions).chain(segments).collect();
        set("breakdown", (!breakdown.is_empty()).then_some(Value::Array(breakdown)));
        set("limit", self.limit.map(Value::from));
        self.answering.to_json(name, Value::Object(analysis))
    }
}

impl Answering {
    /// The JSON form of a question of the analysis called `name`.
    pub(crate) fn to_json(&self, name: &str, analysis: Value) -> Value {
        let mut query = Map::new();
        query.insert(name.to_owned(), analysis);
        if self.strict_names {
            query.insert("strict_names".to_owned(), Value::Bool(true));
        }
        if self.explain {
            query.insert("explain".to_owned(), Value::Bool(true));
        }
        if let Some(as_of) = self.as_of {
            query.insert("as_of".to_owned(), Value::from(as_of));
        }
        if let Some(timeout) = &self.timeout {
            query.insert("timeout".to_owned(), Value::from(timeout.as_str()));
        }
        Value::Object(query)
    }
}

impl Reading {
    /// Adds the fields of the JSON form to an analysis.
    pub(crate) fn add_to(&self, analysis: &mut Map<String, Value>) {
        let texts = [("time_zone", &self.zone), ("filter", &self.filter)];
        let texts = texts.into_iter().filter_map(|(field, text)| Some((field, Value::from(text.as_deref()?))));
        let range = self.range().map(|range| ("range", range));
        analysis.extend(range.into_iter().chain(texts).map(|(field, value)| (field.to_owned(), value)));
    }

    fn range(&self) -> Option<Value> {
        if let Some(last) = &self.last {
            return Some(json!({"last": last}));
        }
        let ends = [("from", &self.from), ("to", &self.to)];
        let range: Map<String, Value> =
            ends.into_iter().filter_map(|(end, when)| Some((end.to_owned(), when.as_deref()?.into()))).collect();
        (!range.is_empty()).then_some(Value::Object(range))
    }
}

pub(crate) fn json_value(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// What does not begin like an object or a list is a name.
pub(crate) fn name_or_json(text: &str) -> Result<Value, serde_json::Error> {
    match text.trim_start().starts_with(['{', '[']) {
        true => json_value(text),
        false => Ok(Value::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_funnel_on_the_command_line_is_the_funnel_of_the_json_form() {
        let line = "pugmark funnel shop view cart purchase --window 7d --by country --from 2025-01-01";
        let Command::Funnel(args) = Cli::parse_from(line.split(' ')).command else { panic!("not a funnel") };
        let expected = json!({"funnel": {
            "steps": [{"event": "view"}, {"event": "cart"}, {"event": "purchase"}],
            "window": "7d", "range": {"from": "2025-01-01"}, "breakdown": [{"property": "country"}]}});
        assert_eq!(args.question(), expected);
    }

    #[test]
    fn stickiness_and_lifecycles_on_the_command_line_are_those_of_the_json_form() {
        let line = "pugmark stickiness shop view cart --interval week --at-least --min-occurrences 2";
        let Command::Stickiness(args) = Cli::parse_from(line.split(' ')).command else { panic!("not stickiness") };
        let expected = json!({"stickiness": {
            "event": {"event": ["view", "cart"]}, "interval": "week", "at_least": true, "min_occurrences": 2}});
        assert_eq!(args.question(), expected);
        let line = "pugmark lifecycle shop --last 90d";
        let Command::Lifecycle(args) = Cli::parse_from(line.split(' ')).command else { panic!("not a lifecycle") };
        let expected = json!({"lifecycle": {"event": {"event": "*"}, "interval": "week", "range": {"last": "90d"}}});
        assert_eq!(args.question(), expected);
    }

    #[test]
    fn a_retention_on_the_command_line_is_the_retention_of_the_json_form() {
        let line = "pugmark retention shop signup purchase --interval day --cohort first-of-event --rolling --round-to-hour --open --brackets 1,3,7 --min-occurrences 2 --zero-returned --sum amount --by country --same-value";
        let Command::Retention(args) = Cli::parse_from(line.split(' ')).command else { panic!("not a retention") };
        let expected = json!({"retention": {
            "start": {"event": "signup"}, "return": {"event": "purchase"}, "interval": "day", "cohort": "first_of_event",
            "clock": "rolling", "round_to": "hour", "returns": "open", "brackets": [1, 3, 7], "min_occurrences": 2,
            "period_zero": "returned", "measure": "sum", "property": "amount", "breakdown": [{"property": "country"}],
            "breakdown_match": true}});
        assert_eq!(args.question(), expected);
        let line = "pugmark retention shop signup --start-filter plan='x' --return-filter plan='y' --criterion streak";
        let Command::Retention(args) = Cli::parse_from(line.split(' ')).command else { panic!("not a retention") };
        let expected = json!({"retention": {
            "start": {"event": "signup", "filter": "plan='x'"}, "return": {"event": "signup", "filter": "plan='y'"},
            "interval": "week", "criterion": "streak"}});
        assert_eq!(args.question(), expected);
    }

    #[test]
    fn a_journey_on_the_command_line_is_that_of_the_json_form() {
        let line = "pugmark journey shop ann --limit 5 --order oldest --cursor o1 --last 7d --as-of 9";
        let Command::Journey(args) = Cli::parse_from(line.split(' ')).command else { panic!("not a journey") };
        let expected = json!({"journey": {"distinct_id": "ann", "limit": 5, "order": "oldest", "cursor": "o1",
            "range": {"last": "7d"}}, "as_of": 9});
        assert_eq!(args.question(), expected);
    }

    #[test]
    fn a_segment_on_the_command_line_is_that_of_the_json_form() {
        let line = "pugmark segment shop --did purchase:5 --did-not refund --first ad --within 30d --people --zone Asia/Kolkata";
        let Command::Segment(args) = Cli::parse_from(line.split(' ')).command else { panic!("not a segment") };
        let range = json!({"last": "30d"});
        let expected = json!({"segment": {"people": true, "time_zone": "Asia/Kolkata", "all": [
            {"did": {"event": "purchase"}, "times": {"at_least": 5}, "range": range},
            {"did_not": {"event": "refund"}, "range": range},
            {"first": {"event": "ad"}, "range": range}]}});
        assert_eq!(args.question(), expected);
        let profile = ["pugmark", "segment", "shop", "--profile", "plan = 'pro'"];
        let Command::Segment(args) = Cli::parse_from(profile).command else { panic!("not a segment") };
        assert_eq!(args.question(), json!({"segment": {"profile": "plan = 'pro'"}}));
        let any = ["pugmark", "segment", "shop", "--any", "--did", "a:b", "--json", "\"payers\""];
        let Command::Segment(args) = Cli::parse_from(any).command else { panic!("not a segment") };
        assert_eq!(args.question(), json!({"segment": {"any": [{"did": {"event": "a:b"}}, "payers"]}}));
    }

    #[test]
    fn people_on_the_command_line_are_those_of_the_json_form() {
        let line = "pugmark people shop --sort events --ascending --limit 5 --cursor e1 --search ann@ --match prefix --trait email --show email,plan --segment payers --zone Asia/Kolkata";
        let Command::People(args) = Cli::parse_from(line.split(' ')).command else { panic!("not people") };
        let expected = json!({"people": {
            "sort": "events", "order": "ascending", "limit": 5, "cursor": "e1",
            "search": {"text": "ann@", "match": "prefix", "trait": "email"}, "traits": ["email", "plan"],
            "segment": "payers", "time_zone": "Asia/Kolkata"}});
        assert_eq!(args.question(), expected);
        let line = "pugmark people shop --search ann --ids";
        let Command::People(args) = Cli::parse_from(line.split(' ')).command else { panic!("not people") };
        assert_eq!(args.question(), json!({"people": {"search": {"text": "ann", "in": "ids"}}}));
    }

    #[test]
    fn sessions_on_the_command_line_are_those_of_the_json_form() {
        let line = "pugmark sessions shop --gap 1h --gap-at new --max 12h --midnight --ignore-ids --split-on campaign,country --page path --rows --interval day";
        let Command::Sessions(args) = Cli::parse_from(line.split(' ')).command else { panic!("not sessions") };
        let expected = json!({"sessions": {
            "gap": "1h", "gap_at": "new", "max": "12h", "midnight": true, "by": null, "split_on": ["campaign", "country"],
            "page": "path", "rows": true, "interval": "day"}});
        assert_eq!(args.question(), expected);
        let Command::Sessions(args) = Cli::parse_from(["pugmark", "sessions", "shop"]).command else {
            panic!("not sessions")
        };
        assert_eq!(args.question(), json!({"sessions": {}}));
    }

    #[test]
    fn paths_on_the_command_line_are_those_of_the_json_form() {
        let line = "pugmark paths shop purchase -b -d 4 -w 1h -n url -x ping,poll -e signup --occurrences --keep-repeats --limit 3";
        let Command::Paths(args) = Cli::parse_from(line.split(' ')).command else { panic!("not paths") };
        let expected = json!({"paths": {
            "anchor": {"event": "purchase"}, "direction": "before", "depth": 4, "within": "1h", "collapse": false,
            "count": "occurrences", "node": "url", "exclude": [{"event": "ping"}, {"event": "poll"}],
            "end": {"event": "signup"}, "limit": 3}});
        assert_eq!(args.question(), expected);
        let Command::Paths(args) = Cli::parse_from(["pugmark", "paths", "shop"]).command else { panic!("not paths") };
        assert_eq!(args.question(), json!({"paths": {}}));
    }

    #[test]
    fn a_trend_on_the_command_line_is_the_trend_of_the_json_form() {
        let line = "pugmark trend shop view purchase --measure uniques --interval week --zone Europe/Berlin --last 30d --explain";
        let Command::Trend(args) = Cli::parse_from(line.split(' ')).command else { panic!("not a trend") };
        let expected = json!({"trend": {
            "series": [{"event": "view", "measure": "uniques"}, {"event": "purchase", "measure": "uniques"}],
            "interval": "week", "range": {"last": "30d"}, "time_zone": "Europe/Berlin"}, "explain": true});
        assert_eq!(args.question(), expected);
    }
}
