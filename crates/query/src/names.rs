//! Names in SQL: properties by the names that senders gave them.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query,
    Spanned, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use pugmark_identity::Profiles;
use pugmark_registry::{Definitions, Registry, SYSTEM_COLUMNS};
use pugmark_store::Sequence;

use crate::columns::system;
use crate::error::{Error, Result};
use crate::functions::{GROUP_PROFILE, PROFILE, PROFILE_AT, PROP};
use crate::group::traits_of;
use crate::table::PERSON;
use crate::text::Text;

/// Name of the table whose columns are properties.
const EVENTS: &str = "events";

/// What a name that is neither a column nor a property becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It stays: it may be an alias, and the planner says where it is nothing.
    Keep,
    /// NULL, and a warning.
    Null,
    /// An error.
    Refuse,
}

/// What has been seen so far, by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vocabulary<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) profiles: &'a Profiles,
    pub(crate) definitions: &'a Definitions,
    /// Traits that were seen later are not in it.
    pub(crate) through: Sequence,
    /// Whether it is told when something was last seen: of an earlier sequence that is not known.
    pub(crate) dated: bool,
}

/// Replaces the names in a tree by those of columns.
///
/// `page.url` becomes one column where a property has that name and no table is called `page`; a property that has no
/// column becomes `prop('…')`, and `prop('…')`, `profile('…')` and `profile_at('…')` get the columns that they read.
pub(crate) struct Names<'a> {
    known: Vocabulary<'a>,
    unknown: Unknown,
    text: Text<'a>,
    tables: HashSet<String>,
    /// Whether there are columns of events at all.
    reads_events: bool,
    /// Whether names are those of traits, and there are no events.
    of_traits: bool,
    warnings: Vec<String>,
}

enum Found {
    Column(String),
    WithoutColumn,
    Nothing,
}

impl<'a> Names<'a> {
    pub(crate) fn new(known: Vocabulary<'a>, unknown: Unknown, text: Text<'a>) -> Self {
        let tables = HashSet::from([EVENTS.to_owned()]);
        Self { known, unknown, text, tables, reads_events: true, of_traits: false, warnings: Vec::new() }
    }

    /// In which names are those of traits: `country` is `profile('country')`.
    pub(crate) fn of_traits(known: Vocabulary<'a>, unknown: Unknown, text: Text<'a>) -> Self {
        Self { of_traits: true, ..Self::new(known, unknown, text) }
    }

    /// Rewrites `tree`, and returns what the asker should know.
    pub(crate) fn rewrite<T: Visit + VisitMut>(mut self, tree: &mut T) -> Result<Vec<String>> {
        let mut tables = Tables(HashSet::new());
        let ControlFlow::Continue(()) = Visit::visit(tree, &mut tables);
        // A filter has no tables: it is of an event.
        self.reads_events = tables.0.is_empty() || tables.0.contains(EVENTS);
        self.tables.extend(tables.0);
        match VisitMut::visit(tree, &mut self) {
            ControlFlow::Continue(()) => Ok(self.warnings),
            ControlFlow::Break(error) => Err(error),
        }
    }

    fn find(&self, name: &str) -> Found {
        if !self.reads_events {
            return Found::Nothing;
        }
        let schema = self.known.registry.schema();
        if SYSTEM_COLUMNS.contains(&name) {
            return Found::Column(name.to_owned());
        }
        match schema.property(name) {
            Some(property) if property.column.is_some() => Found::Column(property.column_name().into_owned()),
            Some(_) => Found::WithoutColumn,
            None if schema.by_column(name).is_some() => Found::Column(name.to_owned()),
            None => Found::Nothing,
        }
    }

