//! What is saved under a name: segments, cohorts and questions, through the life of a store.

use pugmark::{
    Audience, Breakdown, Definition, DefinitionKind, Did, Event, Funnel, NamedSegment, OfFunnel, OfRetention,
    ProfileUpdate, Pugmark, Query, QueryResult, Range, Retention, Segment, Sequence, Timestamp, Trend,
};

const DAY_US: i64 = 86_400_000_000;

fn at(day: i64) -> Timestamp {
    Timestamp::from_microsecond(1_735_689_600_000_000 + day * DAY_US)
}

fn shop(dir: &std::path::Path) -> Pugmark {
    let db = Pugmark::open(dir).unwrap();
    let event = |name: &str, who: &str, day| Event::new(name, who).at(at(day));
    db.track_many(vec![
        event("view", "ann", 0),
        event("buy", "ann", 1),
        event("view", "bob", 0),
        event("view", "cid", 2),
        event("buy", "cid", 3),
        event("refund", "cid", 4),
    ])
    .unwrap();
    db
}

fn names(db: &Pugmark, segment: impl Into<Segment>) -> Vec<String> {
    try_names(db, segment).unwrap()
}

fn try_names(db: &Pugmark, segment: impl Into<Segment>) -> pugmark::Result<Vec<String>> {
    let answer = db.blocking().unwrap().audience(&Audience::of(segment).people())?;
    let people = answer.people.unwrap();
    assert_eq!(people.len() as u64, answer.count);
    Ok(people)
}

fn count_as_of(db: &Pugmark, segment: &str, sequence: u64) -> pugmark::Result<u64> {
    let query = format!(r#"{{"segment": "{segment}", "as_of": {sequence}}}"#);
    match db.blocking().unwrap().query_json(&query)? {
        QueryResult::Audience(answer) => Ok(answer.count),
        other => panic!("{other}"),
    }
}

#[test]
fn a_saved_segment_is_that_of_its_sequence_after_reopening_and_after_the_index_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    let buyers = Definition::segment("buyers", Did::event("buy")).description("bought once");
    assert_eq!(db.define(&buyers).unwrap(), 1);
    let first = db.definitions().unwrap()[0].sequence;
    let kept = Segment::from("buyers") & !Segment::from(Did::event("refund"));
    assert_eq!(db.define(&Definition::segment("kept", kept)).unwrap(), 1);
    assert_eq!(db.define(&Definition::segment("buyers", Did::event("buy").at_least(2))).unwrap(), 2);
    let check = |db: &Pugmark| {
        let defined = db.definitions().unwrap();
        let told: Vec<(&str, u32)> = defined.iter().map(|one| (one.definition.name.as_str(), one.version)).collect();
        assert_eq!(told, [("buyers", 2), ("kept", 1)]);
        assert_eq!(names(db, "buyers"), [""; 0]);
        assert_eq!(count_as_of(db, "buyers", first.number()).unwrap(), 2);
        assert_eq!(count_as_of(db, "kept", first.number() + 1).unwrap(), 1);
        let unknown = count_as_of(db, "kept", first.number()).unwrap_err().to_string();
        assert!(unknown.contains("no segment or cohort is saved as \"kept\""), "{unknown}");
        assert!(db.verify(false, |_| ()).unwrap().findings.is_empty());
    };
    check(&db);
    db.close().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    check(&db);
    db.close().unwrap();
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    check(&db);
    db.undefine("buyers").unwrap();
    assert_eq!(db.definitions().unwrap().len(), 1);
    assert!(try_names(&db, "kept").unwrap_err().to_string().contains("no segment or cohort is saved as \"buyers\""));
    assert_eq!(count_as_of(&db, "buyers", first.number()).unwrap(), 2);
    assert_eq!(db.define(&buyers).unwrap(), 4);
    assert_eq!(names(&db, "kept"), ["ann"]);
}

