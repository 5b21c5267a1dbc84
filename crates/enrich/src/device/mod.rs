//! What an event was sent with: browser, system, kind of device, and whether anybody sits before it.
//!
//! The rules for user agents are those of [uap-core](https://github.com/ua-parser/uap-core), under the Apache License 2.0; `data/update.py` makes them of a newer
//! version. What kind of device it is, and what is a bot, is decided here: the rules do not say.

mod hints;
mod kind;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::Cache;

pub use hints::Hints;
use rules::Rules;

/// How many different user agents are remembered by default.
const REMEMBERED: usize = 10_000;
/// A user agent is looked at up to here: no browser has one as long.
const LONGEST_BYTES: usize = 1_024;

/// The kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceType {
    /// A computer, a notebook.
    Desktop,
    /// A telephone.
    Mobile,
    /// A tablet, a reader.
    Tablet,
    /// A television, what is plugged into one, or a console.
    Tv,
    /// Nobody: a program.
    Bot,
}

impl DeviceType {
    /// The word that stands for it in a property.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Bot => "bot",
        }
    }
}

impl fmt::Display for DeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of program it is, where nobody sits before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BotKind {
    /// A search engine that reads the web.
    Search,
    /// A network that makes a preview of a link.
    Social,
    /// What is read for a language model, or on behalf of somebody who asks one.
    Ai,
    /// A monitor or an audit, of speed, uptime or links.
    Monitor,
    /// A browser that a program drives, without a window.
    Headless,
    /// A library or a tool of the command line.
    Library,
    /// Any other.
    Other,
}

impl BotKind {
    /// The word that stands for it in a property.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Social => "social",
            Self::Ai => "ai",
            Self::Monitor => "monitor",
            Self::Headless => "headless",
            Self::Library => "library",
            Self::Other => "other",
        }
    }
}

/// A screen or a window, in pixels of CSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Screen {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
    /// `navigator.maxTouchPoints`, where it is known.
    pub touch_points: Option<u32>,
}

/// What a sender says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Agent<'a> {
    /// The header `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The headers that came with it.
    pub hints: Hints<'a>,
    /// The screen, or the window where only that is known.
    pub screen: Option<Screen>,
}

/// What an event was sent with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// The family of the browser, such as `Firefox` or `Mobile Safari`; of a bot its name.
    pub browser: Option<Arc<str>>,
    /// Its version, up to three numbers.
    pub browser_version: Option<Arc<str>>,
    /// The family of the system, such as `Windows` or `iOS`.
    pub os: Option<Arc<str>>,
    /// Its version, up to three numbers.
    pub os_version: Option<Arc<str>>,
    /// The kind of device.
    pub kind: Option<DeviceType>,
    /// Who made it.
    pub brand: Option<Arc<str>>,
    /// Which one it is.
    pub model: Option<Arc<str>>,
    /// What kind of program it is, where nobody sits before it.
    pub bot: Option<BotKind>,
}

impl Device {
    /// Name and value of everything that is known, as properties of an event.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("browser", self.browser.as_deref()),
            ("browser_version", self.browser_version.as_deref()),
            ("os", self.os.as_deref()),
            ("os_version", self.os_version.as_deref()),
            ("device_type", self.kind.map(DeviceType::as_str)),
            ("device_brand", self.brand.as_deref()),
            ("device_model", self.model.as_deref()),
            ("bot", self.bot.map(BotKind::as_str)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Tells devices by what they say of themselves.
///
/// The rules are compiled once in a program, which takes some tenths of a second; what a user agent says is found once and remembered, as most events come from few different ones.
///
/// ```
/// use pugmark_enrich::device::{Agent, DeviceType, Devices, Screen};
///
/// let devices = Devices::new();
/// let of = |user_agent| devices.of(&Agent { user_agent: Some(user_agent), ..Agent::default() });
/// let phone = of("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36");
/// let said: Vec<_> = phone.properties().collect();
/// assert_eq!(said[..2], [("browser", "Chrome Mobile"), ("browser_version", "142.0.0")]);
/// assert_eq!((phone.os.as_deref(), phone.kind), (Some("Android"), Some(DeviceType::Mobile)));
///
/// // Safari on a tablet says that it is on a Mac; its screen does not.
/// let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15";
/// let screen = Some(Screen { width: 820, height: 1180, touch_points: Some(5) });
/// let tablet = devices.of(&Agent { user_agent: Some(mac), screen, ..Agent::default() });
/// assert_eq!((of(mac).kind, tablet.kind), (Some(DeviceType::Desktop), Some(DeviceType::Tablet)));
/// ```
#[derive(Debug)]
pub struct Devices {
    remembered: Cache<Box<str>, Device>,
}

impl Default for Devices {
    fn default() -> Self {
        Self::new()
    }
}

impl Devices {
    /// One that remembers the 10,000 user agents that it saw last, about.
    pub fn new() -> Self {
        Self::remembering(REMEMBERED)
    }

    /// One that remembers so many user agents, about.
    pub fn remembering(agents: usize) -> Self {
        Rules::get();
        Self { remembered: Cache::new(agents.max(1)) }
    }

    /// What an event was sent with, as far as the sender says. Hints go before the user agent, which says less and less; a screen tells a tablet from a telephone or a computer.
    pub fn of(&self, agent: &Agent<'_>) -> Device {
        let user_agent = agent.user_agent.map(shortened).unwrap_or_default();
        let mut device = match self.remembered.get(user_agent) {
            Some(known) => known,
            None => {
                let device = by_user_agent(user_agent);
                self.remembered.insert(user_agent.into(), device.clone());
                device
            }
        };
        if device.bot.is_none() {
            agent.hints.apply(&mut device);
            if let Some(screen) = agent.screen {
                kind::by_screen(&mut device, screen);
            }
        }
        device
    }
}

/// Cut at a character.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_BYTES)]
}

fn by_user_agent(user_agent: &str) -> Device {
    if user_agent.trim().is_empty() {
        return Device::default();
    }
    let mut device = Rules::get().apply(user_agent);
    let is_spider = device.brand.as_deref() == Some("Spider");
    device.bot = kind::bot(user_agent, device.browser.as_deref().unwrap_or_default(), is_spider);
    if device.bot.is_some() {
        device.kind = Some(DeviceType::Bot);
        (device.brand, device.model) = (None, None);
    } else {
        device.kind = kind::by_user_agent(user_agent, device.os.as_deref().unwrap_or_default());
    }
    device
}
