//! From a question to the plan of its one scan.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DFSchema, JoinType, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, lit};
use pugmark_registry::{ColumnType, KindCounts, SYSTEM_COLUMNS};

use super::groups::Item;
use super::numbers::NumberSource;
use super::portable::units;
use super::run::Asked;
use super::scan::{EventScan, Places, Whose};
use super::unit_map::UnitMap;
use crate::columns::system;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::filter::Expressions;
use crate::functions::{BREAKDOWN_VALUES, NULL_VALUE, PROFILE, PROPERTY_NUMBER, in_segment, name_literal};
use crate::local::{People, Predicate, Reads, RunItem, RunValue, Selected, Value, Wants};
use crate::names::{Vocabulary, never_seen};
use crate::spec::{Breakdown, EventNames, Scope, Selector, Unit};
use crate::table::{EventsTable, PERSON};

/// Name of the table in plans.
const EVENTS: &str = "events";
/// Name of the people of a segment in plans.
const SEGMENT: &str = "segment";

/// What is read for an analysis.
pub(super) struct Reading<'a> {
    /// What every row must match one of; bit *i* of a row's matches is selector *i*.
    pub(super) selectors: Vec<Wanted<'a>>,
    /// Parameters that all analyses share.
    pub(super) scope: &'a Scope,
    /// Rows from this instant on are left out.
    pub(super) until_us: i64,
    /// The only people whose rows matter, where they are others than those of the question's segment.
    pub(super) among: Option<Arc<People>>,
    /// Whether the order of rows with one timestamp matters.
    pub(super) ordered: bool,
    /// The properties whose numbers are read, and their paths in the question.
    pub(super) numbers: Vec<(&'a str, String)>,
    /// The properties whose values are read, of whatever type, and their paths in the question.
    pub(super) values: Vec<(&'a str, String)>,
    /// What values are read of every row: those of the breakdown, and then what else the analysis tells rows apart by.
    pub(super) items: Vec<ReadItem>,
    /// Whether the sessions are read that senders gave; a plan reads their text as an item.
    pub(super) keys: bool,
}

impl<'a> Reading<'a> {
    /// What `selectors` take of the question's events before `until_us`, in order, with the values of its breakdown.
    pub(super) fn new(selectors: Vec<Wanted<'a>>, scope: &'a Scope, until_us: i64) -> Self {
        let items = ReadItem::of_breakdown(scope);
        Self {
            selectors,
            scope,
            until_us,
            among: None,
            ordered: true,
            numbers: Vec::new(),
            values: Vec::new(),
            items,
            keys: false,
        }
    }
}

/// A value that is read of every row.
#[derive(Debug, Clone)]
pub(super) struct ReadItem {
    pub(super) item: Breakdown,
    /// Its path in the question.
    pub(super) path: String,
    /// Its place in the breakdown, where it is of that.
    cut: Option<usize>,
}

impl ReadItem {
    /// What is read beside the breakdown, as the field at `path` asks.
    pub(super) fn beside(item: Breakdown, path: impl Into<String>) -> Self {
        Self { item, path: path.into(), cut: None }
    }

    /// Those of a breakdown.
    pub(super) fn of_breakdown(scope: &Scope) -> Vec<Self> {
        let items = scope.breakdown.iter().enumerate().map(|(at, item)| {
            let form = match item {
                Breakdown::Property(_) => "property",
                Breakdown::Expression(_) => "expression",
                Breakdown::Profile(_) => "profile",
                Breakdown::Segment(_) => "segment",
            };
            Self { item: item.clone(), path: format!("breakdown[{at}].{form}"), cut: Some(at) }
        });
        items.collect()
    }
}

/// The people of the items of a breakdown that are segments, by their places.
type Cuts = Vec<(usize, Arc<People>)>;

/// A selector of a question.
pub(super) struct Wanted<'a> {
    pub(super) selector: &'a Selector,
    /// Its path in the question, such as `steps[2]`.
    pub(super) path: String,
    /// Rows before this instant do not matter to it.
    pub(super) since_us: i64,
}

/// A scan that is ready to run, and what the asker should know.
pub(super) struct Lowered {
    pub(super) road: Road,
    pub(super) warnings: Vec<String>,
}

/// How the events of a question are read.
pub(super) enum Road {
    /// From decoded columns, in their order.
    Local(Wants),
    /// By a plan of standard operators.
    Scan(EventScan),
}

