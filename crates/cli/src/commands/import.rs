//! `pugmark import`: from a file, or standard input, into a store.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use pugmark::enrich::{Enricher, KeepAddress, Places, Site, Sites, device::Devices};
use pugmark::{Import, ImportFormat, Mapping, Options, Progress, Pugmark, Source, Summary};

use super::rejects::Rejects;
use crate::failure::{Failure, Result};
use crate::output::outside_of_stores;
use crate::render::{count, many, rate, seconds};

/// Reads events from a file into a store, which is made if need be
///
/// NDJSON, CSV or Parquet; plain, gzip or zstd. Fields that are no field of an event become properties. Importing a
/// file twice adds nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pugmark import shop events.ndjson.gz
  pugmark import shop orders.csv --map distinct_id=customer_id,timestamp=date --event purchase
  zcat events.gz | pugmark import shop -
  pugmark import shop events.ndjson --enrich device,source --own-host shop.example

A line of NDJSON is an event,
  {\"event\":\"purchase\",\"distinct_id\":\"user-42\",\"timestamp\":\"2025-01-01T10:00:00Z\",\"properties\":{\"amount\":19.9}}
or says who is who:
  {\"type\":\"identify\",\"anonymous_id\":\"anon-7\",\"user_id\":\"user-42\"}
  {\"type\":\"alias\",\"id\":\"old\",\"to\":\"new\"}

Lines that are no event go to FILE.rejects.ndjson, with line number and reason; the exit code is 0 all the same, and 1
with --strict.")]
pub(crate) struct Args {
    /// The store's directory, made if it is not there
    dir: PathBuf,
    /// The file; - is standard input
    file: PathBuf,
    /// Which field of the file is which field of an event: message_id=event_id,timestamp=ts
    #[arg(long, value_name = "FIELD=SOURCE,…", default_value = "", hide_default_value = true)]
    map: String,
    /// The name of events whose line or row has none
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// The form of the file; by default told by its name and its first bytes
    #[arg(long, value_enum, default_value = "auto")]
    format: FileFormat,
    /// Where lines go that are not taken; by default FILE.rejects.ndjson
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Exit with 1 if a line was not taken or a link refused
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    enrich: Enrich,
}

/// What is added to events of what their context says of their sender
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Enriching")]
struct Enrich {
    /// Add properties by the context of each event: device (browser, os, device_type, from userAgent and hints) and source (traffic_class,
    /// traffic_source, utm_*, from page.url, page.referrer and campaign)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    enrich: Vec<Part>,
    /// A host of one's own: who comes from there comes from nowhere else
    #[arg(long, value_name = "HOST", requires = "enrich")]
    own_host: Vec<String>,
    /// Add the property site by the headers origin, referer and host of the context; *.HOST takes in all below it
    #[arg(long, value_name = "NAME=HOST")]
    site: Vec<String>,
    /// Add country, region and city by the ip of the context, from a database in MaxMind's format
    #[arg(long, value_name = "FILE.mmdb")]
    places: Option<PathBuf>,
    /// What is kept of the ip of the context: no, network or whole; no by default where something is added
    #[arg(long, value_enum, value_name = "HOW MUCH")]
    keep_address: Option<Keep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Device,
    Source,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Keep {
    No,
    Network,
    Whole,
}

impl Enrich {
    /// Nothing where nothing is asked for.
    fn enricher(&self) -> Result<Option<Enricher>> {
        if self.enrich.is_empty() && self.site.is_empty() && self.places.is_none() && self.keep_address.is_none() {
            return Ok(None);
        }
        if !self.own_host.is_empty() && !self.enrich.contains(&Part::Source) {
            return Err(Failure::Usage("--own-host belongs to --enrich source".to_owned()));
        }
        let mut enricher = Enricher::new();
        if self.enrich.contains(&Part::Device) {
            enricher = enricher.devices(Devices::new());
        }
        if self.enrich.contains(&Part::Source) {
            enricher = enricher.sources(&self.own_host);
        }
        if !self.site.is_empty() {
            let site = |named: &String| match named.split_once('=') {
                Some((name, host)) if !name.is_empty() && !host.is_empty() => Ok(Site::new(name, host)),
                _ => Err(Failure::Usage(format!("--site: \"{named}\" is not NAME=HOST"))),
            };
            enricher = enricher.sites(Sites::new(self.site.iter().map(site).collect::<Result<Vec<Site>>>()?));
        }
        if let Some(path) = &self.places {
            let places = Places::open(path).map_err(|error| Failure::Usage(format!("--places: {error}")))?;
            enricher = enricher.places(places);
        }
        let keep = match self.keep_address {
            None | Some(Keep::No) => KeepAddress::No,
            Some(Keep::Network) => KeepAddress::Network,
            Some(Keep::Whole) => KeepAddress::Whole,
        };
        Ok(Some(enricher.keep_address(keep)))
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FileFormat {
    Auto,
    Ndjson,
    Csv,
    Parquet,
}

pub(crate) fn run(args: &Args) -> Result {
    let mapping: Mapping = args.map.parse()?;
    let format = match args.format {
        FileFormat::Auto => ImportFormat::Auto,
        FileFormat::Ndjson => ImportFormat::Ndjson,
        FileFormat::Csv => ImportFormat::Csv,
        FileFormat::Parquet => ImportFormat::Parquet,
    };
    let parsers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let enricher = args.enrich.enricher()?;
    // The input first: a mistyped file name must not leave a new store behind.
    if let Some(path) = &args.rejects {
        outside_of_stores(path)?;
        let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
        if same(path, &args.file) {
            return Err(Failure::Usage(
                "--rejects names the file that is imported, which it would overwrite".to_owned(),
            ));
        }
    }
    let source = Source::open(&args.file)?;
    let name = source.name().to_owned();
    let db = Pugmark::open_with(&args.dir, Options::default())?;
    let prepare = enricher.map(|enricher| db.enriching(enricher));
    let import = Import { mapping, event: args.event.clone(), format, import_id: None, parsers, prepare };
    let mut rejects = Rejects::of(&args.file, args.rejects.as_deref());
    let bar = progress_bar(source.total_bytes());
    let clock = Stopwatch::start();
    let summary = db.import(&import, source, |progress| show(&bar, progress), |reject| rejects.add(&reject));
    let durable = clock.seconds();
    bar.finish_and_clear();
    let summary = match summary {
        Ok(summary) => summary,
        Err(error) => {
            // What came before the error is stored; what was not taken of it is still told.
            rejects.finish(&mut io::stderr())?;
            return Err(error.into());
        }
    };
    db.flush()?;
    let columnar = clock.seconds();
    tell(&mut io::stdout(), &name, &summary, durable, columnar)?;
    if summary.untimed > 0 {
        let untimed = many(summary.untimed, "event");
        writeln!(
            io::stderr(),
            "warning: {untimed} came without a timestamp and are of the time of this import; name the field or column that has it: --map timestamp=NAME"
        )?;
    }
    db.close()?;
    rejects.finish(&mut io::stderr())?;
    if args.strict && summary.rejected + summary.conflicts + summary.refused > 0 {
        return Err(Failure::Told);
    }
    Ok(())
}

fn tell(out: &mut impl Write, name: &str, summary: &Summary, durable: f64, columnar: f64) -> io::Result<()> {
    let entries = summary.entries();
    writeln!(out, " {}: {} read in {}", name, count(entries), seconds(Some(columnar)))?;
    let parts = [
        ("accepted", summary.accepted),
        ("duplicate", summary.duplicates),
        ("in conflict", summary.conflicts),
        ("rejected", summary.rejected),
        ("in profiles", summary.profiles),
        ("linked", summary.linked),
        ("split", summary.split),
        ("linked already", summary.already),
        ("refused", summary.refused),
    ];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(what, number)| *number > 0 || matches!(*what, "accepted" | "duplicate" | "rejected"))
        .map(|(what, number)| format!("{} {what}", count(number)))
        .collect();
    writeln!(out, " {}", told.join(", "))?;
    writeln!(
        out,
        " {} to durable, {} to durable and in columnar files",
        rate(entries, durable),
        rate(entries, columnar)
    )?;
    if summary.accepted + summary.profiles > 0 {
        writeln!(
            out,
            " as import {id}, which pugmark retract DIR --import {id} --yes would undo",
            id = summary.import_id
        )?;
    }
    Ok(())
}

struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a program may tell how long it took")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// A bar on standard error, if that is a terminal.
fn progress_bar(total: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), " {wide_bar} {percent:>3} %  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), " {spinner} {bytes}  {msg}  {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("invariant: the template is well formed"))
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_position(progress.bytes_read);
    let elapsed = bar.elapsed().as_secs_f64();
    let mut message =
        format!("{} stored, {}", count(progress.entries_settled), rate(progress.entries_settled, elapsed));
    if progress.rejected > 0 {
        message.push_str(&format!(", {} rejected", count(progress.rejected)));
    }
    bar.set_message(message);
}
