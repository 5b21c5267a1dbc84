//! Operations on a store whose disk forgets, against a model: nothing acknowledged is lost, nothing is there twice, what is removed stays removed.
#![no_main]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use pugmark_fuzz::folds;
use pugmark_fuzz::model::{Model, Pending, Sent, day, name};
use pugmark_store::simulated::{Image, Loss};
use pugmark_store::{
    AppendOptions, Durability, Entry, ErrorKind, ImportId, ManualClock, Note, OpenMode, Operation, Options,
    ProfileUpdate, Record, Result, Sequence, Settle, SimulatedStorage, SplitOf, Storage, Store,
};

const DIR: &str = "/store";
const COPY: &str = "/copy";
const LOSSES: [Loss; 4] = [Loss::Nothing, Loss::Everything, Loss::Prefix, Loss::Random];

#[derive(Arbitrary, Debug)]
enum Op {
    Append {
        events: Vec<Sent>,
        buffered: bool,
        import: Option<u8>,
    },
    Identify {
        anonymous: u8,
        user: u8,
    },
    Merge {
        ids: [u8; 3],
    },
    Split {
        who: u8,
    },
    SplitLink {
        back: u8,
    },
    /// What is said of somebody; whether it is retracted is the range's affair.
    Profile {
        who: u8,
        content: u8,
    },
    Checkpoint,
    Compact,
    Reopen,
    LoseIndex,
    LoseRuns,
    /// Everything stops; so many bytes that nobody synced follow the last frame.
    Crash {
        loss: u8,
        seed: u8,
        garbage: Vec<u8>,
    },
    /// Everything stops some operations of the disk later.
    CrashSoon {
        after: u8,
        loss: u8,
        seed: u8,
    },
    Erase {
        who: u8,
    },
    Retract {
        first: u8,
        count: u8,
    },
    RetractImport {
        import: u8,
    },
    Expire {
        before: u8,
    },
    Reprocess,
    Settle {
        nth: u8,
        id: Option<u8>,
    },
    Backup,
    Verify,
}

struct Run {
    storage: SimulatedStorage,
    store: Option<Store>,
    model: Model,
    /// How much is lost once the disk stops.
    crash: Option<(Loss, u64)>,
    attempted: Vec<Sent>,
    pending: Option<Pending>,
}

fn options(storage: &SimulatedStorage) -> Options {
    Options {
        storage: Arc::new(storage.clone()),
        clock: Arc::new(ManualClock::new(day(200))),
        segment_max_bytes: 600,
        checkpoint_every: 20,
        buffered_sync_after: Duration::from_secs(3_600),
        ..pugmark_store::fuzzing::options(storage)
    }
}

fn open(storage: &SimulatedStorage, dir: &str) -> Result<Store> {
    Store::open(Path::new(dir), options(storage), folds())
}

fn import(number: u8) -> ImportId {
    ImportId::from_bytes([number % 4 + 1; 16])
}

impl Run {
    fn new() -> Self {
        let storage = SimulatedStorage::new();
        storage.create_dir_all(Path::new(DIR)).expect("creates");
        storage.sync_dir(Path::new("/")).expect("syncs");
        let store = Some(open(&storage, DIR).expect("opens"));
        Self { storage, store, model: Model::default(), crash: None, attempted: Vec::new(), pending: None }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open between operations")
    }

    fn close(&mut self) -> Result<()> {
        self.store.take().map_or(Ok(()), Store::close)
    }

    fn open(&mut self) -> Result<()> {
        self.store = Some(open(&self.storage, DIR)?);
        Ok(())
    }

    /// The store as it is found after everything stopped.
    fn restart(&mut self, loss: Loss, seed: u64) {
        let found = self.storage.stopped(loss, seed);
        self.store = None;
        self.storage = found;
        self.crash = None;
        self.open().expect("nothing acknowledged is damaged");
        let attempted = std::mem::take(&mut self.attempted);
        let pending = self.pending.take();
        let store = self.store.as_ref().expect("just opened");
        let last = store.snapshot().sequence().number();
        store.finish_removals().expect("removes");
        store.compact().expect("compacts");
        self.model.reopened(store, last, &attempted);
        if let Some(pending) = pending {
            self.model.resumed(store, pending);
        }
    }

