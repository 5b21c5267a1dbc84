//! Which columns of the table a columnar file holds, and how: as columns of its own, or so that they can be made of others.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion::arrow::error::ArrowError;

use super::arrivals::Arrivals;
use super::schema::{instant, system};

/// The version of what a columnar file holds, in its key-value metadata.
pub(super) const VERSION: u32 = 2;
/// Under these keys.
pub(super) const VERSION_KEY: &str = "pugmark.version";
pub(super) const ARRIVALS_KEY: &str = "pugmark.arrivals";
/// In place of `sequence`: how far it is from the curve of [`Arrivals`], zigzag. No property's column is called so: that prefix is put before names that begin with it.
pub(crate) const DISTANCE: &str = "p_sequence_distance";

/// The columns of the table that one file has, each with a place: first those that it holds as they are, in its own order.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    fields: Vec<Field>,
    held: Vec<Held>,
    arrivals: Arc<Arrivals>,
}

/// How a file holds a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// As one of its own.
    Plain(Values),
    /// An instant of receipt, by the sequence.
    Batch(Values),
}

/// Where values stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// In the column at this place.
    Own(usize),
    /// Sequences, in two columns.
    Distance { timestamp: usize, distance: usize },
}

impl Held {
    /// The values that it is made of.
    pub(crate) fn values(self) -> Values {
        match self {
            Self::Plain(values) | Self::Batch(values) => values,
        }
    }
}

impl Contents {
    /// Of a file whose columns, and metadata, are those of `file`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(file: &ArrowSchema) -> Result<Self, String> {
        let said = |key: &str| file.metadata().get(key).map(String::as_str);
        let version = said(VERSION_KEY).map(str::parse::<u32>);
        if version.clone().is_some_and(|version| !version.is_ok_and(|version| version <= VERSION)) {
            return Err(format!("version {version:?}, but {VERSION} is the last known"));
        }
        let arrivals = said(ARRIVALS_KEY).map(Arrivals::read).transpose()?.unwrap_or_default();
        let place = |name: &str| file.index_of(name).ok();
        let (mut fields, mut held) = (Vec::new(), Vec::new());
        for (at, field) in file.fields().iter().enumerate().filter(|(_, field)| field.name() != DISTANCE) {
            let kind = if is_instant(field.data_type()) { instant() } else { field.data_type().clone() };
            fields.push(field.as_ref().clone().with_data_type(kind));
            held.push(Held::Plain(Values::Own(at)));
        }
        let mut sequences = place(system::SEQUENCE.1).map(Values::Own);
        if let (true, None, Some(timestamp), Some(distance)) =
            (arrivals.has_curve(), sequences, place(system::TIMESTAMP.1), place(DISTANCE))
        {
            fields.push(Field::new(system::SEQUENCE.1, DataType::UInt64, false));
            let values = Values::Distance { timestamp, distance };
            held.push(Held::Plain(values));
            sequences = Some(values);
        }
        if let (true, None, Some(sequences)) = (arrivals.has_batches(), place(system::RECEIVED_AT.1), sequences) {
            fields.push(Field::new(system::RECEIVED_AT.1, instant(), false));
            held.push(Held::Batch(sequences));
        }
        Ok(Self { fields, held, arrivals: Arc::new(arrivals) })
    }

    /// The columns by their places.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The place of the column called `name`.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name() == name)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name() == name)
    }

    /// How the column called `name` is held.
    pub(crate) fn held(&self, name: &str) -> Option<Held> {
        self.held.get(self.place(name)?).copied()
    }

    pub(crate) fn arrivals(&self) -> &Arc<Arrivals> {
        &self.arrivals
    }

    /// The columns of the file, by their places in it and ascending, that the columns at `places` are made of.
    pub(crate) fn reads(&self, places: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut read = Vec::new();
        for place in places {
            match self.held.get(place).map(|held| held.values()) {
                Some(Values::Own(own)) => read.push(own),
                Some(Values::Distance { timestamp, distance }) => read.extend([timestamp, distance]),
                None => {}
            }
        }
        read.sort_unstable();
        read.dedup();
        read
    }

    /// The column at `place`, of a batch with the columns of the file at the places that `read` has, as [`reads`](Self::reads) gave them. Text is as the batch
    /// has it.
    pub(crate) fn column(&self, place: usize, read: &[usize], batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
        let own = |place: usize| -> Result<&ArrayRef, ArrowError> {
            let at = read.binary_search(&place).ok().filter(|at| *at < batch.num_columns());
            let at = at.ok_or_else(|| ArrowError::SchemaError(format!("column {place} was not read")))?;
            Ok(batch.column(at))
        };
        let held = self.held.get(place);
        let held = held.ok_or_else(|| ArrowError::SchemaError(format!("no column {place}")))?;
        let values = match held.values() {
            Values::Own(at) => in_microseconds(own(at)?),
            Values::Distance { timestamp, distance } => {
                self.arrivals.sequences(&in_microseconds(own(timestamp)?)?, own(distance)?)
            }
        }?;
        match held {
            Held::Plain(_) => Ok(values),
            Held::Batch(_) => self.arrivals.received(&values),
        }
    }
}

/// Instants in microseconds; anything else as it is.
pub(crate) fn in_microseconds(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match is_instant(array.data_type()) && *array.data_type() != instant() {
        true => cast(array, &instant()),
        false => Ok(Arc::clone(array)),
    }
}

pub(crate) fn is_instant(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..))
}