#[test]
fn an_unknown_name_is_an_error_with_the_nearest_of_its_kind() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    db.define(&Definition::segment("buyers", Did::event("buy"))).unwrap();
    db.define(&Definition::question("buyer", Trend::of("buy"))).unwrap();
    db.define_cohort("bayers", &["bob"]).unwrap();
    let error = try_names(&db, "buyrs").unwrap_err();
    assert_eq!((error.kind(), error.field()), (pugmark::ErrorKind::Invalid, None));
    assert_eq!(error.nearest(), ["buyers", "bayers"]);
    let error = try_names(&db, Segment::cohort("buyers")).unwrap_err().to_string();
    assert!(error.contains("\"buyers\" is a segment, and no cohort"), "{error}");
    let error = try_names(&db, Segment::from("buyers") & Segment::from("buyer")).unwrap_err().to_string();
    assert!(error.contains("\"buyer\" is a question, and no segment or cohort"), "{error}");
    let error = db.blocking().unwrap().ask("buyes").unwrap_err();
    assert_eq!(error.nearest(), ["buyer", "buyers", "bayers"]);
    let trend = Trend::of("view").segment("nobody");
    assert_eq!(db.blocking().unwrap().trend(&trend).unwrap_err().field(), Some("segment"));
    let error = db.define(&Definition::segment("more", Segment::from("buyrs"))).unwrap_err();
    assert_eq!(error.nearest(), ["buyers", "bayers"]);
    assert!(db.undefine("nothing").unwrap_err().to_string().contains("is saved as \"nothing\""));
}

#[test]
fn a_segment_that_is_made_of_itself_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    db.define(&Definition::segment("a", Did::event("buy"))).unwrap();
    let inner = Funnel::steps(["view", "buy"]).segment("a");
    db.define(&Definition::segment("b", OfFunnel::converted(inner, 2))).unwrap();
    assert_eq!(names(&db, "b"), ["ann", "cid"]);
    let error = db.define(&Definition::segment("a", Segment::from("b"))).unwrap_err().to_string();
    assert!(error.contains("a segment is made of itself: \"a\" asks \"b\" asks \"a\""), "{error}");
    // What was removed in between may come back as what asks for itself: the question is refused.
    db.undefine("a").unwrap();
    assert!(db.define(&Definition::segment("a", Segment::from("b"))).is_err());
}

#[test]
fn many_names_do_not_make_a_segment_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    db.define(&Definition::segment("s0", Segment::from(Did::event("buy")) | Did::event("view").into())).unwrap();
    let twice = |n: u32| Segment::from(format!("s{n}").as_str()) | Segment::from(format!("s{n}").as_str());
    for n in 0..4 {
        db.define(&Definition::segment(format!("s{}", n + 1), twice(n))).unwrap();
    }
    assert_eq!(names(&db, "s4").len(), 3);
    let error = db.define(&Definition::segment("s5", twice(4))).unwrap_err().to_string();
    assert!(error.contains("takes at most 32 selectors, found 64"), "{error}");
}

