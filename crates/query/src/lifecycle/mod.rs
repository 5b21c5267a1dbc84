//! Lifecycle: who is new, who stays, who comes back and who stays away, bucket by bucket.
//!
//! Meaning: `docs/semantics.md`, section 4. [`Lifecycle`] is the question, [`States`] the pure computation,
//! [`LifecycleResult`] the answer.

mod result;
mod spec;
mod states;

pub use result::LifecycleResult;
pub use spec::Lifecycle;
pub(crate) use states::Past;
pub use states::{StateCounts, States};