impl Engine {
    /// Plans what is read for `reading`, of `people` alone where they are told, counted as `units` where those are no subjects, by standard operators alone where `portable` says so.
    pub(super) async fn lower(
        &self,
        snapshot: &QuerySnapshot,
        reading: &Reading<'_>,
        (people, units, cuts): (Option<&Arc<People>>, Option<&Arc<UnitMap>>, Cuts),
        strict: bool,
        portable: bool,
    ) -> Result<Lowered> {
        let state = self.session(snapshot)?;
        let table = Arc::new(EventsTable::new(snapshot.clone()));
        let schema = DFSchema::try_from_qualified_schema(EVENTS, &table.schema())?;
        let mut lowering = Lowering {
            snapshot,
            strict,
            expressions: Expressions::new(&state, snapshot.vocabulary(), &schema, strict),
            columns: Vec::new(),
            cuts,
        };
        if self.takes_local_road()
            && !portable
            && units.is_none()
            && let Some(wants) = lowering.wants(reading, people, &state, &schema)?
        {
            let warnings = lowering.expressions.into_warnings();
            return Ok(Lowered { road: Road::Local(wants), warnings });
        }
        let Selection { predicate, masks, always } = lowering.selection(reading)?;
        let unit = match (units, &reading.scope.unit) {
            (Some(_), _) => system::SEQUENCE.1,
            (None, Unit::DistinctId) => system::SUBJECT.1,
            (None, _) => PERSON,
        };
        let places = Places {
            unit: lowering.column(column(unit)),
            timestamp: lowering.column(column(system::TIMESTAMP.1)),
            sequence: reading.ordered.then(|| lowering.column(column(system::SEQUENCE.1))),
            masks: masks.into_iter().map(|(expr, bits)| (lowering.column(expr), bits)).collect(),
            always,
            items: Vec::new(),
            numbers: Vec::new(),
            values: Vec::new(),
            overflow: None,
            key: reading.keys.then(|| lowering.column(column(system::SESSION_ID.1))),
        };
        let places = lowering.items(&reading.items, places, &state)?;
        let places = lowering.numbers(&reading.numbers, places)?;
        let places = lowering.values_of(&reading.values, places)?;
        let Lowering { expressions, columns, .. } = lowering;
        let warnings = expressions.into_warnings();
        let plan = LogicalPlanBuilder::scan(EVENTS, provider_as_source(table), None)?
            .filter(predicate)?
            .project(columns)?
            .build()?;
        let plan = physical(&state, &plan).await?;
        let whose = match (units, people) {
            // Whom the segment leaves out has no units.
            (Some(units), _) => Whose::Units(Arc::clone(units)),
            (None, Some(people)) => Whose::People(Arc::clone(people)),
            (None, None) => Whose::Everybody,
        };
        Ok(Lowered { road: Road::Scan(EventScan::new(plan, state.task_ctx(), places, whose)), warnings })
    }
}

/// The rows of a plan: the columns `unit`, `timestamp`, `sequence` and `value` (the breakdown, as one text), `s0` and so on (whether each selector takes the row),
/// `n0` and so on (the number of each property that is asked for) and `v0` and so on (its value, as one text).
pub(super) struct Begun {
    pub(super) plan: LogicalPlan,
    pub(super) state: SessionState,
    pub(super) warnings: Vec<String>,
}