    fn name(&mut self, name: &str, at: Location) -> std::result::Result<Option<Expr>, Error> {
        match self.find(name) {
            Found::Column(column) => Ok(Some(Expr::Identifier(Ident::with_quote('"', column)))),
            Found::WithoutColumn => Ok(Some(self.prop_call(name))),
            Found::Nothing => match self.unknown {
                Unknown::Keep => Ok(None),
                Unknown::Null | Unknown::Refuse => {
                    self.never_seen(name, at)?;
                    Ok(Some(Expr::Value(Value::Null.into())))
                }
            },
        }
    }

    fn never_seen(&mut self, name: &str, at: Location) -> std::result::Result<(), Error> {
        let mut nearest = self.known.registry.nearest_properties(name);
        if nearest.is_empty() {
            nearest = pugmark_registry::nearest(name, SYSTEM_COLUMNS);
        }
        self.tell("property", name, nearest, at)
    }

    /// A warning that a name was never seen, or an error.
    fn tell(&mut self, what: &str, name: &str, nearest: Vec<String>, at: Location) -> std::result::Result<(), Error> {
        if self.unknown == Unknown::Refuse {
            let error = Error::invalid(format!("the {what} \"{name}\" was never seen")).nearest_names(nearest);
            return Err(self.text.placed(error, at));
        }
        let warning = never_seen(self.known, what, name, &nearest);
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
        Ok(())
    }

    /// `prop('name')`, with the columns that it reads.
    fn prop_call(&self, name: &str) -> Expr {
        call(PROP, self.prop_arguments(name, text_literal(name)))
    }

    fn prop_arguments(&self, name: &str, name_argument: Expr) -> Vec<FunctionArg> {
        let mut arguments = vec![name_argument, Expr::Identifier(Ident::with_quote('"', "overflow"))];
        if let Some(property) = self.known.registry.schema().property(name)
            && property.column.is_some()
        {
            arguments.push(Expr::Identifier(Ident::with_quote('"', property.column_name())));
        }
        arguments.into_iter().map(unnamed).collect()
    }

    fn prop(&mut self, function: &mut Function) -> std::result::Result<(), Error> {
        let at = function.name.span().start;
        let refuse = || Error::invalid("prop takes one name in single quotes, as in prop('plan')");
        let FunctionArguments::List(list) = &mut function.args else { return Err(self.text.placed(refuse(), at)) };
        let Some((name, argument)) = only_name(&list.args) else { return Err(self.text.placed(refuse(), at)) };
        if self.known.registry.schema().property(&name).is_none() && self.unknown != Unknown::Keep {
            self.never_seen(&name, at)?;
        }
        list.args = self.prop_arguments(&name, argument);
        Ok(())
    }

    /// `group_profile('property', 'name')` with the columns that it reads.
    fn group_profile(&mut self, function: &mut Function) -> std::result::Result<(), Error> {
        let at = function.name.span().start;
        let refuse = || {
            let message = "group_profile takes the name of a property and that of a trait in single quotes, as in group_profile('company', 'plan')";
            Error::invalid(message)
        };
        let FunctionArguments::List(list) = &mut function.args else { return Err(self.text.placed(refuse(), at)) };
        let property = list.args.first().and_then(|first| only_name(std::slice::from_ref(first)));
        let name = list.args.get(1).and_then(|second| only_name(std::slice::from_ref(second)));
        let (Some((property, argument)), Some((name, _)), 2) = (property, name, list.args.len()) else {
            return Err(self.text.placed(refuse(), at));
        };
        if self.unknown != Unknown::Keep {
            if self.known.registry.schema().property(&property).is_none() {
                self.never_seen(&property, at)?;
            }
            let Vocabulary { definitions, through, .. } = self.known;
            let traits: BTreeSet<String> = definitions
                .groups(Some(&property), through)
                .flat_map(|(_, _, changes)| traits_of(changes).into_iter().map(|(name, _)| name))
                .collect();
            if !traits.contains(&name) {
                let nearest = pugmark_registry::nearest(&name, traits.iter().map(String::as_str));
                self.tell("trait", &name, nearest, at)?;
            }
        }
        list.args.extend(self.prop_arguments(&property, argument).into_iter().skip(1));
        Ok(())
    }