#[test]
fn a_cohort_stays_who_was_in_it_through_links_and_forgets_who_is_erased() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    let ask = db.blocking().unwrap();
    assert_eq!(ask.save_people("buyers", &Audience::of(Did::event("buy"))).unwrap(), 1);
    let left = OfFunnel::dropped(Funnel::steps(["view", "buy"]), 2);
    ask.save_people("left", &Audience::of(left)).unwrap();
    let retention = Retention::new("view", "*").from("2025-01-01").to("2025-01-06");
    ask.save_people("back", &Audience::of(OfRetention::new(retention, "2025-01-01", 1))).unwrap();
    db.track(Event::new("buy", "bob").at(at(5))).unwrap();
    let cohort = |name: &str| names(&db, Segment::cohort(name));
    assert_eq!(
        (cohort("buyers"), cohort("left"), cohort("back")),
        (vec!["ann".to_owned(), "cid".to_owned()], vec!["bob".to_owned()], vec!["ann".to_owned()],)
    );
    assert_eq!(names(&db, Segment::from("left") & Did::event("buy").into()), ["bob"]);
    // Whoever turns out to be the same person is in it, too.
    db.identify("phone", "cid").unwrap();
    db.track(Event::new("view", "phone").at(at(6))).unwrap();
    assert_eq!(cohort("buyers"), ["ann", "cid"]);
    let views = ask.trend(&Trend::of("view").segment("buyers")).unwrap();
    assert_eq!(views.series[0].total, 3);
    db.erase(&["cid"]).unwrap();
    let cohort = |name: &str| names(&db, Segment::cohort(name));
    assert_eq!(cohort("buyers"), ["ann"]);
    // An id that comes back is somebody else.
    db.track(Event::new("view", "cid").at(at(7))).unwrap();
    assert_eq!(cohort("buyers"), ["ann"]);
    db.close().unwrap();
    let texts: Vec<u8> = files(dir.path()).into_iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!texts.windows(5).any(|bytes| bytes == b"phone"), "the erased id is left in a file");
    let error = Pugmark::open(dir.path()).unwrap().define_cohort("no", &["ann", "nobody"]).unwrap_err().to_string();
    assert!(error.contains("1 of 2 ids were never seen, the first is \"nobody\""), "{error}");
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_saved_question_is_asked_by_its_name_as_it_was_then() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    db.define(&Definition::segment("who", Did::event("refund"))).unwrap();
    let question = Trend::of("view").uniques().segment("who").breakdown(Breakdown::Profile("plan".to_owned()));
    db.define(&Definition::question("viewers", question)).unwrap();
    let last = db.definitions().unwrap().iter().map(|one| one.sequence).max().unwrap();
    let total = |answer: QueryResult| match answer {
        QueryResult::Trend(trend) => trend.series[0].total,
        other => panic!("{other}"),
    };
    let ask = db.blocking().unwrap();
    assert_eq!(total(ask.ask("viewers").unwrap()), 1);
    db.define(&Definition::segment("who", Did::event("view"))).unwrap();
    db.update_profile(ProfileUpdate::set("ann").with("plan", "pro").at(at(0))).unwrap();
    assert_eq!(total(ask.ask("viewers").unwrap()), 2, "the largest of two groups: NULL");
    assert_eq!(total(ask.ask_as_of("viewers", last).unwrap()), 1);
    assert!(ask.ask_as_of("viewers", Sequence::new(3)).unwrap_err().to_string().contains("is saved as \"viewers\""));
    assert!(matches!(ask.ask("who").unwrap(), QueryResult::Audience(answer) if answer.count == 3));
    let kinds: Vec<DefinitionKind> = db.definitions().unwrap().iter().map(|one| one.definition.kind()).collect();
    assert_eq!(kinds, [DefinitionKind::Question, DefinitionKind::Segment]);
}

