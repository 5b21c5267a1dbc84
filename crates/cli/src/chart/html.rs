//! A page of one file with a chart in it.

use super::theme::grounds;

/// A page that shows an SVG and nothing else.
pub(super) fn page(svg: &str, kind: &str) -> String {
    let [light, dark] = grounds();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
        <title>pugmark: {kind}</title>\n<style>\n:root{{color-scheme:light dark}}\nbody{{margin:0;background:{light}}}\n\
        svg{{display:block;margin:0 auto;max-width:100%;height:auto}}\n\
        @media(prefers-color-scheme:dark){{body{{background:{dark}}}}}\n</style>\n</head>\n<body>\n{svg}</body>\n</html>\n"
    )
}
