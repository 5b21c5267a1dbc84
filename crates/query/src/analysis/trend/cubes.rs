//! Series from cubes: of the files that have the one that is declared; of the others, and of the tail, from columns.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::{ArrayRef, StringViewArray};
use datafusion::arrow::buffer::BooleanBuffer;
use hashbrown::HashMap;
use pugmark_registry::{ColumnType, SYSTEM_COLUMNS};
use roaring::{MultiOps, RoaringBitmap};

use super::shape::Shape;
use crate::analysis::run::Asked;
use crate::analysis::sets::{Cover, extents, is_known};
use crate::columns::{Cube, CubeNumbers, Day, Declared, EventSchema};
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{Local, Merged, Parts, Predicate, Runs, UnitedCube, Wants, Work};
use crate::spec::{Breakdown, EventNames, GroupLabel, GroupValue, Groups, Split};
use crate::trend::{Measure, Number, SeriesResult, Trend};

/// Sets with fewer subjects than this in all are united without a thread.
const SMALL_SUBJECTS: u64 = 65_536;

/// How a declaration answers a trend.
pub(super) struct Cut {
    declared: Declared,
    /// For each item of the breakdown, which of the dimensions it is.
    items: Vec<usize>,
    /// For each series, which of the measures its numbers are of.
    sums: Vec<Option<usize>>,
    cover: Cover,
}

/// The declaration that tells all that a trend asks, with the fewest dimensions; `None` where none does, or where rollups tell it without being cut.
pub(super) fn find(
    trend: &Trend,
    shape: &Shape,
    wants: &Wants,
    (local, parts): (&Local, &Parts),
    declared: &[Declared],
) -> Option<Cut> {
    let is_cut = !wants.items.is_empty()
        || wants.filter.is_some()
        || wants.selected.iter().any(|selected| selected.filter.is_some())
        || shape.number_of.iter().any(Option::is_some);
    if !is_cut || wants.people.is_some() || shape.any_asks_before() || !shape.measures.iter().all(|own| tell(*own)) {
        return None;
    }
    let fits = |declared: &Declared| cut(trend, wants, &local.schema, declared);
    let fitting = declared.iter().filter_map(fits).min_by_key(|(cut, _, _)| cut.declaration.dimensions.len());
    let (declared, items, sums) = fitting?;
    let cover = Cover::new(extents(&shape.buckets));
    is_known(&cover, local, parts).then_some(Cut { declared, items, sums, cover })
}

type Fit = (Declared, Vec<usize>, Vec<Option<usize>>);

/// Whether cubes know a measure.
fn tell(measure: Measure) -> bool {
    let of_events = matches!(measure, Measure::Count | Measure::Uniques | Measure::CountPerUser);
    of_events || matches!(measure, Measure::Sum | Measure::SumPerUser | Measure::Avg | Measure::Min | Measure::Max)
}

/// Whether it takes the units themselves.
fn unites(measure: Measure) -> bool {
    matches!(measure, Measure::Uniques | Measure::CountPerUser | Measure::SumPerUser)
}

/// The declaration, the dimension of each item of the breakdown, and the measure of each series; `None` where it does not tell all that is asked.
fn cut(trend: &Trend, wants: &Wants, schema: &EventSchema, declared: &Declared) -> Option<Fit> {
    let declaration = &declared.declaration;
    for selected in &wants.selected {
        let is_declared = match &selected.event {
            EventNames::Any => declaration.event == EventNames::Any,
            named => named.names().iter().all(|name| declaration.event.contains(name)),
        };
        if !is_declared {
            return None;
        }
    }
    // A column that every event has stands for a name that no property has.
    let is_property = |name: &str| schema.property(name).is_some() || !SYSTEM_COLUMNS.contains(&name);
    let place =
        |properties: &[String], name: &str| properties.iter().position(|own| own == name).filter(|_| is_property(name));
    let item = |item: &Breakdown| match item {
        Breakdown::Property(name) => place(&declaration.dimensions, name),
        Breakdown::Expression(_) | Breakdown::Profile(_) | Breakdown::Segment(_) => None,
    };
    let items = trend.scope.breakdown.iter().map(item).collect::<Option<Vec<_>>>()?;
    let mut sums = Vec::with_capacity(trend.series.len());
    for series in &trend.series {
        sums.push(match &series.property {
            Some(property) => Some(place(&declaration.measures, property)?),
            None => None,
        });
    }
    let filters = wants.selected.iter().filter_map(|selected| selected.filter.as_ref()).chain(&wants.filter);
    let reads_dimensions = |place: usize| dimension_at(place, schema, declared).is_some();
    filters.flat_map(Predicate::inputs).all(reads_dimensions).then(|| (declared.clone(), items, sums))
}

