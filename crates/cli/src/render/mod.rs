//! Answers for people: tables, bars, lines and a shaded triangle. Each takes the JSON form of an answer, the same that
//! programs get, so that what is shown is what was answered.

mod answer;
mod bars;
mod funnel;
mod grid;
mod journey;
mod lifecycle;
mod line;
mod paths;
mod people;
mod retention;
mod segment;
mod sessions;
mod stickiness;
mod style;
mod trend;
pub(crate) mod words;

pub(crate) use answer::{explanation, render, warnings};
pub(crate) use grid::Grid;
pub(crate) use style::{ColorChoice, Style};
pub(crate) use words::{bytes, count, many, rate, seconds};
