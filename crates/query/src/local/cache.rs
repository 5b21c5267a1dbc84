//! What was decoded from files, kept for the next question: within the engine's pool of memory, and given up when a query needs the room.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use pugmark_identity::Persons;

use super::persons::Joined;

/// What is kept of a file, or of a trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kept {
    /// The footer, with the page index.
    Footer,
    /// The rollup.
    Rollup,
    /// Its sets as persons.
    Persons,
    /// The cube.
    Cube,
    /// Which events the rollup is about, and their rows.
    Events,
    /// A column of a row group, by the place in the file's own schema.
    Column(usize, usize),
    /// The keys of the sessions in a row group.
    Keys(usize),
    /// What a trait is of everybody, and whether what it was before is in it.
    Trait(bool),
    /// Who was given which value of a trait, of some of its changes.
    ByValue,
    /// What everybody did in all.
    Totals,
    /// The ids by their texts.
    Ids,
    /// The values of traits by their texts.
    Values,
}

/// The most recently used of what was decoded from files, or made of what else never changes.
///
/// A value that is in use stays in memory when it is dropped from here. What belongs to something that nobody holds any more goes with the next insert.
pub(crate) struct ColumnCache {
    state: Mutex<State>,
    /// Of the persons that were asked for last; some bits for each subject.
    joined: Mutex<Option<Arc<Joined>>>,
}

struct State {
    slots: HashMap<(usize, Kept), Slot>,
    /// Keys by the time of their last use.
    used: BTreeMap<u64, (usize, Kept)>,
    clock: u64,
    reservation: MemoryReservation,
    limit: usize,
}

struct Slot {
    /// Keeps the address, which is the key, from being taken by another.
    of: Weak<dyn Any + Send + Sync>,
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    used: u64,
}

impl State {
    fn remove(&mut self, key: (usize, Kept)) -> usize {
        let Some(slot) = self.slots.remove(&key) else { return 0 };
        self.used.remove(&slot.used);
        self.reservation.shrink(slot.bytes);
        slot.bytes
    }

    /// Drops what was used longest ago until so many bytes are free; says how many are.
    fn yield_bytes(&mut self, wanted: usize) -> usize {
        let mut freed = 0;
        while freed < wanted {
            let Some((_, key)) = self.used.first_key_value() else { break };
            freed += self.remove(*key);
        }
        freed
    }

    fn forget_gone(&mut self) {
        let gone: Vec<_> =
            self.slots.iter().filter(|(_, slot)| slot.of.strong_count() == 0).map(|(key, _)| *key).collect();
        for key in gone {
            self.remove(key);
        }
    }
}

