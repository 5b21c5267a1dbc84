//! pugmark over HTTP: what SDKs send on one side, answers on the other.
//!
//! A [`Server`] is a directory of projects, each a store of its own that is opened when it is first needed. It holds nothing else: keys and the audit of what
//! admins did are events of a store beside them ([`Control`]), and every route is a few lines over [`pugmark::Pugmark`]. What it acknowledges is on disk.
//!
//! [`serve`] listens by itself; [`Server::router`] is for a program that has a server already.
//!
//! - `POST /v1/events` takes events as imports have them; `/v1/track`, `/v1/batch` and their kin take what the SDKs of Segment and RudderStack send.
//! - `POST /v1/query` and `/v1/sql` answer questions; `/v1/events/…`, `/v1/persons/…`, `/v1/saved/…` and `/v1/stats` are those that everybody has.
//! - `/openapi.json` describes all of it.
//!
//! Settings are in [`Config`], bounds that cannot be set in [`limits`].

mod app;
mod auth;
mod body;
mod config;
mod connection;
mod control;
mod enrich;
mod ingest;
mod key;
pub mod limits;
mod metrics;
mod problem;
mod project;
mod rate;
mod request;
mod routes;
mod rows;
mod serve;
mod trace;
mod wire;

pub use app::Server;
pub use config::{Config, Enrich, Hosts, KeepAddress, Tls};
pub use control::Control;
pub use ingest::Told;
pub use key::{Grant, Key, KeyId, Scope, Secret};
pub use problem::{Answer, Problem, ProblemDetails};
pub use project::ProjectName;
pub use serve::serve;
pub use trace::TRACE_TARGET;
