//! Questions as plans: written, read in a session that knows nothing but the functions, and run there, they come to the same as by the engine's own operators.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Extension, LogicalPlan};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::bytes::{
    logical_plan_from_bytes_with_extension_codec, logical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use proptest::{prelude::*, test_runner::TestRunner};
use pugmark_query::spec::Query;
use pugmark_query::{Engine, QuerySnapshot, register_functions};
use pugmark_store::{Entry, Timestamp};

use crate::cases::{Case, IDS_OF_A_UNIT, case_count, cases};
use crate::common::Db;
use crate::oracle::{FLIPS, Rules, difference};
use crate::sent::{event, link, question, update, with_numbers};

/// The events of one snapshot are all that a plan reads.
#[derive(Debug)]
struct OfSnapshot(Arc<dyn TableProvider>);

impl LogicalExtensionCodec for OfSnapshot {
    fn try_decode(&self, _: &[u8], _: &[LogicalPlan], _: &TaskContext) -> Result<Extension> {
        Err(DataFusionError::NotImplemented("a plan has no operators of our own".to_owned()))
    }

    fn try_encode(&self, _: &Extension, _: &mut Vec<u8>) -> Result<()> {
        Err(DataFusionError::NotImplemented("a plan has no operators of our own".to_owned()))
    }

    fn try_decode_table_provider(
        &self,
        bytes: &[u8],
        _: &TableReference,
        schema: SchemaRef,
        _: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        assert_eq!((bytes, schema), (b"events".as_slice(), self.0.schema()));
        Ok(Arc::clone(&self.0))
    }

    fn try_encode_table_provider(
        &self,
        _: &TableReference,
        table: Arc<dyn TableProvider>,
        to: &mut Vec<u8>,
    ) -> Result<()> {
        assert_eq!(table.schema(), self.0.schema());
        to.extend_from_slice(b"events");
        Ok(())
    }
}

/// The answer of the plan, read from its bytes and run in a session of its own.
fn elsewhere(db: &Db, snapshot: &QuerySnapshot, query: &Query) -> serde_json::Value {
    let portable = db.block_on(db.engine.portable(snapshot, query)).expect("it is planned");
    let codec = OfSnapshot(Engine::events_table(snapshot));
    let bytes = logical_plan_to_bytes_with_extension_codec(portable.plan(), &codec).expect("it is written");
    let config = SessionConfig::new().with_target_partitions(3).with_batch_size(7);
    let session = SessionContext::new_with_config(config);
    register_functions(&mut *session.state_ref().write(), snapshot).expect("they are registered");
    let plan = logical_plan_from_bytes_with_extension_codec(&bytes, &session.task_ctx(), &codec).expect("it is read");
    let rows = db.block_on(async { session.execute_logical_plan(plan).await?.collect().await }).expect("it runs");
    serde_json::to_value(portable.answer(&rows).expect("it is answered")).expect("it serialises")
}

fn fill(db: &Db, case: &Case, arrival: &[u8]) {
    let byte = |at: usize| arrival[at % arrival.len()];
    let mut links: Vec<Entry> = Vec::new();
    for unit in 1..=4 {
        links.extend((0..IDS_OF_A_UNIT - 1).map(|from| link(unit, from)));
    }
    let changes_after = |sequence| case.changes.iter().filter(move |change| change.after == sequence).map(update);
    db.store.append(changes_after(0).collect()).expect("it is stored");
    let mut events = case.events.clone();
    events.sort_by_key(|event| event.sequence);
    for (at, one) in events.iter().enumerate() {
        let mut entries = vec![event(at, one, byte(at)).into()];
        if byte(at + 7).is_multiple_of(3) {
            entries.extend(links.pop());
        }
        entries.extend(changes_after(one.sequence));
        db.store.append(entries).expect("it is stored");
        if byte(at + 7).is_multiple_of(11) {
            db.flush();
        }
    }
    db.store.append(links).expect("it is stored");
}

/// Whether only the engine answers the question: its segment asks questions, or it asks where sessions came from.
fn asks_within(case: &Case) -> bool {
    if case.query["sessions"].get("touch").is_some() {
        return true;
    }
    let segment = case.query.as_object().and_then(|query| query.values().next()).map(|analysis| &analysis["segment"]);
    let told = match case.query.get("segment") {
        // Where people without events may be in it, a plan that reads events does not tell.
        Some(own) if own.to_string().contains("\"profile\":") => return true,
        Some(own) => own.to_string(),
        None => segment.map(ToString::to_string).unwrap_or_default(),
    };
    ["\"funnel\":", "\"retention\":"].iter().any(|form| told.contains(form))
}