impl ColumnCache {
    /// A cache of up to `limit` bytes, as far as `pool` has room for them.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, limit: usize) -> Self {
        let reservation = MemoryConsumer::new("decoded columns").register(pool);
        let state = State { slots: HashMap::new(), used: BTreeMap::new(), clock: 0, reservation, limit };
        Self { state: Mutex::new(state), joined: Mutex::new(None) }
    }

    /// The subjects of persons with more than one; `None` when there are none.
    pub(crate) fn joined(&self, persons: &Arc<Persons>) -> Option<Arc<Joined>> {
        let mut last = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(joined) = last.as_ref().filter(|joined| joined.is_of(persons)) {
            return Some(Arc::clone(joined));
        }
        last.take();
        let made = Arc::new(Joined::of(persons)?);
        *last = Some(Arc::clone(&made));
        Some(made)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between two steps leaves a slot without its time, or the other way round: either is passed over.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of `of`, or what `make` makes of it now, with the bytes that it takes.
    pub(crate) fn get<O: Send + Sync + 'static, T: Send + Sync + 'static, E>(
        &self,
        of: &Arc<O>,
        kept: Kept,
        make: impl FnOnce() -> std::result::Result<(T, usize), E>,
    ) -> std::result::Result<Arc<T>, E> {
        self.get_if(of, kept, |_| true, make)
    }

    /// The same, where what is kept is still what is asked for.
    pub(crate) fn get_if<O: Send + Sync + 'static, T: Send + Sync + 'static, E>(
        &self,
        of: &Arc<O>,
        kept: Kept,
        is_it: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> std::result::Result<(T, usize), E>,
    ) -> std::result::Result<Arc<T>, E> {
        if let Some(value) = self.find(of, kept)
            && is_it(&value)
        {
            return Ok(value);
        }
        // Two who miss the same both make it: rarer than what waiting for each other would cost.
        let (value, bytes) = make()?;
        let value = Arc::new(value);
        self.keep(of, kept, &value, bytes);
        Ok(value)
    }

    /// What is kept of `of`.
    pub(crate) fn find<O: Send + Sync + 'static, T: Send + Sync + 'static>(
        &self,
        of: &Arc<O>,
        kept: Kept,
    ) -> Option<Arc<T>> {
        let key = (Arc::as_ptr(of).addr(), kept);
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        let slot = state.slots.get_mut(&key)?;
        let before = std::mem::replace(&mut slot.used, now);
        let value = Arc::clone(&slot.value).downcast::<T>();
        state.used.remove(&before);
        state.used.insert(now, key);
        value.ok()
    }

    /// Keeps this of `of`, in place of what was.
    pub(crate) fn keep<O: Send + Sync + 'static, T: Send + Sync + 'static>(
        &self,
        of: &Arc<O>,
        kept: Kept,
        value: &Arc<T>,
        bytes: usize,
    ) {
        let weak: Weak<O> = Arc::downgrade(of);
        let value = Arc::clone(value) as Arc<dyn Any + Send + Sync>;
        self.insert((Arc::as_ptr(of).addr(), kept), weak, value, bytes);
    }

    /// Keeps it no longer.
    pub(crate) fn forget<O>(&self, of: &Arc<O>, kept: Kept) {
        self.lock().remove((Arc::as_ptr(of).addr(), kept));
    }

    /// Whether it is kept.
    pub(crate) fn has<O>(&self, of: &Arc<O>, kept: Kept) -> bool {
        self.lock().slots.contains_key(&(Arc::as_ptr(of).addr(), kept))
    }

    /// Bytes that can be kept without dropping anything.
    pub(crate) fn room(&self) -> usize {
        let state = self.lock();
        state.limit.saturating_sub(state.reservation.size())
    }

    /// Most bytes that are kept.
    pub(crate) fn limit(&self) -> usize {
        self.lock().limit
    }

    fn insert(
        &self,
        key: (usize, Kept),
        of: Weak<dyn Any + Send + Sync>,
        value: Arc<dyn Any + Send + Sync>,
        bytes: usize,
    ) {
        let mut state = self.lock();
        state.remove(key);
        state.forget_gone();
        // Nothing else is to go for what does not fit.
        if bytes > state.limit {
            return;
        }
        let room = state.limit.saturating_sub(state.reservation.size());
        if bytes > room && state.yield_bytes(bytes - room) < bytes - room {
            return;
        }
        while state.reservation.try_grow(bytes).is_err() {
            if state.yield_bytes(bytes) == 0 {
                return;
            }
        }
        state.clock += 1;
        let used = state.clock;
        state.used.insert(used, key);
        state.slots.insert(key, Slot { of, value, bytes, used });
    }

    /// Gives back memory for a query; says how many bytes.
    fn yield_bytes(&self, wanted: usize) -> usize {
        self.lock().yield_bytes(wanted)
    }

    /// Bytes kept at present.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.lock().reservation.size()
    }
}

impl fmt::Debug for ColumnCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnCache").finish_non_exhaustive()
    }
}

/// A pool in which queries come before what is only kept for later ones.
pub(crate) struct YieldingPool {
    inner: Arc<dyn MemoryPool>,
    cache: Arc<ColumnCache>,
}

impl YieldingPool {
    /// `cache` must have its memory from `inner`.
    pub(crate) fn new(inner: Arc<dyn MemoryPool>, cache: Arc<ColumnCache>) -> Self {
        Self { inner, cache }
    }
}

impl MemoryPool for YieldingPool {
    fn name(&self) -> &str {
        "yielding"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.inner.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        loop {
            match self.inner.try_grow(reservation, additional) {
                Ok(()) => return Ok(()),
                Err(_) if self.cache.yield_bytes(additional) > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn reserved(&self) -> usize {
        self.inner.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.inner.memory_limit()
    }
}

impl fmt::Debug for YieldingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("YieldingPool").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl fmt::Display for YieldingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    fn file() -> Arc<u8> {
        Arc::new(0)
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_a_query_has_precedence() {
        let inner: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let cache = Arc::new(ColumnCache::new(&inner, 80));
        let pool: Arc<dyn MemoryPool> = Arc::new(YieldingPool::new(Arc::clone(&inner), Arc::clone(&cache)));
        let file = file();
        let ask = |group: usize| {
            let mut made = false;
            let value = cache.get(&file, Kept::Column(group, 0), || {
                made = true;
                Ok::<_, ()>((group, 40))
            });
            assert_eq!(value, Ok(Arc::new(group)));
            made
        };
        assert_eq!([ask(1), ask(2), ask(1), ask(3), ask(1), ask(2)], [true, true, false, true, false, true]);
        assert_eq!(cache.bytes(), 80);
        let query = MemoryConsumer::new("a query").register(&pool);
        query.try_grow(30).expect("the cache yields");
        assert_eq!(cache.bytes(), 40);
        assert!(query.try_grow(80).is_err());
        assert_eq!(cache.bytes(), 0);
        drop(query);
        assert_eq!(inner.reserved(), 0);
    }

    #[test]
    fn what_belongs_to_a_file_that_is_gone_goes_too() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let cache = ColumnCache::new(&pool, 80);
        let (gone, stays) = (file(), file());
        cache.get(&gone, Kept::Footer, || Ok::<_, ()>(((), 30))).unwrap();
        drop(gone);
        cache.get(&stays, Kept::Rollup, || Ok::<_, ()>(((), 10))).unwrap();
        assert_eq!(cache.bytes(), 10);
    }
}