    fn run(&mut self, op: Op) {
        match self.attempt(op) {
            Ok(()) => (self.attempted, self.pending) = (Vec::new(), None),
            Err(error) => {
                let Some((loss, seed)) = self.crash else { panic!("{error}") };
                self.restart(loss, seed);
            }
        }
    }

    fn attempt(&mut self, op: Op) -> Result<()> {
        match op {
            Op::Append { events, buffered, import: of } => {
                self.attempted = events.into_iter().take(12).map(Sent::folded).collect();
                let durability = if buffered { Durability::Buffered } else { Durability::Sync };
                let options = AppendOptions { durability, import: of.map(import), ..AppendOptions::default() };
                let entries = self.attempted.iter().map(|sent| sent.entry()).collect();
                let outcomes = self.store().submit(entries, &options)?.wait()?;
                for (sent, outcome) in self.attempted.iter().zip(&outcomes) {
                    self.model.answered(*sent, outcome);
                }
                // A batch of which nothing was stored is not synced.
                let stored = self.store().snapshot().sequence().number() > self.model.last();
                let store = self.store.as_ref().expect("open between operations");
                self.model.answered_through(store, stored && !buffered);
            }
            Op::Identify { anonymous, user } => {
                self.model.mention(anonymous);
                self.model.mention(user);
                let link = Operation::identify(name(anonymous), name(user));
                self.store().append(vec![Entry::Operation(link)])?;
                self.done();
            }
            Op::Merge { ids } => {
                ids.into_iter().for_each(|id| self.model.mention(id));
                let merge = Operation::merge(ids.map(name)).noted(Note::by("fuzz").because("it may"));
                self.store().append(vec![merge.into()])?;
                self.done();
            }
            Op::Split { who } => {
                self.store().append(vec![Operation::split(name(who)).noted(Note::by("fuzz")).into()])?;
                self.done();
            }
            Op::SplitLink { back } => {
                let last = self.store().snapshot().sequence().number();
                let of = Sequence::new(last.saturating_sub(u64::from(back)).max(1));
                self.store().append(vec![Operation::split_link(SplitOf::Sequence(of)).into()])?;
                self.done();
            }
            Op::Profile { who, content } => {
                self.model.mention(who);
                let update = ProfileUpdate::add(name(who)).with("c", u32::from(content)).at(day(content % 16));
                self.store().append(vec![update.into()])?;
                self.done();
            }
            Op::Checkpoint => {
                self.store().checkpoint()?;
                self.done();
            }
            Op::Compact => self.store().compact()?,
            Op::Reopen => {
                self.close()?;
                self.open()?;
                self.done();
            }
            Op::LoseIndex => {
                self.close()?;
                self.storage.lose(&Path::new(DIR).join("index.redb")).expect("it is there");
                self.open()?;
                self.done();
            }
            Op::LoseRuns => {
                self.close()?;
                for (path, _) in self.storage.files(Image::Live) {
                    if path.starts_with(Path::new(DIR).join("runs")) {
                        self.storage.lose(&path).expect("it is there");
                    }
                }
                self.open()?;
                self.done();
            }
            Op::Crash { loss, seed, garbage } => {
                let loss = LOSSES[usize::from(loss) % LOSSES.len()];
                self.storage = self.storage.stopped(loss, seed.into());
                self.store = None;
                let files = self.storage.files(Image::Live);
                let last = files.iter().rfind(|(path, _)| path.starts_with(Path::new(DIR).join("log")));
                if let Some((path, bytes)) = last.filter(|_| !garbage.is_empty()) {
                    let file = self.storage.open(path, OpenMode::Write).expect("opens");
                    file.write_all_at(&garbage[..garbage.len().min(100)], bytes.len() as u64).expect("writes");
                }
                self.restart(Loss::Nothing, 0);
            }
            Op::CrashSoon { after, loss, seed } => {
                self.crash = Some((LOSSES[usize::from(loss) % LOSSES.len()], seed.into()));
                self.storage.stop_at(self.storage.operations() + u64::from(after) + 1);
            }
            Op::Erase { who } => {
                let Some(subject) = self.store().snapshot().subjects().resolve(&name(who))? else { return Ok(()) };
                self.pending = Some(Pending::Erasure(who, subject));
                self.store().erase(&[subject])?;
                self.store().finish_removals()?;
                self.model.erased(who);
                self.done();
                self.model.check_bytes(&self.storage, Path::new(DIR));
            }
            Op::Retract { first, count } => {
                let sequences = self.model.sequences();
                let Some(first) = sequences.get(usize::from(first) % sequences.len().max(1)).copied() else {
                    return Ok(());
                };
                let last = self.store().snapshot().sequence().number();
                let rows = vec![(Sequence::new(first), u64::from(count % 16).clamp(1, last + 1 - first))];
                self.pending = Some(Pending::Retraction(rows.clone()));
                self.store().retract(Some("a reason"), rows.clone())?;
                self.store().finish_removals()?;
                self.model.retracted(&rows);
                self.done();
            }
            Op::RetractImport { import: of } => {
                let rows = self.rows_of(import(of));
                self.pending = Some(Pending::Retraction(rows.clone()));
                match self.store().retract_import(import(of)) {
                    Err(error) if error.kind() == ErrorKind::Invalid => assert!(rows.is_empty(), "{error}"),
                    other => {
                        other?;
                        self.store().finish_removals()?;
                        self.model.retracted(&rows);
                        self.done();
                    }
                }
            }
            Op::Expire { before } => {
                let before = before % 18;
                self.pending = Some(Pending::Expiry(before));
                self.store().expire(day(before))?;
                self.model.expired(before);
                self.done();
            }
            Op::Reprocess => {
                self.store().reprocess(|_| true)?;
                self.done();
            }
            Op::Settle { nth, id } => self.settle(nth, id)?,
            Op::Backup => {
                self.store().backup(Path::new(COPY))?;
                self.done();
                let restored = self.storage.stopped(Loss::Everything, 0);
                self.model.check(&open(&restored, COPY).expect("a backup is a store"));
            }
            Op::Verify => {
                let report = self.store().verify(false, &mut |_| {})?;
                assert!(report.is_clean(), "{:?}", report.findings);
            }
        }
        Ok(())
    }

