//! The rules of uap-core, compiled.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use ua_parser::device::{Flag, Parser as DeviceRule};
use ua_parser::os::Parser as SystemRule;
use ua_parser::user_agent::Parser as BrowserRule;
use ua_parser::{Extractor, Regexes};

use super::Device;

/// Made by `data/update.py`.
const DATA: &str = include_str!("../../data/user_agents.json");

/// The name that the rules give to what they do not know.
const OTHER: &str = "Other";

#[derive(Deserialize)]
struct Data {
    browsers: Vec<Vec<Option<String>>>,
    systems: Vec<Vec<Option<String>>>,
    devices: Vec<DeviceData>,
}

#[derive(Deserialize)]
struct DeviceData(
    String,
    bool,
    #[serde(default)] Option<String>,
    #[serde(default)] Option<String>,
    #[serde(default)] Option<String>,
);

/// The rules, ready to be applied.
pub(super) struct Rules(Extractor<'static>);

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let made = Rules::read(DATA);
    made.expect("invariant: the rules in the crate can be read, as a test does")
});

impl Rules {
    pub(super) fn get() -> &'static Self {
        &RULES
    }

    fn read(data: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let data: Data = serde_json::from_str(data)?;
        let fields = |rule: Vec<Option<String>>| {
            let mut fields = rule.into_iter().map(|field| field.map(Into::into));
            std::array::from_fn::<_, 6, _>(|_| fields.next().flatten())
        };
        let browsers = data.browsers.into_iter().map(|rule| {
            let [regex, family_replacement, v1_replacement, v2_replacement, v3_replacement, v4_replacement] =
                fields(rule);
            let regex = regex.unwrap_or_default();
            BrowserRule { regex, family_replacement, v1_replacement, v2_replacement, v3_replacement, v4_replacement }
        });
        let systems = data.systems.into_iter().map(|rule| {
            let [regex, os_replacement, v1, v2, v3, v4] = fields(rule);
            SystemRule {
                regex: regex.unwrap_or_default(),
                os_replacement,
                os_v1_replacement: v1,
                os_v2_replacement: v2,
                os_v3_replacement: v3,
                os_v4_replacement: v4,
            }
        });
        let devices =
            data.devices.into_iter().map(|DeviceData(regex, ignores_case, device, brand, model)| DeviceRule {
                regex: regex.into(),
                regex_flag: ignores_case.then_some(Flag::IgnoreCase),
                device_replacement: device.map(Into::into),
                brand_replacement: brand.map(Into::into),
                model_replacement: model.map(Into::into),
            });
        let rules = Regexes {
            user_agent_parsers: browsers.collect(),
            os_parsers: systems.collect(),
            device_parsers: devices.collect(),
        };
        Ok(Self(Extractor::try_from(rules)?))
    }

    /// What the rules say.
    pub(super) fn apply(&self, user_agent: &str) -> Device {
        let (browser, system, device) = self.0.extract(user_agent);
        let named = |name: &str| Some(name.trim()).filter(|name| !name.is_empty() && *name != OTHER).map(Arc::from);
        let mut found = Device::default();
        if let Some(browser) = browser {
            found.browser = named(&browser.family);
            found.browser_version = version([browser.major, browser.minor, browser.patch]);
        }
        if let Some(system) = system {
            found.os = named(&system.os);
            found.os_version = version([system.major.as_deref(), system.minor.as_deref(), system.patch.as_deref()]);
        }
        if let Some(device) = device {
            found.brand = device.brand.as_deref().and_then(named);
            found.model = device.model.as_deref().and_then(named);
        }
        found
    }
}

fn version(parts: [Option<&str>; 3]) -> Option<Arc<str>> {
    let parts: Vec<&str> = parts.into_iter().map_while(|part| part.filter(|part| !part.is_empty())).collect();
    (!parts.is_empty()).then(|| parts.join(".").into())
}
