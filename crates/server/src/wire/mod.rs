//! What SDKs of others send.

pub(crate) mod segment;
