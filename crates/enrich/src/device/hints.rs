//! What browsers say of themselves in headers of their own: <https://wicg.github.io/ua-client-hints/>.

use std::sync::Arc;

use super::{Device, DeviceType};

/// The headers, as they were sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// `Sec-CH-UA-Full-Version-List`, or `Sec-CH-UA`: a list such as `"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"`.
    pub brands: Option<&'a str>,
    /// `Sec-CH-UA-Mobile`: `?1` or `?0`.
    pub mobile: Option<&'a str>,
    /// `Sec-CH-UA-Platform`, such as `"Windows"`.
    pub platform: Option<&'a str>,
    /// `Sec-CH-UA-Platform-Version`, such as `"15.0.0"`.
    pub platform_version: Option<&'a str>,
    /// `Sec-CH-UA-Model`, such as `"Pixel 9"`.
    pub model: Option<&'a str>,
}

/// Names of brands, and the families that they are.
const BRANDS: &[(&str, &str)] = &[
    ("Google Chrome", "Chrome"),
    ("Microsoft Edge", "Edge"),
    ("Opera", "Opera"),
    ("OperaMobile", "Opera Mobile"),
    ("Opera GX", "Opera GX"),
    ("Brave", "Brave"),
    ("Vivaldi", "Vivaldi"),
    ("YaBrowser", "Yandex Browser"),
    ("Yandex", "Yandex Browser"),
    ("Samsung Internet", "Samsung Internet"),
    ("DuckDuckGo", "DuckDuckGo"),
    ("Android WebView", "Chrome Mobile WebView"),
    ("HeadlessChrome", "HeadlessChrome"),
];

/// What any browser of the kind names beside itself.
const ENGINE: &str = "Chromium";

impl Hints<'_> {
    /// Puts what the hints say in the place of what the user agent said.
    pub(super) fn apply(&self, device: &mut Device) {
        if let Some((name, version)) = self.brands.and_then(brand) {
            let is_mobile = device.browser.as_deref().is_some_and(|own| own.contains("Mobile")) && name == "Chrome";
            let name = if is_mobile { "Chrome Mobile" } else { name };
            if device.browser.as_deref() != Some(name) {
                device.browser = Some(name.into());
                device.browser_version = None;
            }
            // A list of major versions says less than a user agent that was not cut.
            let says_more = |own: &Arc<str>| own.starts_with(version) && own.len() > version.len();
            if !version.is_empty() && !device.browser_version.as_ref().is_some_and(says_more) {
                device.browser_version = Some(three(version));
            }
        }
        if let Some(platform) =
            self.platform.map(unquoted).filter(|platform| !platform.is_empty() && *platform != "Unknown")
        {
            let os = match platform {
                "macOS" => "Mac OS X",
                "Chrome OS" | "Chromium OS" => "Chrome OS",
                other => other,
            };
            if device.os.as_deref() != Some(os) {
                device.os = Some(os.into());
                device.os_version = None;
            }
            let version = self.platform_version.map(unquoted).filter(|version| !version.is_empty());
            if let Some(version) = version {
                device.os_version = match os {
                    "Windows" => windows(version).map(Arc::from),
                    _ => Some(three(version)),
                };
            }
            if matches!(os, "Windows" | "Mac OS X" | "Linux" | "Chrome OS") && device.kind.is_none() {
                device.kind = Some(DeviceType::Desktop);
            }
        }
        if let Some(model) = self.model.map(unquoted).filter(|model| !model.is_empty()) {
            device.model = Some(model.into());
        }
        match (self.mobile.map(str::trim), device.kind) {
            (Some("?1"), None | Some(DeviceType::Desktop | DeviceType::Tablet)) => {
                device.kind = Some(DeviceType::Mobile)
            }
            // What runs Android and is no telephone is a tablet, unless it is a television.
            (Some("?0"), None | Some(DeviceType::Mobile)) if device.os.as_deref() == Some("Android") => {
                device.kind = Some(DeviceType::Tablet);
            }
            _ => {}
        }
    }
}

/// The brand that is not the engine and not grease, and its version.
fn brand(list: &str) -> Option<(&str, &str)> {
    let entries = entries(list);
    let known = entries.iter().find_map(|(name, version)| {
        let (_, family) = BRANDS.iter().find(|(brand, _)| brand == name)?;
        Some((*family, *version))
    });
    // Any other browser names itself, too; an invented name says that it is no brand.
    let is_grease = |name: &str| name.replace(|c: char| !c.is_ascii_alphabetic(), "").eq_ignore_ascii_case("notabrand");
    let is_brand = |name: &str| name != ENGINE && !is_grease(name) && !name.trim().is_empty();
    let named = || entries.iter().find(|(name, _)| is_brand(name)).copied();
    known.or_else(named).or_else(|| entries.iter().find(|(name, _)| *name == ENGINE).copied())
}

/// Names and versions of a list; what is not written as one ends it.
fn entries(list: &str) -> Vec<(&str, &str)> {
    let mut entries = Vec::new();
    let mut rest = list;
    while let Some((name, after)) = quoted(rest)
        && let Some((version, after)) = after.trim_start().strip_prefix(";v=").and_then(quoted)
    {
        entries.push((name, version));
        rest = after.trim_start().strip_prefix(',').unwrap_or_default();
    }
    entries
}

/// What stands between quotes at the beginning, and what comes after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    text.trim_start().strip_prefix('"')?.split_once('"')
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"')
}

/// Up to three numbers of a version.
fn three(version: &str) -> Arc<str> {
    let end = version.match_indices('.').nth(2).map_or(version.len(), |(at, _)| at);
    version[..end].into()
}

/// The name that people know: <https://learn.microsoft.com/en-us/microsoft-edge/web-platform/how-to-detect-win11>.
fn windows(version: &str) -> Option<&'static str> {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    match (parts.next()??, parts.next().flatten().unwrap_or(0)) {
        (13.., _) => Some("11"),
        (1..=12, _) => Some("10"),
        (0, 3) => Some("8.1"),
        (0, 2) => Some("8"),
        (0, 1) => Some("7"),
        _ => None,
    }
}