    /// What `profile('…')` and `profile_at('…')` become: a call with the columns that they read, NULL for a trait that was never seen. A call that names its
    /// columns stays as it is.
    fn profile(&mut self, function: &mut Function, columns: &[&str]) -> std::result::Result<Option<Expr>, Error> {
        let at = function.name.span().start;
        let FunctionArguments::List(list) = &mut function.args else { return Ok(None) };
        let Some((name, argument)) = list.args.first().and_then(|first| only_name(std::slice::from_ref(first))) else {
            let called = &function.name;
            let refusal = Error::invalid(format!("{called} takes one name in single quotes, as in {called}('plan')"));
            return Err(self.text.placed(refusal, at));
        };
        if self.unknown != Unknown::Keep && !self.knows_trait(&name, at)? {
            return Ok(Some(Expr::Value(Value::Null.into())));
        }
        if list.args.len() == 1 {
            let columns = columns.iter().map(|column| Expr::Identifier(Ident::with_quote('"', *column)));
            list.args = std::iter::once(argument).chain(columns).map(unnamed).collect();
        }
        Ok(None)
    }

    /// Whether a trait was ever seen; where it was not, the asker is told.
    fn knows_trait(&mut self, name: &str, at: Location) -> std::result::Result<bool, Error> {
        let Vocabulary { profiles, through, .. } = self.known;
        if profiles.kinds(name, through).is_some() {
            return Ok(true);
        }
        self.tell("trait", name, pugmark_registry::nearest(name, profiles.names(through)), at)?;
        Ok(false)
    }

    /// What stands for the trait that a name names; NULL for one that was never seen.
    fn trait_named(&mut self, name: &str, at: Location) -> std::result::Result<Expr, Error> {
        if !self.knows_trait(name, at)? {
            return Ok(Expr::Value(Value::Null.into()));
        }
        let person = Expr::Identifier(Ident::with_quote('"', PERSON));
        Ok(call(PROFILE, [text_literal(name), person].map(unnamed).into()))
    }

    /// As [`replace`](Self::replace), where names are those of traits.
    fn replace_traits(&mut self, expr: &mut Expr) -> std::result::Result<(), Error> {
        match expr {
            Expr::Identifier(ident) => *expr = self.trait_named(&ident.value.clone(), ident.span.start)?,
            Expr::CompoundIdentifier(parts) => {
                let at = parts.first().map_or(Location::empty(), |first| first.span.start);
                *expr = self.trait_named(&joined(parts), at)?;
            }
            Expr::Function(function) if is_call(function, PROFILE) => {
                if let Some(nothing) = self.profile(function, &[PERSON])? {
                    *expr = nothing;
                }
            }
            Expr::Function(function) if [PROP, PROFILE_AT, GROUP_PROFILE].iter().any(|own| is_call(function, own)) => {
                let refusal = Error::invalid(format!(
                    "{} is of events: an expression over traits names them, as in country = 'US'",
                    function.name
                ));
                return Err(self.text.placed(refusal, function.name.span().start));
            }
            _ => {}
        }
        Ok(())
    }

