//! Lowering of sessions.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::by_unit::Needs;
use super::lowering::{ReadItem, Reading, Wanted};
use super::run::{Asked, resolved};
use super::touch::{has_any, prop};
use super::units::{Core, in_order};
use crate::calendar::{Buckets, Interval};
use crate::columns::system;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::sessions::{
    By, Counted, Counter, MAX_SPLITS, Mark, Session, SessionEvent, SessionRow, Sessions, SessionsResult,
};
use crate::spec::{Analysis, Breakdown, GroupValue, Groups, Header, Hit, Query, Selector, SessionKey, Touches};

/// The properties that name the page of an event where the question names none, the first that it has.
const PAGES: [&str; 3] = ["url", "page.url", "$current_url"];

impl Engine {
    pub(super) async fn sessions(&self, asked: &Asked<'_>, sessions: &Sessions) -> Result<SessionsResult> {
        let buckets = buckets(asked, sessions)?;
        let pages = pages(asked, sessions);
        let empty = Counter::new(sessions, Arc::clone(&buckets), &asked.zone);
        let (counted, header) = self.count_sessions(asked, sessions, &pages, empty).await?;
        let rows = counted.rows.as_deref().unwrap_or_default();
        let said = self.said(asked, sessions, &pages, rows).await?;
        let touches = self.session_touches(asked, sessions, rows).await?;
        let mut result = answered(asked, sessions, header, &buckets, counted, |sequence| said.get(&sequence).cloned())?;
        result.touch.clone_from(&sessions.touch);
        for (row, touches) in result.rows.iter_mut().flatten().zip(touches) {
            row.touches = Some(touches);
        }
        Ok(result)
    }

    /// Where each of the sessions came from; nothing where that was not asked.
    async fn session_touches(&self, asked: &Asked<'_>, sessions: &Sessions, rows: &[Session]) -> Result<Vec<Touches>> {
        if sessions.touch.is_empty() {
            return Ok(Vec::new());
        }
        let sequences = rows.iter().filter_map(|session| session.touches).flatten().collect();
        let said = self.touches_of(asked, sequences, &sessions.touch).await?;
        let said = |sequence: u64| said.get(&sequence).cloned().unwrap_or_default();
        let touches = |session: &Session| match session.touches {
            Some([first, last]) => Touches { first: said(first), last: said(last) },
            None => Touches::default(),
        };
        Ok(rows.iter().map(touches).collect())
    }

    /// Every session that begins in the range, in order, and what is said of its events where `texts` are wanted.
    pub(crate) async fn session_rows(
        &self,
        snapshot: &QuerySnapshot,
        query: &Query,
        texts: bool,
    ) -> Result<(Vec<Session>, HashMap<u64, Said>)> {
        let query = &*resolved(snapshot, query)?;
        let asked = self.asked(snapshot, query).await?;
        let Analysis::Sessions(sessions) = &query.analysis else {
            return Err(Error::invalid("a table of sessions is asked for with the rules of sessions"));
        };
        let listed = Sessions { rows: texts, ..sessions.clone() };
        let pages = pages(&asked, &listed);
        let empty = Counter::new(sessions, buckets(&asked, sessions)?, &asked.zone).listing_all();
        let (counted, _) = self.count_sessions(&asked, &listed, &pages, empty).await?;
        let rows = counted.rows.unwrap_or_default();
        let said = match texts {
            true => self.said(&asked, sessions, &pages, &rows).await?,
            false => HashMap::new(),
        };
        Ok((rows, said))
    }

    async fn count_sessions(
        &self,
        asked: &Asked<'_>,
        sessions: &Sessions,
        pages: &[String],
        empty: Counter,
    ) -> Result<(Counted, Header)> {
        let any = Selector::any();
        let mut reading = reading(asked, sessions, &any);
        let has_page = pages.iter().map(|page| format!("{page} IS NOT NULL")).collect::<Vec<_>>().join(" OR ");
        reading.items.extend((!pages.is_empty()).then(|| expression(has_page, "page")));
        reading.items.extend((!sessions.touch.is_empty()).then(|| expression(has_any(&sessions.touch), "touch")));
        let told = OnceLock::new();
        let make = |groups: &Groups| Counting {
            counter: empty.clone(),
            told: Arc::clone(told.get_or_init(|| Arc::new(Told::of(groups, sessions, !pages.is_empty())))),
            events: Vec::new(),
        };
        // Without either, it does not matter which of two events of an instant came first.
        let needs = Needs { bits: 1, sequences: sessions.rows || !sessions.split_on.is_empty() || empty.lists() };
        let found = self.by_unit(asked, &reading, needs, "LocalSessions", make).await?;
        let mut all = empty.clone();
        let header = asked.header(Sessions::NAME, found.warnings.clone(), || found.explain())?;
        found.cores.into_iter().for_each(|part| all.merge(part.counter));
        Ok((all.finish()?, header))
    }

    /// What the events say that begin and end sessions, and name their pages.
    async fn said(
        &self,
        asked: &Asked<'_>,
        sessions: &Sessions,
        pages: &[String],
        rows: &[Session],
    ) -> Result<HashMap<u64, Said>> {
        let sequences = rows.iter().flat_map(|session| [session.first, session.entry, session.exit]);
        let shown = pages.iter().map(String::as_str).chain([system::EVENT.1]).collect::<Vec<_>>().join(", ");
        let shown = format!("coalesce({shown})");
        let texts = self.texts_of(asked, sequences, &[system::SESSION_ID.1, &shown]).await?;
        let said = texts.into_iter().map(|(sequence, texts)| {
            let mut texts = texts.into_iter();
            let session = texts.next().flatten().filter(|_| sessions.by == By::SessionId);
            (sequence, Said { session, shown: texts.next().flatten().unwrap_or_default() })
        });
        Ok(said.collect())
    }
}

