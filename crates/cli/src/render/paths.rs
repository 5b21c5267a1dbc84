//! Paths: the edges of each position with bars, and the most travelled paths.

use serde_json::Value;

use super::Style;
use super::bars::bar;
use super::grid::Grid;
use super::words::{count, items, many, node, percent, seconds};

pub(crate) fn paths(answer: &Value, style: Style) -> String {
    let all = answer["count"].as_u64().unwrap_or(0);
    let mut shown = String::new();
    if all == 0 {
        shown.push_str(" no paths\n");
        return shown;
    }
    shown.push_str(&format!("{}\n{}", flow(answer, all, style), travelled(answer, all, style)));
    let left_out = |part: &str| answer["left_out"][part].as_u64().unwrap_or(0);
    if (left_out("edges"), left_out("paths")) != (0, 0) {
        let (edges, paths) = (many(left_out("edges"), "edge"), many(left_out("paths"), "path"));
        shown.push_str(&format!("\n not shown: {edges} and {paths}, beyond the limit\n"));
    }
    shown
}

fn number(of: &Value) -> u64 {
    of["count"].as_u64().unwrap_or(0)
}

fn share(of: u64, all: u64) -> String {
    percent((all > 0).then(|| of as f64 / all as f64))
}

/// The position stands at its first edge only.
fn flow(answer: &Value, all: u64, style: Style) -> Grid {
    let room = style.width.saturating_sub(70).clamp(10, 40);
    let headings = ["", "from", "to", "count", "of all", "mean time", ""];
    let mut grid = Grid::new(style, headings).left(0).left(1).left(2).left(6);
    let mut last = None;
    for edge in items(&answer["edges"]) {
        let position = edge["position"].as_u64();
        let own = if last == position { String::new() } else { position.map_or_else(String::new, count) };
        last = position;
        grid.row([
            own,
            node(&edge["from"]),
            node(&edge["to"]),
            count(number(edge)),
            share(number(edge), all),
            seconds(edge["mean_seconds"].as_f64()),
            bar(number(edge) as f64, all as f64, room),
        ]);
    }
    grid
}

fn travelled(answer: &Value, all: u64, style: Style) -> Grid {
    let mut grid = Grid::new(style, ["path", "count", "of all", ""]).left(0).left(3);
    for path in items(&answer["paths"]) {
        let nodes: Vec<String> = items(&path["nodes"]).iter().map(node).collect();
        let own = number(path);
        grid.row([nodes.join(" → "), count(own), share(own, all), bar(own as f64, all as f64, 20)]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn edges_are_by_position_and_the_most_travelled_paths_below() {
        let answer = json!({"count": 4, "edges": [
                {"position": 1, "from": "signup", "to": "view", "count": 3, "mean_seconds": 90.0},
                {"position": 1, "from": "signup", "to": null, "count": 1, "mean_seconds": null},
                {"position": 2, "from": "view", "to": null, "count": 3, "mean_seconds": null}],
            "paths": [{"nodes": ["signup", "view"], "count": 3}, {"nodes": ["signup"], "count": 1}],
            "left_out": {"edges": 1, "paths": 0}});
        let shown = paths(&answer, Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[2].trim_end(),
            " 1  signup  view       3  75.0 %    1.5 min  ██████████████████████▌",
            "{shown}"
        );
        assert_eq!(lines[3].trim_end(), "    signup  (end)      1  25.0 %          -  ███████▌", "{shown}");
        assert_eq!(
            lines[4].trim_end(),
            " 2  view    (end)      3  75.0 %          -  ██████████████████████▌",
            "{shown}"
        );
        assert_eq!(lines[8].trim_end(), " signup → view      3  75.0 %  ███████████████", "{shown}");
        assert!(shown.ends_with("not shown: 1 edge and 0 paths, beyond the limit\n"), "{shown}");
    }

    #[test]
    fn nobody_has_no_flow() {
        assert_eq!(paths(&json!({"count": 0, "edges": [], "paths": []}), Style::plain()), " no paths\n");
    }
}
