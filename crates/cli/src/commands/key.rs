//! `pugmark key`: who may call a server.

use std::io::{self, Write};
use std::path::PathBuf;

use pugmark::{ErrorKind, Timestamp};
use pugmark_server::{Control, Grant, KeyId, ProjectName, Scope};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::output::{Format, Output, to_batch};
use crate::render::{ColorChoice, Grid};

/// Makes, lists and revokes the keys of a server, while none runs
///
/// While a server runs, the key of an admin does the same over HTTP: `POST /v1/keys`, `GET /v1/keys`, `DELETE /v1/keys/ID`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Makes a key and shows it, once: only its hash is kept
    #[command(
        after_help = "Examples:\n  pugmark key create stores --project shop --scope write\n  pugmark key create stores --project shop --scope write --origin https://shop.example\n  pugmark key create stores --scope admin"
    )]
    Create(Create),
    /// Lists the keys, without their secrets
    List {
        /// The directory that is served
        #[arg(value_name = "DIR")]
        root: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Revokes a key, for good
    Revoke {
        /// The directory that is served
        #[arg(value_name = "DIR")]
        root: PathBuf,
        /// Its id, as the list shows it
        id: KeyId,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The directory that is served
    #[arg(value_name = "DIR")]
    root: PathBuf,
    /// The project that it is for, as PROJECT or PROJECT/ENVIRONMENT; all of them without it, for an admin's
    #[arg(long)]
    project: Option<ProjectName>,
    /// What it may do: write, read or admin
    #[arg(long)]
    scope: Scope,
    /// An origin whose pages may use it, such as https://shop.example; * is all
    #[arg(long)]
    origin: Vec<String>,
    /// What it is for
    #[arg(long)]
    note: Option<String>,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    match &args.what {
        What::Create(create) => {
            let control = open(&create.root)?;
            let Create { project, scope, origin, note, .. } = create;
            let grant = Grant { project: project.clone(), scope: *scope, origins: origin.clone(), note: note.clone() };
            let secret = control.create(grant, None)?;
            writeln!(io::stdout(), "{}", secret.as_str())?;
            Ok(control.close()?)
        }
        What::List { root, output } => {
            output.check()?;
            let control = open(root)?;
            list(&control, output, color)?;
            Ok(control.close()?)
        }
        What::Revoke { root, id } => {
            let control = open(root)?;
            if !control.revoke(id, None)? {
                return Err(Failure::Usage(format!("there is no key {id} that stands")));
            }
            writeln!(io::stdout(), " {id} is revoked")?;
            Ok(control.close()?)
        }
    }
}

fn open(root: &std::path::Path) -> Result<Control> {
    Control::open(root).map_err(|error| match error.kind() {
        ErrorKind::Locked => {
            anyhow::anyhow!("a server runs on {}: use /v1/keys of it, with the key of an admin", root.display()).into()
        }
        _ => error.into(),
    })
}

const HEADINGS: [&str; 8] = ["id", "scope", "project", "origins", "note", "created", "last used", "revoked"];

fn list(control: &Control, output: &Output, color: ColorChoice) -> Result {
    let at = |us: i64| Timestamp::from_microsecond(us).to_string();
    let rows: Vec<Vec<Value>> = control
        .keys()
        .iter()
        .map(|key| {
            vec![
                json!(key.id.as_str()),
                json!(key.grant.scope.as_str()),
                json!(key.grant.project.as_ref().map_or("all".to_owned(), ToString::to_string)),
                json!(key.grant.origins.join(" ")),
                json!(key.grant.note.as_deref().unwrap_or_default()),
                json!(at(key.created_us)),
                json!(key.used_us.map(at).unwrap_or_default()),
                json!(key.revoked_us.map(at).unwrap_or_default()),
            ]
        })
        .collect();
    if output.format != Format::Table {
        return output.write_batches(&[to_batch(&HEADINGS.map(str::to_owned), &rows)?]);
    }
    output.write(|out| {
        let mut grid = (0..HEADINGS.len()).fold(Grid::new(output.style(color), HEADINGS), Grid::left);
        for row in &rows {
            grid.row(row.iter().map(|value| value.as_str().unwrap_or_default().to_owned()));
        }
        Ok(write!(out, "{grid}")?)
    })
}