impl Engine {
    /// The rows of `reading`, as a plan that runs wherever our functions are registered. Of `people`, a plan with the column `person`, only those are taken whose person is in it, or
    /// is not.
    pub(super) fn begin(
        &self,
        asked: &Asked<'_>,
        reading: &Reading<'_>,
        people: Option<(LogicalPlan, JoinType)>,
    ) -> Result<Begun> {
        let snapshot = asked.snapshot;
        let state = self.session(snapshot)?;
        let table = Arc::new(EventsTable::new(snapshot.clone()));
        let schema = DFSchema::try_from_qualified_schema(EVENTS, &table.schema())?;
        let strict = asked.query.strict_names;
        let expressions = Expressions::new(&state, snapshot.vocabulary(), &schema, strict);
        let mut lowering = Lowering { snapshot, strict, expressions, columns: Vec::new(), cuts: Vec::new() };
        let mut rows = LogicalPlanBuilder::scan(EVENTS, provider_as_source(table), None)?;
        if let (false, Some(filter)) = (reading.scope.unit.is_of_subjects(), &reading.scope.filter) {
            rows = rows.filter(lowering.expressions.filter(filter, "filter")?)?;
        }
        let unit = match &reading.scope.unit {
            Unit::Person => column(PERSON),
            Unit::DistinctId => column(system::SUBJECT.1),
            Unit::Session => {
                let unit;
                (rows, unit) = units::of_sessions(rows)?;
                unit
            }
            Unit::Group(property) => {
                let item = ReadItem::beside(Breakdown::Property(property.clone()), "unit");
                let value = lowering.values(&[item], &state)?;
                let unit;
                (rows, unit) = units::of_values(rows, value, NULL_VALUE)?;
                unit
            }
        };
        let Selection { predicate, .. } = lowering.selection(reading)?;
        let mut columns = vec![
            unit.alias("unit"),
            column(system::TIMESTAMP.1).alias("timestamp"),
            column(system::SEQUENCE.1).alias("sequence"),
            lowering.values(&reading.items, &state)?.alias("value"),
        ];
        for (number, wanted) in reading.selectors.iter().enumerate() {
            let since =
                (wanted.since_us > i64::MIN).then(|| column(system::TIMESTAMP.1).gt_eq(instant(wanted.since_us)));
            let own = lowering.selector(wanted)?;
            let holds = conjunction(since.into_iter().chain(own)).unwrap_or_else(|| lit(true));
            columns.push(holds.alias(format!("s{number}")));
        }
        for (number, (name, path)) in reading.numbers.iter().enumerate() {
            let (expr, overflow_name) = lowering.property_expr(name, path)?;
            let read = of_properties(PROPERTY_NUMBER, vec![(expr, overflow_name)], &state)?;
            columns.push(read.alias(format!("n{number}")));
        }
        for (number, (name, path)) in reading.values.iter().enumerate() {
            let (expr, overflow_name) = lowering.property_expr(name, path)?;
            let read = of_properties(BREAKDOWN_VALUES, vec![(expr, overflow_name)], &state)?;
            columns.push(read.alias(format!("v{number}")));
        }
        let warnings = lowering.expressions.into_warnings();
        rows = rows.filter(predicate)?;
        if let Some((people, join)) = people {
            let on = (vec![Column::new(Some(EVENTS), PERSON)], vec![Column::new(Some(SEGMENT), PERSON)]);
            rows = rows.join(LogicalPlanBuilder::from(people).alias(SEGMENT)?.build()?, join, on, None)?;
        }
        let plan = rows.project(columns)?.build()?;
        Ok(Begun { plan, state, warnings })
    }
}

/// A function of our own over properties: the column of each, and its name where values of it may lie in the overflow.
fn of_properties(
    function: &str,
    properties: Vec<(Option<Expr>, Option<String>)>,
    state: &SessionState,
) -> Result<Expr> {
    let overflows = properties.iter().any(|(_, name)| name.is_some());
    let mut arguments = vec![if overflows { column(system::OVERFLOW) } else { lit(ScalarValue::Null) }];
    for (expr, overflow_name) in properties {
        arguments.push(lit(name_literal(overflow_name)));
        arguments.push(expr.unwrap_or_else(|| lit(ScalarValue::Null)));
    }
    Ok(own_function(state, function).call(arguments))
}

fn own_function<'s>(state: &'s SessionState, name: &str) -> &'s ScalarUDF {
    state.scalar_functions().get(name).expect("invariant: every session has our functions")
}

impl Engine {
    /// What the asker should know about the names of events.
    pub(super) fn names_of(&self, asked: &Asked<'_>, selectors: &[(&Selector, &str)]) -> Result<Vec<String>> {
        let known = asked.snapshot.vocabulary();
        let mut warnings: Vec<String> = Vec::new();
        for (selector, path) in selectors {
            for name in selector.event.names() {
                let warning = unknown_event(known, name, path, asked.query.strict_names)?;
                warnings.extend(warning);
            }
        }
        Ok(warnings)
    }
}

/// A warning where an event was never seen, or with `strict` an error.
fn unknown_event(known: Vocabulary<'_>, name: &str, path: &str, strict: bool) -> Result<Option<String>> {
    if known.registry.event(name).is_some() {
        return Ok(None);
    }
    let nearest = known.registry.nearest_events(name);
    if strict {
        let error = Error::invalid(format!("the event \"{name}\" was never seen"));
        return Err(error.on(format!("{path}.event")).nearest_names(nearest));
    }
    Ok(Some(never_seen(known, "event", name, &nearest)))
}

