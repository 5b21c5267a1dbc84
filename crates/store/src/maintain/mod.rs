//! Work on what is sealed, beside the commits.

mod rewrite;
#[cfg(test)]
mod tests;