/// The dimension whose text the column at `place` holds.
fn dimension_at(place: usize, schema: &EventSchema, declared: &Declared) -> Option<usize> {
    let (name, kind) = schema.property_at(place)?;
    let at = declared.declaration.dimensions.iter().position(|own| own == name)?;
    // A text is what it was sent as. A number may have been rounded since.
    (kind == ColumnType::Text).then_some(at)
}

/// The cells of one group that one bucket has, of one event of a cube.
#[derive(Debug, Clone)]
struct Cells {
    cube: usize,
    event: usize,
    group: usize,
    cells: Range<usize>,
}

impl Cells {
    /// The sets whose union are their subjects.
    fn sets<'a>(&self, cubes: &'a [Arc<UnitedCube>]) -> impl Iterator<Item = &'a RoaringBitmap> {
        cubes.get(self.cube).into_iter().flat_map(|cube| cube.sets(self.event, self.group, &self.cells))
    }
}

/// What one series has in one bucket of one group.
#[derive(Debug, Clone, Default)]
struct Tally {
    count: u64,
    numbers: CubeNumbers,
    /// Where its subjects are.
    cells: Vec<Cells>,
    /// Subjects of rows.
    own: Vec<RoaringBitmap>,
}

/// Everything that was found, by series, group and bucket.
struct Tallies {
    groups: Groups,
    buckets: usize,
    series: Vec<HashMap<u32, Vec<Tally>>>,
}

impl Tallies {
    fn at(&mut self, series: usize, group: u32, bucket: usize) -> &mut Tally {
        let buckets = self.buckets;
        let tallies = self.series[series].entry(group).or_insert_with(|| vec![Tally::default(); buckets]);
        &mut tallies[bucket]
    }

    /// The number of these values: 0 without a breakdown.
    fn group(&mut self, values: &[GroupValue]) -> u32 {
        if values.is_empty() { 0 } else { self.groups.intern(values) }
    }
}

impl Cut {
    /// The values of every series.
    pub(super) async fn answer(
        &self,
        engine: &Engine,
        asked: &Asked<'_>,
        trend: &Trend,
        shape: &Shape,
        (local, parts, wants): (&Local, &Parts, Wants),
        merged: &Merged,
    ) -> Result<Vec<SeriesResult>> {
        let mut cubes: Vec<Arc<UnitedCube>> = Vec::new();
        let mut days = Vec::new();
        let mut rest: Parts = Vec::new();
        for part in parts {
            match local.cube(part, &self.declared)? {
                Some(cube) => {
                    cubes.push(cube);
                    days.push(self.cover.known(part.times).days);
                }
                None => rest.push(Arc::clone(part)),
            }
        }
        local.read.declared.get_or_init(|| self.declared.declaration.name.clone());
        local.read.cubes.fetch_add(cubes.len(), Ordering::Relaxed);
        let buckets = shape.buckets.len();
        let series = vec![HashMap::new(); trend.series.len()];
        let mut tallies = Tallies { groups: Groups::default(), buckets, series };
        for (at, (cube, days)) in cubes.iter().zip(&days).enumerate() {
            self.add_cube((at, days), &cube.cube, trend, &wants, local, &mut tallies)?;
        }
        if !rest.is_empty() {
            let work = Work::new(engine.threads());
            let runs = local.runs(&rest, Arc::new(wants), asked.range, engine.pool(), work).await?;
            add_runs(&runs, trend, shape, &mut tallies);
        }
        let work = Work::new(engine.threads());
        finish(tallies, Arc::new(cubes), trend, asked, merged, work).await
    }

