//! The answer of a question about paths.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::spec::{GroupLabel, GroupValue, Header, Listing, human_seconds};

/// From one node to the next, at a position of paths.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PathEdge {
    /// The position of `from` in the path, from 1.
    pub position: usize,
    /// The node that it leads from.
    pub from: GroupValue,
    /// The one that it leads to; `None` where the history ended.
    #[cfg_attr(feature = "openapi", schema(value_type = GroupValue))]
    pub to: Option<GroupValue>,
    /// How many went along it.
    pub count: u64,
    /// How long that took, over every path that has it; `None` where the history ended.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub mean_seconds: Option<f64>,
}

/// A whole path.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TravelledPath {
    /// Its nodes, the anchor first.
    pub nodes: Vec<GroupValue>,
    /// How many went it.
    pub count: u64,
}

/// What the limit left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PathsLeftOut {
    /// How many edges, over all positions.
    pub edges: u64,
    /// How many different paths.
    pub paths: u64,
}

/// The answer of [`Paths`](super::Paths); prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PathsResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// How many units have a path, or how many paths there are.
    pub count: u64,
    /// By position, at each of them the most counted first.
    pub edges: Vec<PathEdge>,
    /// The most travelled first.
    pub paths: Vec<TravelledPath>,
    /// What the limit left out.
    pub left_out: PathsLeftOut,
}

impl PathsResult {
    /// Flat rows, one for each edge.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let headings = ["position", "from", "to", "count", "mean_seconds"].map(str::to_owned);
        let row = |edge: &PathEdge| {
            vec![json!(edge.position), json!(edge.from), json!(edge.to), json!(edge.count), json!(edge.mean_seconds)]
        };
        (headings.to_vec(), self.edges.iter().map(row).collect())
    }
}

/// A node as a text.
fn text(node: &GroupValue) -> String {
    GroupLabel::cells(Some(&GroupLabel::Values(vec![node.clone()])), 1).pop().unwrap_or_default()
}

impl fmt::Display for PathsResult {
    /// The edges, and the most travelled paths.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut listing = Listing::new(["position", "from", "to", "count", "mean time"]);
        for edge in &self.edges {
            listing.row(vec![
                edge.position.to_string(),
                text(&edge.from),
                edge.to.as_ref().map_or_else(|| "(end)".to_owned(), text),
                edge.count.to_string(),
                human_seconds(edge.mean_seconds),
            ]);
        }
        write!(f, "{listing}")?;
        let mut listing = Listing::new(["path", "count"]);
        for path in &self.paths {
            let nodes: Vec<String> = path.nodes.iter().map(text).collect();
            listing.row(vec![nodes.join(" > "), path.count.to_string()]);
        }
        write!(f, "\n{listing}")?;
        match self.left_out {
            PathsLeftOut { edges: 0, paths: 0 } => Ok(()),
            PathsLeftOut { edges, paths } => writeln!(f, "\nnot shown: {edges} edges, {paths} paths"),
        }
    }
}
