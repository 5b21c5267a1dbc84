//! Message ids through batches, checkpoints and replays.

use redb::{Database, ReadableDatabase};

use super::super::MessageIds;
use super::*;
use crate::error::ErrorKind;
use crate::record::{EventRecord, MessageId, Payload, Record};

fn database(dir: &Path) -> Database {
    Database::create(dir.join("index.redb")).unwrap()
}

fn checkpoint(ids: &mut MessageIds, db: &Database) {
    let txn = db.begin_write().unwrap();
    ids.checkpoint(&txn).unwrap();
    txn.commit().unwrap();
    ids.after_checkpoint().unwrap();
}

fn load(dir: &Path, db: &Database) -> Result<MessageIds> {
    let mut ids = MessageIds::new(Arc::new(Disk), &dir.join("runs"), RunLimits::default(), Merges::Inline);
    ids.load(&db.begin_read().unwrap())?;
    Ok(ids)
}

fn stored(ids: &mut MessageIds, asked: &[Fingerprint]) -> Vec<Option<u64>> {
    let mut stored = vec![Some(0)];
    ids.lookup_many(asked, &mut stored).unwrap();
    stored
}

#[test]
fn what_a_batch_inserts_is_known_to_its_end_however_full_memory_is() {
    let dir = tempfile::tempdir().unwrap();
    let limits = RunLimits::default();
    let mut ids = MessageIds::with_limit(Arc::new(Disk), &dir.path().join("runs"), limits, Merges::Inline, 100);
    for batch in 0..5 {
        let batch: Vec<Fingerprint> = (batch * 80..batch * 80 + 80).map(numbered).collect();
        assert!(stored(&mut ids, &batch).iter().all(Option::is_none));
        for fingerprint in &batch {
            assert_eq!(ids.recent(*fingerprint), None);
            ids.insert(*fingerprint, fingerprint.prefix());
        }
        for fingerprint in &batch {
            assert_eq!(ids.recent(*fingerprint), Some(fingerprint.prefix()));
        }
    }
    // Memory holds one batch of 80, not two.
    assert_eq!(std::fs::read_dir(dir.path().join("runs")).unwrap().count(), 4);
    let all: Vec<Fingerprint> = (0..400).map(numbered).collect();
    let expected: Vec<Option<u64>> = all.iter().map(|fingerprint| Some(fingerprint.prefix())).collect();
    assert_eq!(stored(&mut ids, &all), expected);
    assert_eq!(stored(&mut ids, &[]), []);
}

#[test]
fn ids_survive_a_checkpoint_and_what_came_later_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let mut ids = load(dir.path(), &db).unwrap();
    ids.insert(numbered(1), 10);
    checkpoint(&mut ids, &db);
    ids.insert(numbered(2), 20);
    drop(ids);
    let mut ids = load(dir.path(), &db).unwrap();
    assert_eq!(stored(&mut ids, &[numbered(1), numbered(2)]), [Some(10), None]);
    checkpoint(&mut ids, &db);
    assert_eq!(std::fs::read_dir(dir.path().join("runs")).unwrap().count(), 1);
}

#[test]
fn a_reset_forgets_every_id_and_its_files_once_that_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let mut ids = load(dir.path(), &db).unwrap();
    ids.insert(numbered(1), 10);
    checkpoint(&mut ids, &db);
    let txn = db.begin_write().unwrap();
    ids.reset(&txn).unwrap();
    assert_eq!(stored(&mut ids, &[numbered(1)]), [None]);
    // Not durable yet: another start finds what was there.
    txn.abort().unwrap();
    assert_eq!(stored(&mut load(dir.path(), &db).unwrap(), &[numbered(1)]), [Some(10)]);
    let txn = db.begin_write().unwrap();
    ids.reset(&txn).unwrap();
    txn.commit().unwrap();
    checkpoint(&mut ids, &db);
    assert_eq!(std::fs::read_dir(dir.path().join("runs")).unwrap().count(), 0);
    assert_eq!(stored(&mut load(dir.path(), &db).unwrap(), &[numbered(1)]), [None]);
}

#[test]
fn a_missing_run_is_reported_and_a_reset_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let mut ids = load(dir.path(), &db).unwrap();
    ids.insert(numbered(1), 10);
    checkpoint(&mut ids, &db);
    for file in std::fs::read_dir(dir.path().join("runs")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let mut ids = MessageIds::new(Arc::new(Disk), &dir.path().join("runs"), RunLimits::default(), Merges::Inline);
    let error = ids.load(&db.begin_read().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let txn = db.begin_write().unwrap();
    ids.reset(&txn).unwrap();
    txn.commit().unwrap();
    ids.insert(numbered(2), 20);
    checkpoint(&mut ids, &db);
    assert_eq!(stored(&mut load(dir.path(), &db).unwrap(), &[numbered(1), numbered(2)]), [None, Some(20)]);
}

#[test]
fn applying_a_payload_stores_every_event_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = MessageIds::new(Arc::new(Disk), dir.path(), RunLimits::default(), Merges::Inline);
    let event = |message_id, name| {
        Record::Event(EventRecord {
            name,
            subject: 0,
            time: 1,
            time_sent: false,
            message_id,
            session_id: None,
            properties: vec![],
            context: None,
        })
    };
    let uuid = "0190c2a0-7b1e-7000-8000-000000000001";
    let mut payload = Payload {
        received_at: 0,
        import: None,
        base_time: 0,
        names: vec!["view"],
        subjects: vec![],
        records: vec![
            event(MessageId::Text("m1"), 0),
            Record::Split { subject: 0 },
            event(MessageId::from_text(uuid), 0),
        ],
    };
    ids.apply(&payload).unwrap();
    let content = super::super::content::content_hash("view", crate::SubjectId::new(0), None, []);
    assert_eq!(stored(&mut ids, &[Fingerprint::of("m1"), Fingerprint::of(uuid)]), [Some(content); 2]);
    payload.records = vec![event(MessageId::Text("m2"), 1)];
    assert_eq!(ids.apply(&payload).unwrap_err().kind(), ErrorKind::Corrupt);
}