    fn add_cube(
        &self,
        (at, days): (usize, &[(usize, Range<Day>)]),
        cube: &Cube,
        trend: &Trend,
        wants: &Wants,
        local: &Local,
        tallies: &mut Tallies,
    ) -> Result<()> {
        let group_of = |values: &Vec<GroupValue>| self.items.iter().map(|item| values[*item].clone()).collect();
        let groups: Vec<Vec<GroupValue>> = cube.groups.iter().map(group_of).collect();
        let groups: Vec<u32> = groups.iter().map(|values| tallies.group(values)).collect();
        let column = |place: usize| self.texts(place, cube, &local.schema);
        let holds = |filter: &Option<Predicate>| -> Result<BooleanBuffer> {
            match filter {
                Some(filter) => filter.of_values(cube.groups.len(), column),
                None => Ok(BooleanBuffer::new_set(cube.groups.len())),
            }
        };
        let all = holds(&wants.filter)?;
        let mut read = 0;
        for selected in &wants.selected {
            let kept = &holds(&selected.filter)? & &all;
            for (number, event) in
                cube.events.iter().enumerate().filter(|(_, event)| selected.event.contains(&event.name))
            {
                for (place, (group, cells)) in event.groups.iter().enumerate() {
                    if !kept.value(*group) {
                        continue;
                    }
                    for (bucket, days) in days {
                        let start = cells.partition_point(|cell| cell.day < days.start);
                        let end = cells.partition_point(|cell| cell.day < days.end);
                        let own = cells.get(start..end).unwrap_or_default();
                        if own.is_empty() {
                            continue;
                        }
                        read += own.len();
                        for one in (0..trend.series.len()).filter(|one| selected.bits >> one & 1 == 1) {
                            let tally = tallies.at(one, groups[*group], *bucket);
                            tally.count += own.iter().map(|cell| cell.count).sum::<u64>();
                            if let Some(measure) = self.sums[one] {
                                own.iter().for_each(|cell| tally.numbers.add_all(&cell.numbers[measure]));
                            }
                            if unites(trend.series[one].measure) {
                                let cells = start..end;
                                tally.cells.push(Cells { cube: at, event: number, group: place, cells });
                            }
                        }
                    }
                }
            }
        }
        local.read.rollup_cells.fetch_add(read, Ordering::Relaxed);
        Ok(())
    }

    /// The column at `place` for each combination of values.
    fn texts(&self, place: usize, cube: &Cube, schema: &EventSchema) -> ArrayRef {
        let dimension = dimension_at(place, schema, &self.declared);
        let text = |group: &Vec<GroupValue>| match dimension.and_then(|at| group.get(at).cloned()) {
            Some(GroupValue::Text(text)) => Some(text),
            _ => None,
        };
        Arc::new(cube.groups.iter().map(text).collect::<StringViewArray>())
    }
}

/// Adds the rows of what has no cube.
fn add_runs(runs: &Runs, trend: &Trend, shape: &Shape, tallies: &mut Tallies) {
    let groups: Vec<u32> = match runs.groups.is_empty() {
        true => vec![0],
        false => tallies.groups.absorb(&runs.groups),
    };
    let lone = shape.buckets.len() == 1;
    for run in &runs.runs {
        let mut subjects: HashMap<(usize, u32, usize), Vec<u32>> = HashMap::new();
        for (row, subject) in run.subjects.iter().enumerate() {
            let bucket = if lone { Some(0) } else { shape.buckets.index_of(run.timestamps[row]) };
            let Some(bucket) = bucket else { continue };
            let group = groups.get(run.groups.of(row) as usize).copied().unwrap_or(0);
            let matches = run.matches.of(row);
            for one in (0..trend.series.len()).filter(|one| matches >> one & 1 == 1) {
                let tally = tallies.at(one, group, bucket);
                tally.count += 1;
                let number = shape.number_of[one].map(|number| run.numbers[number][row]);
                if let Some(number) = number.filter(|own| !own.is_nan()) {
                    tally.numbers.add(number);
                }
                if unites(trend.series[one].measure) {
                    let own = subjects.entry((one, group, bucket)).or_default();
                    if own.last() != Some(subject) {
                        own.push(*subject);
                    }
                }
            }
        }
        for ((one, group, bucket), subjects) in subjects {
            let own = RoaringBitmap::from_sorted_iter(subjects);
            tallies.at(one, group, bucket).own.push(own.expect("invariant: a run is sorted by subject"));
        }
    }
}