fn agrees(kind: &'static str) {
    let config = ProptestConfig { cases: case_count(48), failure_persistence: None, ..ProptestConfig::default() };
    let arrivals = prop::collection::vec(any::<u8>(), 40);
    let checked = TestRunner::new(config).run(&(cases(kind), arrivals), |(mut case, arrival)| {
        if kind == "segment" {
            // The oracle knows numbers and no names.
            case.query[kind]["people"] = false.into();
        }
        let db = Db::receiving(Timestamp::from_microsecond(case.around.now_us), Duration::from_secs(4_000 * 86_400));
        fill(&db, &case, &arrival);
        let query = Query::from_value(&question(&case)).expect("generated questions are valid");
        if asks_within(&case) {
            let refused = db.block_on(db.engine.portable(&db.snapshot(), &query)).expect_err("a plan has no people");
            prop_assert_eq!(refused.kind(), pugmark_query::ErrorKind::Unsupported);
            return Ok(());
        }
        let told = elsewhere(&db, &db.snapshot(), &query);
        let found = with_numbers(told.clone());
        let oracle = |rules| crate::oracle::answer(&case.query, &case.told(rules), case.around, rules);
        if let Some(what) = difference(&found, &oracle(Rules::TRUE)) {
            let explains = |flip| difference(&found, &oracle(Rules::flipping(flip))).is_none();
            let as_if: Vec<&str> = FLIPS.iter().filter(|(flip, ..)| explains(*flip)).map(|(.., rule)| *rule).collect();
            let (query, events, changes) = (&case.query, &case.events, &case.changes);
            let history = format!("events: {events:#?}\nchanges: {changes:#?}");
            return Err(TestCaseError::fail(format!("{what}\nas if: {as_if:?}\nquery: {query}\n{history}")));
        }
        let by_operators = serde_json::to_value(db.try_run(&query).expect("it is answered")).expect("it serialises");
        prop_assert_eq!(told, by_operators, "{}", case.query);
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

#[test]
fn trends_as_plans_agree_with_the_oracle() {
    agrees("trend");
}

#[test]
fn trends_of_every_measure_as_plans_agree_with_the_oracle() {
    agrees("measures");
}

#[test]
fn trends_by_traits_as_plans_agree_with_the_oracle() {
    agrees("profile");
}

#[test]
fn funnels_as_plans_agree_with_the_oracle() {
    agrees("funnel");
}

#[test]
fn funnels_within_sessions_as_plans_agree_with_the_oracle() {
    agrees("funnel_session");
}

#[test]
fn sessions_and_groups_as_units_of_plans_agree_with_the_oracle() {
    agrees("units");
}

#[test]
fn retentions_as_plans_agree_with_the_oracle() {
    agrees("retention");
}

#[test]
fn segments_as_plans_agree_with_the_oracle() {
    agrees("segment");
}

#[test]
fn journeys_as_plans_agree_with_the_oracle() {
    let config = ProptestConfig { cases: case_count(48), failure_persistence: None, ..ProptestConfig::default() };
    let arrivals = prop::collection::vec(any::<u8>(), 40);
    let checked = TestRunner::new(config).run(&(cases("journey"), arrivals), |(case, arrival)| {
        let db = Db::receiving(Timestamp::from_microsecond(case.around.now_us), Duration::from_secs(4_000 * 86_400));
        fill(&db, &case, &arrival);
        let snapshot = db.snapshot();
        let found = crate::pages::page(&question(&case), |question| {
            let query = Query::from_value(question).expect("generated questions are valid");
            let found = elsewhere(&db, &snapshot, &query);
            let by_operators = db.block_on(db.engine.run(&snapshot, &query)).expect("it is answered");
            assert_eq!(found, serde_json::to_value(by_operators).expect("it serialises"), "{question}");
            found
        });
        let expected = crate::oracle::answer(&case.query, &case.told(Rules::TRUE), case.around, Rules::TRUE);
        let (query, events, changes) = (&case.query, &case.events, &case.changes);
        let told = difference(&found, &expected);
        prop_assert_eq!(told, None, "query: {}\nevents: {:#?}\nchanges: {:#?}", query, events, changes);
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

#[test]
fn stickiness_as_plans_agrees_with_the_oracle() {
    agrees("stickiness");
}

#[test]
fn lifecycles_as_plans_agree_with_the_oracle() {
    agrees("lifecycle");
}

#[test]
fn sessions_as_plans_agree_with_the_oracle() {
    agrees("sessions");
}

#[test]
fn paths_as_plans_agree_with_the_oracle() {
    agrees("paths");
}

#[test]
fn warnings_come_in_one_order_whichever_way_an_answer_was_found() {
    let db = Db::new();
    db.identify("one", "two");
    let segment = r#"{"all": [{"did": {"event": "never"}}, {"profile": "tier = 'x'"}]}"#;
    let question = format!(
        r#"{{"lifecycle": {{"range": {{"last": "3d"}}, "event": {{"event": "none"}}, "segment": {segment}}}}}"#
    );
    let query = Query::from_json(&question).expect("it is valid");
    let told = elsewhere(&db, &db.snapshot(), &query);
    let never_seen = |what: &str| format!("the {what} was never seen");
    let warnings = [r#"event "never""#, r#"event "none""#, r#"trait "tier""#].map(never_seen);
    assert_eq!(told["warnings"], serde_json::json!(warnings));
    let by_operators = serde_json::to_value(db.try_run(&query).expect("it is answered")).expect("it serialises");
    assert_eq!(told, by_operators);
}