/// What a row of the answer says of one event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// The session of its sender, where that counts.
    pub(crate) session: Option<String>,
    /// Its page, or its name where it has none.
    pub(crate) shown: String,
}

/// The buckets of the question; of years where it asks for none, which only tell what lies in its range.
pub(super) fn buckets(asked: &Asked<'_>, sessions: &Sessions) -> Result<Arc<Buckets>> {
    let interval = sessions.interval.unwrap_or(Interval::Year);
    Ok(Arc::new(Buckets::new(asked.range, interval, &asked.zone, sessions.week_start)?))
}

/// What may be the page of an event as SQL expressions, the first that is not NULL is; none where no rows are asked for, or no event can have one.
pub(super) fn pages(asked: &Asked<'_>, sessions: &Sessions) -> Vec<String> {
    let known = |name: &&&str| asked.snapshot.registry.property(name).is_some();
    match &sessions.page {
        _ if !sessions.rows => Vec::new(),
        Some(name) => vec![prop(name)],
        None => PAGES.iter().filter(known).map(|name| prop(name)).collect(),
    }
}

pub(super) fn expression(sql: impl Into<String>, path: &str) -> ReadItem {
    ReadItem::beside(Breakdown::Expression(sql.into()), path)
}

/// Everything of everybody whom the question is about; the values are those of [`Told::of`], without the page, and the sessions of senders where they count.
pub(super) fn reading<'a>(asked: &Asked<'a>, sessions: &'a Sessions, any: &'a Selector) -> Reading<'a> {
    let all = Wanted { selector: any, path: "filter".to_owned(), since_us: i64::MIN };
    let splits = sessions
        .split_on
        .iter()
        .enumerate()
        .map(|(at, property)| ReadItem::beside(Breakdown::Property(property.clone()), format!("split_on[{at}]")));
    let keys = sessions.by == By::SessionId;
    Reading { keys, items: splits.collect(), ..Reading::new(vec![all], asked.scope(), i64::MAX) }
}

/// What the number of a hit's values tells about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    split: [u32; MAX_SPLITS],
    has_page: bool,
    has_touch: bool,
}

impl Told {
    /// Of each number: the values are those of `split_on`, then what tells whether there is a page, then whether there is a touch.
    pub(super) fn of(groups: &Groups, sessions: &Sessions, pages: bool) -> Vec<Self> {
        let mut numbers: HashMap<&GroupValue, u32> = HashMap::new();
        let mut number = |value| {
            let next = u32::try_from(numbers.len() + 1).unwrap_or(u32::MAX);
            if matches!(value, &GroupValue::Null) { 0 } else { *numbers.entry(value).or_insert(next) }
        };
        let tell = |group| {
            let mut values = groups.values(group).iter();
            let mut told = Self::default();
            for (split, value) in told.split.iter_mut().zip(values.by_ref().take(sessions.split_on.len())) {
                *split = number(value);
            }
            let mut holds = || !matches!(values.next(), None | Some(GroupValue::Null | GroupValue::Bool(false)));
            told.has_page = pages && holds();
            told.has_touch = !sessions.touch.is_empty() && holds();
            told
        };
        (0_u32..).take(groups.len()).map(tell).collect()
    }

    /// The event of a hit.
    pub(super) fn event(of: &[Self], hit: &Hit<SessionKey>) -> SessionEvent {
        let Self { split, has_page, has_touch } = of.get(hit.group as usize).copied().unwrap_or_default();
        SessionEvent {
            mark: Mark { timestamp: hit.timestamp, key: hit.value.get(), split },
            sequence: hit.sequence,
            has_page,
            has_touch,
        }
    }
}

/// The answer of what has been counted; `said` tells of the events in its rows.
pub(super) fn answered(
    asked: &Asked<'_>,
    sessions: &Sessions,
    header: Header,
    buckets: &Buckets,
    counted: Counted,
    said: impl Fn(u64) -> Option<Said>,
) -> Result<SessionsResult> {
    let rows = match &counted.rows {
        None => None,
        Some(rows) => {
            let names = asked.names(&rows.iter().map(|session| session.unit).collect::<Vec<_>>())?;
            let said = |sequence| said(sequence).unwrap_or_default();
            let row = |(session, name): (&Session, Option<String>)| {
                let (entry, exit) = (said(session.entry).shown, said(session.exit).shown);
                SessionRow::new(session, name.unwrap_or_default(), said(session.first).session, entry, exit)
            };
            Some(rows.iter().zip(names).map(row).collect())
        }
    };
    let labels = sessions.interval.map(|_| buckets.labels().to_vec());
    Ok(SessionsResult::new(header, counted, labels, rows))
}

struct Counting {
    counter: Counter,
    told: Arc<Vec<Told>>,
    events: Vec<SessionEvent>,
}

impl Core for Counting {
    type Value = SessionKey;

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit<SessionKey>]) {
        self.events.clear();
        self.events.extend(in_order(hits).iter().map(|hit| Told::event(&self.told, hit)));
        self.counter.add_unit(unit, &self.events);
    }
}