async fn physical(
    state: &SessionState,
    plan: &datafusion::logical_expr::LogicalPlan,
) -> Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
    Ok(state.create_physical_plan(plan).await?)
}

struct Lowering<'a> {
    snapshot: &'a QuerySnapshot,
    strict: bool,
    expressions: Expressions<'a>,
    columns: Vec<Expr>,
    cuts: Cuts,
}

/// Which rows are read, and which selectors each of them matches.
struct Selection {
    predicate: Expr,
    /// For each different selector, the boolean of its rows and the bits that it stands for.
    masks: Vec<(Expr, u32)>,
    /// The bits of all rows.
    always: u32,
}

impl Lowering<'_> {
    /// Adds a column to what is read, and returns its place.
    fn column(&mut self, expr: Expr) -> usize {
        let place = self.columns.len();
        self.columns.push(expr.alias(format!("c{place}")));
        place
    }

    fn selection(&mut self, reading: &Reading<'_>) -> Result<Selection> {
        let mut different: Vec<(&Wanted<'_>, Option<Expr>, u32, i64)> = Vec::new();
        for (number, wanted) in reading.selectors.iter().enumerate() {
            let bit = 1 << number;
            match different.iter_mut().find(|(seen, ..)| seen.selector == wanted.selector) {
                Some((_, _, bits, since)) => {
                    *bits |= bit;
                    *since = (*since).min(wanted.since_us);
                }
                None => different.push((wanted, self.selector(wanted)?, bit, wanted.since_us)),
            }
        }
        let since = different.iter().map(|(.., since)| *since).min().unwrap_or(i64::MIN);
        let mut all = Vec::new();
        if reading.until_us < i64::MAX {
            all.push(column(system::TIMESTAMP.1).lt(instant(reading.until_us)));
        }
        if since > i64::MIN {
            all.push(column(system::TIMESTAMP.1).gt_eq(instant(since)));
        }
        if let Some(filter) = &reading.scope.filter {
            all.push(self.expressions.filter(filter, "filter")?);
        }
        // Files, row groups and pages are pruned by the names alone.
        if different.iter().all(|(wanted, ..)| wanted.selector.event != EventNames::Any) {
            let mut names: Vec<&str> = different
                .iter()
                .flat_map(|(wanted, ..)| wanted.selector.event.names().iter().map(String::as_str))
                .collect();
            names.sort_unstable();
            names.dedup();
            all.push(one_of(&names));
        }
        let alone = different.len() == 1;
        let any: Vec<Option<Expr>> = different
            .iter()
            .map(|(wanted, expr, _, own_since)| {
                let later = (*own_since > since).then(|| column(system::TIMESTAMP.1).gt_eq(instant(*own_since)));
                // A lone selector of names is said above already.
                let expr = expr.clone().filter(|_| !alone || wanted.selector.filter.is_some());
                conjunction(later.into_iter().chain(expr))
            })
            .collect();
        if let Some(any) = any.into_iter().collect::<Option<Vec<Expr>>>() {
            all.extend(disjunction(any));
        }
        let mut masks = Vec::new();
        let mut always = 0;
        for (_, expr, bits, _) in different {
            match expr {
                Some(expr) if !alone => masks.push((expr, bits)),
                _ => always |= bits,
            }
        }
        Ok(Selection { predicate: conjunction(all).unwrap_or_else(|| lit(true)), masks, always })
    }

    /// What the local road reads; `None` for what only a scan makes.
    fn wants(
        &mut self,
        reading: &Reading<'_>,
        people: Option<&Arc<People>>,
        state: &SessionState,
        events: &DFSchema,
    ) -> Result<Option<Wants>> {
        let columns = self.snapshot.columns.event_schema(self.snapshot.registry.schema());
        let mut selected: Vec<Selected> = Vec::new();
        for (number, wanted) in reading.selectors.iter().enumerate() {
            let bits = 1 << number;
            let same = |before: &Wanted<'_>| before.selector == wanted.selector;
            if let Some(before) = reading.selectors[..number].iter().position(same) {
                let own = selected.iter_mut().find(|selected| selected.bits >> before & 1 == 1);
                let own = own.expect("invariant: every selector before has its bit");
                own.bits |= bits;
                own.since_us = own.since_us.min(wanted.since_us);
                continue;
            }
            let Selector { event, filter } = wanted.selector;
            for name in event.names() {
                self.event(name, &wanted.path)?;
            }
            let filter = match filter {
                None => None,
                Some(text) => {
                    let expr = self.expressions.filter(text, &format!("{}.filter", wanted.path))?;
                    let Some(own) = Predicate::of(state, events, &columns, &expr)? else { return Ok(None) };
                    Some(own)
                }
            };
            selected.push(Selected { event: event.clone(), filter, bits, since_us: wanted.since_us });
        }
        let filter = match &reading.scope.filter {
            None => None,
            Some(text) => {
                let expr = self.expressions.filter(text, "filter")?;
                let Some(own) = Predicate::of(state, events, &columns, &expr)? else { return Ok(None) };
                Some(own)
            }
        };
        let mut items = Vec::new();
        for item in &reading.items {
            let (expr, overflow_name) = self.item(item, state)?;
            let value = match expr {
                None => RunValue::Null,
                Some(Expr::Column(column)) if columns.arrow().index_of(&column.name).is_ok() => RunValue::Column(
                    columns.arrow().index_of(&column.name).map_err(datafusion::error::DataFusionError::from)?,
                ),
                Some(expr) => match Value::of(state, events, &columns, &expr)? {
                    Some(value) => RunValue::Expression(value),
                    None => return Ok(None),
                },
            };
            items.push(RunItem { value, overflow_name });
        }
        let place = |expr| match expr {
            Expr::Column(column) => columns.arrow().index_of(&column.name).ok(),
            _ => None,
        };
        let mut numbers = Vec::new();
        for (name, path) in &reading.numbers {
            let (expr, overflow_name) = self.property_expr(name, path)?;
            numbers.push(NumberSource { column: expr.and_then(place), overflow_name });
        }
        let mut values = Vec::new();
        for (name, path) in &reading.values {
            let (expr, overflow_name) = self.property_expr(name, path)?;
            values.push(Item { column: expr.and_then(place), overflow_name });
        }
        let reads = Reads { timestamps: true, sequences: false, numbers, values, keys: reading.keys };
        Ok(Some(Wants { selected, filter, people: people.cloned(), items, reads }))
    }

    /// The boolean of one selector; none where every event matches.
    fn selector(&mut self, wanted: &Wanted<'_>) -> Result<Option<Expr>> {
        let Selector { event, filter } = wanted.selector;
        for name in event.names() {
            self.event(name, &wanted.path)?;
        }
        let names: Vec<&str> = event.names().iter().map(String::as_str).collect();
        let named = (*event != EventNames::Any).then(|| one_of(&names));
        let filter = match filter {
            Some(text) => Some(self.expressions.filter(text, &format!("{}.filter", wanted.path))?),
            None => None,
        };
        Ok(conjunction(named.into_iter().chain(filter)))
    }

    fn event(&mut self, name: &str, path: &str) -> Result<()> {
        if let Some(warning) = unknown_event(self.snapshot.vocabulary(), name, path, self.strict)? {
            self.expressions.warn(warning);
        }
        Ok(())
    }

    /// The value of an item, if it has one, and its name where values of it may lie in the overflow.
    fn item(&mut self, item: &ReadItem, state: &SessionState) -> Result<(Option<Expr>, Option<String>)> {
        let ReadItem { item, path, cut } = item;
        match item {
            Breakdown::Expression(text) => Ok((Some(self.expressions.value(text, path)?), None)),
            Breakdown::Property(name) => self.property_expr(name, path),
            Breakdown::Profile(name) => Ok((self.trait_expr(name, path, state)?, None)),
            Breakdown::Segment(_) => match self.cuts.iter().find(|(place, _)| Some(*place) == *cut) {
                Some((_, people)) => Ok((Some(in_segment(Arc::clone(people)).call(vec![column(PERSON)])), None)),
                None => {
                    let why = "who is in a segment is found by the engine: a plan has no breakdown by it";
                    Err(Error::unsupported(why).on(path))
                }
            },
        }
    }

    /// The value of a trait; `None` for one that was never seen.
    fn trait_expr(&mut self, name: &str, path: &str, state: &SessionState) -> Result<Option<Expr>> {
        let Vocabulary { profiles, through, .. } = self.snapshot.vocabulary();
        if profiles.kinds(name, through).is_some() {
            return Ok(Some(own_function(state, PROFILE).call(vec![lit(name), column(PERSON)])));
        }
        let nearest = pugmark_registry::nearest(name, profiles.names(through));
        if self.strict {
            let error = Error::invalid(format!("the trait \"{name}\" was never seen"));
            return Err(error.on(path).nearest_names(nearest));
        }
        self.expressions.warn(never_seen(self.snapshot.vocabulary(), "trait", name, &nearest));
        Ok(None)
    }

    fn items(&mut self, items: &[ReadItem], mut places: Places, state: &SessionState) -> Result<Places> {
        for item in items {
            let (expr, overflow_name) = self.item(item, state)?;
            let item = Item { column: expr.map(|expr| self.column(expr)), overflow_name };
            if item.overflow_name.is_some() && places.overflow.is_none() {
                places.overflow = Some(self.column(column(system::OVERFLOW)));
            }
            places.items.push(item);
        }
        Ok(places)
    }

    /// The values of items as one text.
    fn values(&mut self, items: &[ReadItem], state: &SessionState) -> Result<Expr> {
        if items.is_empty() {
            return Ok(lit("[]"));
        }
        let mut properties = Vec::with_capacity(items.len());
        for item in items {
            properties.push(self.item(item, state)?);
        }
        of_properties(BREAKDOWN_VALUES, properties, state)
    }

    fn numbers(&mut self, wanted: &[(&str, String)], mut places: Places) -> Result<Places> {
        for (name, path) in wanted {
            let Item { column: own, overflow_name } = self.property(name, path)?;
            if overflow_name.is_some() && places.overflow.is_none() {
                places.overflow = Some(self.column(column(system::OVERFLOW)));
            }
            places.numbers.push(NumberSource { column: own, overflow_name });
        }
        Ok(places)
    }

    fn values_of(&mut self, wanted: &[(&str, String)], mut places: Places) -> Result<Places> {
        for (name, path) in wanted {
            let item = self.property(name, path)?;
            if item.overflow_name.is_some() && places.overflow.is_none() {
                places.overflow = Some(self.column(column(system::OVERFLOW)));
            }
            places.values.push(item);
        }
        Ok(places)
    }

    fn property(&mut self, name: &str, path: &str) -> Result<Item> {
        let (expr, overflow_name) = self.property_expr(name, path)?;
        Ok(Item { column: expr.map(|expr| self.column(expr)), overflow_name })
    }

    /// The column of a property, if it has one, and its name where values of it may lie in the overflow.
    fn property_expr(&mut self, name: &str, path: &str) -> Result<(Option<Expr>, Option<String>)> {
        let registry = Arc::clone(&self.snapshot.registry);
        let Some(property) = registry.property(name) else {
            if SYSTEM_COLUMNS.contains(&name) {
                return Ok((Some(column(name)), None));
            }
            let nearest = registry.nearest_properties(name);
            if self.strict {
                let error = Error::invalid(format!("the property \"{name}\" was never seen"));
                return Err(error.on(path).nearest_names(nearest));
            }
            self.expressions.warn(never_seen(self.snapshot.vocabulary(), "property", name, &nearest));
            return Ok((None, None));
        };
        let definition = property.definition;
        let overflow_name = may_overflow(definition.column, property.kinds).then(|| name.to_owned());
        Ok((definition.column.map(|_| column(&definition.column_name())), overflow_name))
    }
}

/// Whether the first value of an event for the property can lie in the overflow.
fn may_overflow(column: Option<ColumnType>, kinds: KindCounts) -> bool {
    let own = match column {
        None | Some(ColumnType::Float) => return true,
        Some(ColumnType::Bool) => kinds.bool,
        Some(ColumnType::Int) => kinds.int,
        Some(ColumnType::Text) => kinds.text,
        Some(ColumnType::Json) => kinds.json,
    };
    own < kinds.total()
}

pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::new(Some(EVENTS), name))
}

fn instant(us: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(us), Some("+00:00".into())))
}

fn one_of(names: &[&str]) -> Expr {
    let event = column(system::EVENT.1);
    match names {
        [one] => event.eq(lit(*one)),
        many => event.in_list(many.iter().map(|name| lit(*name)).collect(), false),
    }
}
