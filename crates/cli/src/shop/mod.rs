//! A year of a small shop, made from a fixed seed: what the demo imports.

mod dice;
mod person;
mod year;

pub(crate) use year::write_year;