/// Which tallies a line of the answer is made of.
struct Line {
    series: usize,
    label: Option<GroupLabel>,
    groups: Vec<u32>,
}

async fn finish(
    mut tallies: Tallies,
    cubes: Arc<Vec<Arc<UnitedCube>>>,
    trend: &Trend,
    asked: &Asked<'_>,
    merged: &Merged,
    work: Work,
) -> Result<Vec<SeriesResult>> {
    let groups = std::mem::take(&mut tallies.groups);
    let tallies = Arc::new(tallies);
    let counter = Counter { tallies: Arc::clone(&tallies), cubes, merged: merged.clone() };
    let counter = Arc::new(counter);
    let measures: Vec<(Measure, bool)> = trend.series.iter().map(|one| (one.measure, one.cumulative)).collect();
    let buckets = tallies.buckets;
    let mut known: HashMap<u32, (Vec<Number>, Number)> = HashMap::new();
    let shown: Vec<(Option<GroupLabel>, Vec<u32>)> = if asked.scope().breakdown.is_empty() {
        vec![(None, vec![0])]
    } else {
        let split = Split { groups: &groups, limit: asked.scope().limit };
        let is_filled = |group: &u32| tallies.series.iter().any(|own| own.contains_key(group));
        let filled: Vec<u32> = (0_u32..).take(groups.len()).filter(is_filled).collect();
        let lines = filled.iter().map(|group| Line { series: 0, label: None, groups: vec![*group] }).collect();
        let totals = counter.count(lines, &measures, work, true).await?;
        if buckets == 1 {
            // What ranks a group is all that its first line says.
            known = filled.iter().copied().zip(totals.iter().cloned()).collect();
        }
        let folded = split.fold(filled.into_iter().zip(totals.into_iter().map(|(_, total)| total)));
        let label = |group: &u32| (Some(split.label(*group)), vec![*group]);
        let mut shown: Vec<_> = folded.kept.iter().map(label).collect();
        if !folded.rest.is_empty() {
            shown.push((Some(GroupLabel::Other), folded.rest));
        }
        shown
    };
    let mut lines = Vec::with_capacity(trend.series.len() * shown.len());
    for series in 0..trend.series.len() {
        lines.extend(shown.iter().map(|(label, groups)| Line { series, label: label.clone(), groups: groups.clone() }));
    }
    let names = trend.names();
    let said: Vec<(usize, Option<GroupLabel>)> = lines.iter().map(|line| (line.series, line.label.clone())).collect();
    let is_known = |line: &Line| match (line.series, line.groups.as_slice()) {
        (0, [group]) => known.get(group).cloned(),
        _ => None,
    };
    let found: Vec<Option<(Vec<Number>, Number)>> = lines.iter().map(is_known).collect();
    let unknown = lines.into_iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(line, _)| line).collect();
    let mut counted = counter.count(unknown, &measures, work, false).await?.into_iter();
    let counted = found.into_iter().filter_map(|found| found.or_else(|| counted.next()));
    let result = |((series, breakdown), (values, total)): ((usize, Option<GroupLabel>), (Vec<Number>, Number))| {
        SeriesResult { name: names[series].clone(), breakdown, values, frequency: None, total }
    };
    Ok(said.into_iter().zip(counted).map(result).collect())
}

struct Counter {
    tallies: Arc<Tallies>,
    cubes: Arc<Vec<Arc<UnitedCube>>>,
    merged: Merged,
}