    /// What was asked for is durable.
    fn done(&mut self) {
        let store = self.store.as_ref().expect("open between operations");
        self.model.answered_through(store, true);
    }

    fn rows_of(&self, import: ImportId) -> Vec<(Sequence, u64)> {
        let mut rows = Vec::new();
        for frame in self.store().scan(Sequence::FIRST).expect("scans") {
            let frame = frame.expect("whole");
            let payload = frame.payload().expect("decodes");
            if payload.import == Some(*import.as_bytes()) {
                let events = payload.records.iter().enumerate();
                let events = events.filter(|(_, record)| matches!(record, Record::Event(_) | Record::Profile(_)));
                rows.extend(events.map(|(at, _)| (frame.first_sequence().plus(at as u64), 1)));
            }
        }
        rows
    }

    fn settle(&mut self, nth: u8, id: Option<u8>) -> Result<()> {
        let kept = self.store().quarantine()?.collect::<Result<Vec<_>>>()?;
        let Some(kept) = kept.get(usize::from(nth) % kept.len().max(1)) else { return Ok(()) };
        let stored = id.map(|id| Sent { id, ..Sent::of_event(&kept.event) });
        self.attempted = stored.into_iter().collect();
        let settle = id.map_or(Settle::Drop, |id| Settle::Store { message_id: format!("m{id}") });
        match (self.store().settle(kept.sequence, settle), stored) {
            (Err(error), Some(_)) if error.kind() == ErrorKind::Invalid => {}
            (Ok(sequence), Some(sent)) => {
                self.model.settled(sequence, sent);
                self.done();
            }
            (other, _) => {
                other?;
                self.done();
            }
        }
        Ok(())
    }
}

fuzz_target!(|ops: Vec<Op>| {
    let mut run = Run::new();
    for op in ops.into_iter().take(24) {
        run.run(op);
        if run.crash.is_none() {
            run.model.check(run.store());
        }
    }
    if run.crash.take().is_some() {
        run.restart(Loss::Nothing, 0);
    }
    for last in [Op::Reprocess, Op::Verify, Op::Reopen, Op::LoseIndex, Op::Verify] {
        run.run(last);
        run.model.check(run.store());
    }
});
