//! What the place that is written to can show.

use std::io::IsTerminal;

use clap::ValueEnum;

/// When to write colours; `Auto` is on a terminal, unless NO_COLOR is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

const WIDTH_WITHOUT_TERMINAL: usize = 100;
const WIDTH_LEAST: usize = 20;

/// What the place that is written to can show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Colours are written.
    pub(crate) color: bool,
    /// It is a terminal, where a chart may take the place of a long table.
    pub(crate) terminal: bool,
    /// Columns of text.
    pub(crate) width: usize,
}

impl Style {
    /// That of standard output.
    pub(crate) fn of_stdout(choice: ColorChoice) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let able = terminal && std::env::var("TERM").is_ok_and(|term| term != "dumb");
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let color = match choice {
            ColorChoice::Auto => able && wanted,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        // Some terminals do not know their size and say 0.
        let width = comfy_table::Table::new().width().map(usize::from).filter(|width| *width >= WIDTH_LEAST);
        let width = width.unwrap_or(WIDTH_WITHOUT_TERMINAL);
        Self { color, terminal, width }
    }

    /// That of a file.
    pub(crate) const fn plain() -> Self {
        Self { color: false, terminal: false, width: WIDTH_WITHOUT_TERMINAL }
    }
}