impl Counter {
    /// The values and the total of each line; the total alone where only that is wanted.
    async fn count(
        self: &Arc<Self>,
        lines: Vec<Line>,
        measures: &[(Measure, bool)],
        work: Work,
        total_only: bool,
    ) -> Result<Vec<(Vec<Number>, Number)>> {
        let takes_units = |line: &Line| unites(measures[line.series].0);
        let subjects = lines.iter().filter(|line| takes_units(line)).map(|line| self.subjects(line)).sum::<u64>();
        let (lines, own, measures) = (Arc::new(lines), Arc::clone(self), measures.to_vec());
        let count = lines.len();
        let piece = move |done: &mut Vec<(usize, (Vec<Number>, Number))>, at: usize| {
            let line = &lines[at];
            done.push((at, own.line(line, measures[line.series], total_only)));
            Ok(())
        };
        let done = work.each(count, subjects < SMALL_SUBJECTS, Vec::new, piece).await?;
        let mut done: Vec<_> = done.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, counted)| counted).collect())
    }

    /// How many subjects the sets have that a line is made of.
    fn subjects(&self, line: &Line) -> u64 {
        let tallies = line.groups.iter().filter_map(|group| self.tallies.series[line.series].get(group)).flatten();
        tallies.flat_map(|tally| self.sets(tally)).map(RoaringBitmap::len).sum()
    }

    fn sets<'a>(&'a self, tally: &'a Tally) -> impl Iterator<Item = &'a RoaringBitmap> {
        tally.cells.iter().flat_map(|cells| cells.sets(&self.cubes)).chain(&tally.own)
    }

    fn line(&self, line: &Line, (measure, cumulative): (Measure, bool), total_only: bool) -> (Vec<Number>, Number) {
        let own = &self.tallies.series[line.series];
        let of = |bucket: usize| line.groups.iter().filter_map(move |group| own.get(group)?.get(bucket));
        let buckets = 0..self.tallies.buckets;
        let mut values = Vec::with_capacity(buckets.len());
        let (mut count, mut numbers) = (0, CubeNumbers::default());
        let mut units: Vec<RoaringBitmap> = Vec::new();
        for bucket in buckets.clone().filter(|_| !total_only) {
            let (mut events, mut here) = (0, CubeNumbers::default());
            for tally in of(bucket) {
                events += tally.count;
                here.add_all(&tally.numbers);
            }
            if unites(measure) && buckets.len() > 1 {
                units.push(self.persons(of(bucket)));
            }
            count += events;
            numbers.add_all(&here);
            let people = units.last().map_or(0, RoaringBitmap::len);
            values.push(if cumulative {
                number(measure, count, &numbers, 0)
            } else {
                number(measure, events, &here, people)
            });
        }
        if total_only {
            for tally in buckets.clone().flat_map(of) {
                count += tally.count;
                numbers.add_all(&tally.numbers);
            }
        }
        let people = match unites(measure) {
            false => 0,
            true if units.is_empty() => self.persons(buckets.clone().flat_map(of)).len(),
            true => units.iter().union().len(),
        };
        let total = number(measure, count, &numbers, people);
        if total_only || buckets.len() == 1 {
            values = vec![total; buckets.len()];
        }
        (values, total)
    }

    fn persons<'a>(&'a self, tallies: impl Iterator<Item = &'a Tally>) -> RoaringBitmap {
        let sets = tallies.flat_map(|tally| self.sets(tally));
        self.merged.persons(sets.union())
    }
}

/// The value of a measure of so many events of so many people.
fn number(measure: Measure, events: u64, numbers: &CubeNumbers, people: u64) -> Number {
    let extreme = |extreme: f64| Number::of((numbers.count > 0).then_some(extreme));
    match measure {
        Measure::Uniques => Number::Count(people),
        Measure::CountPerUser => Number::share(events, people).or_zero(),
        Measure::Sum => Number::Real(numbers.sum.value()),
        Measure::SumPerUser => Number::mean(numbers.sum, people).or_zero(),
        Measure::Avg => Number::mean(numbers.sum, numbers.count),
        Measure::Min => extreme(numbers.min),
        Measure::Max => extreme(numbers.max),
        _ => Number::Count(events),
    }
}
