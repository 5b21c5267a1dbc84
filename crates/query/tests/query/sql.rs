//! Statements of SQL.

mod logic;
mod statements;
mod two_roads;