#[test]
fn several_segments_are_answered_side_by_side_and_one_cuts_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    db.flush().unwrap();
    db.define(&Definition::segment("buyers", Did::event("buy"))).unwrap();
    db.identify("phone", "bob").unwrap();
    db.track(Event::new("view", "phone").at(at(4))).unwrap();
    let ask = db.blocking().unwrap();
    let views = Trend::of("view").uniques();
    let lost = NamedSegment::from(!Segment::from("buyers")).named("lost");
    let query = Query::from(views.clone().beside("buyers").beside(lost).beside(Did::event("refund")));
    let QueryResult::SideBySide(side) = ask.query(&query).unwrap() else { panic!("they are several") };
    let told: Vec<(&str, u64)> = (side.segments.iter())
        .map(|of| match &of.answer {
            QueryResult::Trend(trend) => (of.segment.as_str(), trend.series[0].total.to_string().parse().unwrap()),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(told, [("buyers", 2), ("lost", 1), ("3", 1)]);
    assert!(ask.trend(&views.clone().beside("buyers")).unwrap_err().to_string().contains("side by side"));
    let wrong = Query::from(views.clone().beside("buyers").beside(Segment::profile("1 +")));
    assert_eq!(ask.query(&wrong).unwrap_err().field(), Some("segment[1].profile"));
    let counted = ask.query_json(r#"{"segment": ["buyers", {"did": {"event": "refund"}, "name": "angry"}]}"#).unwrap();
    let rows = serde_json::to_value(counted.to_table().1).unwrap();
    assert_eq!(rows, serde_json::json!([["buyers", 2], ["angry", 1]]));
    for unit in ["person", "distinct_id"] {
        let by = format!(
            r#"{{"trend": {{"series": [{{"event": "view"}}], "unit": "{unit}", "breakdown": [{{"segment": "buyers"}}]}}}}"#
        );
        let QueryResult::Trend(by) = ask.query_json(&by).unwrap() else { panic!("it is a trend") };
        let groups: Vec<String> = by.series.iter().map(|one| format!("{:?} {}", one.breakdown, one.total)).collect();
        assert!(groups[0].contains("Bool(false)") && groups[0].ends_with(" 2"), "{groups:?}");
        assert!(groups[1].contains("Bool(true)") && groups[1].ends_with(" 2"), "{groups:?}");
        assert_eq!(by.titles, ["buyers"]);
    }
    let funnel = Funnel::steps(["view", "buy"]).breakdown(Segment::from(Did::event("refund")));
    let groups = ask.funnel(&funnel).unwrap().groups;
    assert_eq!(groups.iter().map(|group| group.steps[1].count).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn first_last_traits_funnels_and_cells_are_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    db.update_profile(ProfileUpdate::set("dan").with("country", "US")).unwrap();
    db.update_profile(ProfileUpdate::set("ann").with("country", "US").with("age", 30)).unwrap();
    let of = |json: &str| {
        let audience = Audience::from_value(&serde_json::from_str(json).unwrap()).unwrap();
        let answer = db.blocking().unwrap().audience(&audience.people()).unwrap();
        (answer.people.unwrap().join(" "), answer.header.warnings)
    };
    let people = |json: &str| {
        let (people, warnings) = of(json);
        assert!(warnings.is_empty(), "{warnings:?}");
        people
    };
    assert_eq!(people(r#"{"first": {"event": "view"}}"#), "ann bob cid");
    assert_eq!(people(r#"{"last": {"event": "buy"}}"#), "ann");
    assert_eq!(people(r#"{"last": {"event": "buy"}, "range": {"to": "2025-01-05"}}"#), "ann cid");
    assert_eq!(people(r#"{"not": {"last": {"event": "*"}}}"#), "dan");
    assert_eq!(people(r#"{"profile": "country = 'US'"}"#), "ann dan");
    assert_eq!(people(r#"{"profile": "age > 20 and profile('country') = 'US'"}"#), "ann");
    assert_eq!(people(r#"{"profile": "country IS NULL"}"#), "bob cid");
    assert_eq!(people(r#"{"all": [{"profile": "country = 'US'"}, {"did": {"event": "buy"}}]}"#), "ann");
    assert_eq!(people(r#"{"any": [{"profile": "country = 'US'"}, {"did": {"event": "refund"}}]}"#), "ann cid dan");
    let funnel = r#""funnel": {"steps": [{"event": "view"}, {"event": "buy"}]}"#;
    assert_eq!(people(&format!(r#"{{{funnel}, "step": 2, "outcome": "dropped"}}"#)), "bob");
    let (none, warnings) = of(r#"{"profile": "contry = 'US'"}"#);
    assert_eq!((none.as_str(), warnings.len()), ("", 1));
    assert!(warnings[0].contains("the trait \"contry\" was never seen; nearest: \"country\""), "{warnings:?}");
    let refused = |json: &str| {
        let query = format!(r#"{{"trend": {{"series": [{{"event": "view"}}], "segment": {json}}}}}"#);
        let error = db.blocking().unwrap().query_json(&query).unwrap_err();
        (error.field().unwrap_or_default().to_owned(), error.to_string())
    };
    let (field, why) = refused(r#"{"all": [{"profile": "prop('x') = 'y'"}]}"#);
    assert_eq!(field, "segment.all[0].profile");
    assert!(why.contains("prop is of events"), "{why}");
    let (field, _) =
        refused(r#"{"funnel": {"steps": [{"event": "a", "filter": "1 +"}]}, "step": 1, "outcome": "converted"}"#);
    assert_eq!(field, "segment.funnel.steps[0].filter");
    let retention = r#""retention": {"start": {"event": "view"}, "range": {"from": "2025-01-01", "to": "2025-01-04"}}"#;
    let (field, why) = refused(&format!(r#"{{{retention}, "cohort": "2025-02-01", "period": 1}}"#));
    assert_eq!(field, "segment.cohort");
    assert!(why.contains("it has those from 2025-01-01 to 2025-01-03"), "{why}");
    let (field, why) = refused(&format!(r#"{{{retention}, "cohort": "2025-01-03", "period": 1}}"#));
    assert_eq!(field, "segment.period");
    assert!(why.contains("it has 0 alone"), "{why}");
    let range = Range::between("2025-01-01", "2025-01-02");
    assert_eq!(names(&db, Did::event("view").range(range)), ["ann", "bob"]);
}