    fn replace(&mut self, expr: &mut Expr) -> std::result::Result<(), Error> {
        match expr {
            Expr::Identifier(ident) => {
                let (name, at) = (ident.value.clone(), ident.span.start);
                if let Some(column) = self.name(&name, at)? {
                    *expr = column;
                }
            }
            Expr::CompoundIdentifier(parts) => {
                let [first, rest @ ..] = parts.as_slice() else { return Ok(()) };
                let at = first.span.start;
                let whole = joined(parts);
                let table = (self.tables.contains(&first.value) && !rest.is_empty()).then(|| first.clone());
                match table {
                    None => {
                        if let Some(column) = self.name(&whole, at)? {
                            *expr = column;
                        }
                    }
                    Some(table) => match self.find(&joined(rest)) {
                        Found::Column(column) => {
                            *expr = Expr::CompoundIdentifier(vec![table, Ident::with_quote('"', column)]);
                        }
                        Found::WithoutColumn => *expr = self.prop_call(&joined(rest)),
                        // A property such as `events.count` may begin like a table.
                        Found::Nothing if !matches!(self.find(&whole), Found::Nothing) => {
                            if let Some(column) = self.name(&whole, at)? {
                                *expr = column;
                            }
                        }
                        Found::Nothing if self.unknown == Unknown::Keep => {}
                        Found::Nothing => {
                            self.never_seen(&whole, at)?;
                            *expr = Expr::Value(Value::Null.into());
                        }
                    },
                }
            }
            Expr::Function(function) if is_call(function, PROP) => self.prop(function)?,
            Expr::Function(function) if is_call(function, GROUP_PROFILE) => self.group_profile(function)?,
            Expr::Function(function) if is_call(function, PROFILE) => {
                if let Some(nothing) = self.profile(function, &[PERSON])? {
                    *expr = nothing;
                }
            }
            Expr::Function(function) if is_call(function, PROFILE_AT) => {
                let columns = [PERSON, system::TIMESTAMP.1, system::SEQUENCE.1];
                if let Some(nothing) = self.profile(function, &columns)? {
                    *expr = nothing;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl VisitorMut for Names<'_> {
    type Break = Error;

    // After the children, so that what is put in is not looked at again.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let replaced = if self.of_traits { self.replace_traits(expr) } else { self.replace(expr) };
        match replaced {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// The names by which a statement calls its tables.
struct Tables(HashSet<String>);

impl Visitor for Tables {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        if let Some(with) = &query.with {
            self.0.extend(with.cte_tables.iter().map(|table| table.alias.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        let alias = match table {
            TableFactor::Table { name, alias, .. } => {
                let last = name.0.last().and_then(|part| part.as_ident());
                self.0.extend(last.map(|ident| ident.value.clone()));
                alias
            }
            TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => alias,
            _ => &None,
        };
        self.0.extend(alias.as_ref().map(|alias| alias.name.value.clone()));
        ControlFlow::Continue(())
    }
}

fn text_literal(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

fn unnamed(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

fn call(function: &str, args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(function)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Whether the call is of the function `name`.
fn is_call(function: &Function, name: &str) -> bool {
    match function.name.0.as_slice() {
        [part] => part.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case(name)),
        _ => false,
    }
}

/// The text that is the only argument, and the argument.
fn only_name(arguments: &[FunctionArg]) -> Option<(String, Expr)> {
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = arguments else { return None };
    let Expr::Value(value) = argument else { return None };
    let Value::SingleQuotedString(name) = &value.value else { return None };
    Some((name.clone(), argument.clone()))
}

fn joined(parts: &[Ident]) -> String {
    let names: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    names.join(".")
}

/// The warning that a name stands for nothing, with the nearest known ones and when they were last seen.
pub(crate) fn never_seen(known: Vocabulary<'_>, what: &str, name: &str, nearest: &[String]) -> String {
    let shown = |name: &String| {
        let last_seen = match what {
            "event" => known.registry.event(name).map(|event| event.last_seen),
            "property" => known.registry.property(name).map(|property| property.last_seen),
            _ => None,
        };
        match last_seen.filter(|_| known.dated) {
            // Its date.
            Some(at) => format!("\"{name}\" (last seen {:.10})", at.to_string()),
            None => format!("\"{name}\""),
        }
    };
    let nearest: Vec<String> = nearest.iter().map(shown).collect();
    match nearest.as_slice() {
        [] => format!("the {what} \"{name}\" was never seen"),
        names => format!("the {what} \"{name}\" was never seen; nearest: {}", names.join(", ")),
    }
}
