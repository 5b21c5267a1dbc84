//! `pugmark group`: what is known of groups, such as companies.

use clap::Subcommand;
use pugmark::Group;
use serde_json::{Map, Value, json};

use super::open_existing;
use super::person::list;
use crate::args::StoreDir;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::render::ColorChoice;

/// Sets and shows the profiles of groups, such as companies: a group is a value of a property of events
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark group set shop company acme plan=pro seats=20\n  pugmark group set shop company acme trial=\n  \
    pugmark group show shop company acme\n  pugmark group list shop company\n  \
    pugmark trend shop purchase --measure uniques --unit group:company --filter \"group_profile('company', 'plan') = 'pro'\"\n\n\
    Lines of an import set traits of many groups at once:\n  \
    {\"type\":\"group\",\"group\":\"company\",\"id\":\"acme\",\"traits\":{\"plan\":\"pro\"},\"unset\":[\"trial\"]}"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Sets traits of a group, and takes away those without a value
    Set {
        #[command(flatten)]
        about: About,
        /// Traits; a value that is a number, true, false, a list or an object in JSON is that, any other is text
        #[arg(value_name = "TRAIT=VALUE", required = true)]
        traits: Vec<String>,
    },
    /// Shows what is known of a group
    Show {
        #[command(flatten)]
        about: About,
        #[command(flatten)]
        output: Output,
    },
    /// Lists the groups of a property that have a profile
    List {
        #[command(flatten)]
        store: StoreDir,
        /// The property whose values are groups
        #[arg(value_name = "PROPERTY")]
        property: String,
        #[command(flatten)]
        output: Output,
    },
}

/// One group.
#[derive(Debug, clap::Args)]
struct About {
    #[command(flatten)]
    store: StoreDir,
    /// The property whose values are groups
    #[arg(value_name = "PROPERTY")]
    property: String,
    /// The value: which group
    #[arg(value_name = "VALUE")]
    id: String,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    match &args.action {
        Action::Set { about: About { store, property, id }, traits } => {
            let traits = traits.iter().map(|one| named(one)).collect::<Result<Map<String, Value>>>()?;
            let db = open_existing(&store.dir)?;
            db.set_group(property, id, &traits)?;
            Ok(db.close()?)
        }
        Action::Show { about: About { store, property, id }, output } => {
            output.check()?;
            let db = open_existing(&store.dir)?;
            let group = db.group(property, id, None)?;
            let Some(group) = group else {
                return Err(Failure::Usage(format!("no profile of \"{id}\" is set among groups of \"{property}\"")));
            };
            show(&[group], output, color)?;
            Ok(db.close()?)
        }
        Action::List { store, property, output } => {
            output.check()?;
            let db = open_existing(&store.dir)?;
            show(&db.groups(property, None)?, output, color)?;
            Ok(db.close()?)
        }
    }
}

fn named(text: &str) -> Result<(String, Value)> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(Failure::Usage(format!("\"{text}\" is not TRAIT=VALUE")));
    };
    let value = match value {
        "" => Value::Null,
        value => match serde_json::from_str(value) {
            Ok(Value::String(_) | Value::Null) | Err(_) => value.into(),
            Ok(other) => other,
        },
    };
    Ok((name.to_owned(), value))
}

fn show(groups: &[Group], output: &Output, color: ColorChoice) -> Result {
    let told = |group: &Group| {
        let Group { id, traits, changes, first_changed, last_changed, .. } = group;
        json!({"id": id, "traits": Value::Object(traits.clone()).to_string(), "changes": changes,
            "first_changed": first_changed.to_string(), "last_changed": last_changed.to_string()})
    };
    let headings = ["id", "traits", "changes", "first_changed", "last_changed"];
    list(&groups.iter().map(told).collect(), headings, output, color)
}
