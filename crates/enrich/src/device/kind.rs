//! Which kind of device it is, and who is nobody.

use super::{BotKind, Device, DeviceType, Screen};

/// Parts of user agents by which bots are known, in lower case; the first that is found says which kind it is.
const BOTS: &[(&str, BotKind)] = &[
    // Read for, or asked by, language models.
    ("gptbot", BotKind::Ai),
    ("chatgpt-user", BotKind::Ai),
    ("oai-searchbot", BotKind::Ai),
    ("claudebot", BotKind::Ai),
    ("claude-user", BotKind::Ai),
    ("claude-searchbot", BotKind::Ai),
    ("claude-web", BotKind::Ai),
    ("anthropic-ai", BotKind::Ai),
    ("perplexity", BotKind::Ai),
    ("bytespider", BotKind::Ai),
    ("ccbot", BotKind::Ai),
    ("google-extended", BotKind::Ai),
    ("google-cloudvertexbot", BotKind::Ai),
    ("meta-externalagent", BotKind::Ai),
    ("meta-externalfetcher", BotKind::Ai),
    ("amazonbot", BotKind::Ai),
    ("cohere-ai", BotKind::Ai),
    ("mistralai-user", BotKind::Ai),
    ("diffbot", BotKind::Ai),
    ("applebot-extended", BotKind::Ai),
    ("youbot", BotKind::Ai),
    // Previews of links.
    ("facebookexternalhit", BotKind::Social),
    ("facebookcatalog", BotKind::Social),
    ("facebot", BotKind::Social),
    ("twitterbot", BotKind::Social),
    ("linkedinbot", BotKind::Social),
    ("slackbot", BotKind::Social),
    ("slack-imgproxy", BotKind::Social),
    ("discordbot", BotKind::Social),
    ("telegrambot", BotKind::Social),
    ("whatsapp/", BotKind::Social),
    ("pinterestbot", BotKind::Social),
    ("pinterest.com/bot", BotKind::Social),
    ("redditbot", BotKind::Social),
    ("tumblr/", BotKind::Social),
    ("vkshare", BotKind::Social),
    ("skypeuripreview", BotKind::Social),
    ("mastodon", BotKind::Social),
    ("embedly", BotKind::Social),
    ("iframely", BotKind::Social),
    ("snapchat url preview", BotKind::Social),
    // Monitors and audits.
    ("chrome-lighthouse", BotKind::Monitor),
    ("pagespeed", BotKind::Monitor),
    ("gtmetrix", BotKind::Monitor),
    ("pingdom", BotKind::Monitor),
    ("uptimerobot", BotKind::Monitor),
    ("statuscake", BotKind::Monitor),
    ("site24x7", BotKind::Monitor),
    ("newrelicpinger", BotKind::Monitor),
    ("datadogsynthetics", BotKind::Monitor),
    ("datadog/", BotKind::Monitor),
    ("better uptime", BotKind::Monitor),
    ("betterstack", BotKind::Monitor),
    ("ptst/", BotKind::Monitor),
    ("ahrefs", BotKind::Monitor),
    ("semrush", BotKind::Monitor),
    ("mj12bot", BotKind::Monitor),
    ("dotbot", BotKind::Monitor),
    ("rogerbot", BotKind::Monitor),
    ("screaming frog", BotKind::Monitor),
    ("dataforseo", BotKind::Monitor),
    ("barkrowler", BotKind::Monitor),
    ("checkly", BotKind::Monitor),
    ("nagios", BotKind::Monitor),
    ("check_http", BotKind::Monitor),
    ("googlestackdrivermonitoring", BotKind::Monitor),
    // Search.
    ("googlebot", BotKind::Search),
    ("google-inspectiontool", BotKind::Search),
    ("googleother", BotKind::Search),
    ("adsbot-google", BotKind::Search),
    ("mediapartners-google", BotKind::Search),
    ("apis-google", BotKind::Search),
    ("storebot-google", BotKind::Search),
    ("feedfetcher-google", BotKind::Search),
    ("bingbot", BotKind::Search),
    ("bingpreview", BotKind::Search),
    ("adidxbot", BotKind::Search),
    ("msnbot", BotKind::Search),
    ("duckduckbot", BotKind::Search),
    ("duckassistbot", BotKind::Ai),
    ("yandexbot", BotKind::Search),
    ("yandex.com/bots", BotKind::Search),
    ("baiduspider", BotKind::Search),
    ("sogou", BotKind::Search),
    ("360spider", BotKind::Search),
    ("yeti/", BotKind::Search),
    ("naverbot", BotKind::Search),
    ("seznambot", BotKind::Search),
    ("qwantbot", BotKind::Search),
    ("qwantify", BotKind::Search),
    ("petalbot", BotKind::Search),
    ("applebot", BotKind::Search),
    ("slurp", BotKind::Search),
    ("exabot", BotKind::Search),
    ("mojeekbot", BotKind::Search),
    ("coccocbot", BotKind::Search),
    ("ia_archiver", BotKind::Search),
    ("archive.org_bot", BotKind::Search),
    ("bravebot", BotKind::Search),
    ("kagibot", BotKind::Search),
    // Driven by programs.
    ("headlesschrome", BotKind::Headless),
    ("headlessedg", BotKind::Headless),
    ("phantomjs", BotKind::Headless),
    ("slimerjs", BotKind::Headless),
    ("puppeteer", BotKind::Headless),
    ("playwright", BotKind::Headless),
    ("selenium", BotKind::Headless),
    ("webdriver", BotKind::Headless),
    ("cypress/", BotKind::Headless),
    ("htmlunit", BotKind::Headless),
    ("splash ", BotKind::Headless),
    ("jsdom", BotKind::Headless),
    ("prerender", BotKind::Headless),
];

/// How the user agents of libraries and tools begin, in lower case. What phones send from within apps is not among them.
const LIBRARIES: &[&str] = &[
    "curl/",
    "wget/",
    "python-requests",
    "python-urllib",
    "python-httpx",
    "python/",
    "aiohttp",
    "scrapy",
    "go-http-client",
    "java/",
    "java-http-client",
    "apache-httpclient",
    "libwww-perl",
    "lwp::",
    "ruby",
    "faraday",
    "php/",
    "guzzlehttp",
    "symfony",
    "node-fetch",
    "node",
    "undici",
    "axios/",
    "got (",
    "got/",
    "postmanruntime",
    "insomnia/",
    "httpie",
    "reqwest",
    "ureq",
    "hyper/",
    "powershell",
    "winhttp",
    "k6/",
    "apachebench",
    "wrk",
    "vegeta",
    "jmeter",
    "nmap",
    "masscan",
    "zgrab",
    "nuclei",
    "sqlmap",
    "nikto",
];

/// Words by which bots name themselves; each must stand by itself, or at the end of a word.
const WORDS: &[&str] =
    &["bot", "crawler", "spider", "scraper", "fetcher", "archiver", "monitoring", "validator", "linkchecker"];

/// Makers and models whose names end like those of bots.
const NO_BOTS: &[&str] = &["cubot"];

/// What kind of program it is; `None` where somebody may sit before it. `is_spider` says that the rules take it for one.
pub(super) fn bot(user_agent: &str, browser: &str, is_spider: bool) -> Option<BotKind> {
    let text = user_agent.to_ascii_lowercase();
    let known = BOTS.iter().find(|(part, _)| text.contains(part)).map(|(_, kind)| *kind);
    let library = || LIBRARIES.iter().any(|begin| text.starts_with(begin)).then_some(BotKind::Library);
    let headless = || browser.starts_with("Headless").then_some(BotKind::Headless);
    let other = || (is_spider || names_itself(&text)).then_some(BotKind::Other);
    known.or_else(library).or_else(headless).or_else(other)
}

fn names_itself(text: &str) -> bool {
    WORDS.iter().any(|word| {
        text.match_indices(word).any(|(at, _)| {
            let after = text[at + word.len()..].chars().next();
            let ends = after.is_none_or(|c| !c.is_ascii_alphabetic());
            let begun = text[..at].rsplit(|c: char| !c.is_alphanumeric()).next().map_or(0, str::len);
            ends && !NO_BOTS.contains(&&text[at - begun..at + word.len()])
        })
    })
}

/// Parts of user agents of televisions, what is plugged into them, and consoles.
const TVS: &[&str] = &[
    "SmartTV",
    "SMART-TV",
    "Smart-TV",
    "Smart TV",
    "HbbTV",
    "GoogleTV",
    "Google TV",
    "Android TV",
    "AndroidTV",
    "AppleTV",
    "Apple TV",
    "tvOS",
    "CrKey",
    "Roku",
    "BRAVIA",
    "NetCast",
    "Web0S",
    "webOS.TV",
    "NETTV",
    "Viera",
    "AFT",
    "MiTV",
    "MIBOX",
    "SHIELD Android TV",
    "PlayStation",
    "PLAYSTATION",
    "Nintendo",
    "Xbox",
    "VIDAA",
    "OPR/46.0.2207.0 OMI",
    "DTV",
];

/// What a user agent and the system that it names say.
pub(super) fn by_user_agent(user_agent: &str, os: &str) -> Option<DeviceType> {
    let has = |part: &str| user_agent.contains(part);
    // What a word begins with, so that no model has it in its middle.
    let has_word = |part: &str| {
        user_agent
            .match_indices(part)
            .any(|(at, _)| user_agent[..at].chars().next_back().is_none_or(|before| !before.is_ascii_alphanumeric()))
    };
    if TVS.iter().any(|tv| has_word(tv)) || has("Tizen") && has_word("TV") || has("; TV;") {
        return Some(DeviceType::Tv);
    }
    if has("iPad")
        || has("Kindle")
        || has("PlayBook")
        || has("KFAPWI")
        || has_word("Tablet;")
        || has("; Tablet") && has("Gecko/")
    {
        return Some(DeviceType::Tablet);
    }
    if has("Silk/") {
        return Some(if has("Mobile") { DeviceType::Mobile } else { DeviceType::Tablet });
    }
    match os {
        "Android" | "HarmonyOS" | "OpenHarmony" => {
            // Telephones say that they are mobile, tablets do not; a few say that they are tablets.
            let is_tablet =
                !has("Mobile") && !has("Dalvik/") && !has("okhttp") || has_word("Tablet") || has("SM-T") || has("SM-X");
            Some(if is_tablet { DeviceType::Tablet } else { DeviceType::Mobile })
        }
        "iOS" | "Windows Phone" | "Windows Mobile" | "BlackBerry OS" | "BlackBerry" | "KaiOS" | "Symbian OS"
        | "Symbian^3" | "Nokia Series 40" | "Firefox OS" | "Bada" | "watchOS" => Some(DeviceType::Mobile),
        _ if has("Mobile") || has("Opera Mini") || has("MIDP") => Some(DeviceType::Mobile),
        "" => None,
        _ if os.starts_with("Windows") => Some(DeviceType::Desktop),
        "Mac OS X" | "Mac OS" | "Linux" | "Chrome OS" | "Ubuntu" | "Debian" | "Fedora" | "FreeBSD" | "OpenBSD"
        | "NetBSD" | "Red Hat" | "CentOS" | "SUSE" | "Mint" | "Arch Linux" | "Gentoo" | "Solaris" | "Mandriva" => {
            Some(DeviceType::Desktop)
        }
        _ => None,
    }
}

/// The shorter and the longer side of every tablet of Apple's, which says that it is a Mac.
const IPADS: &[(u32, u32)] = &[
    (744, 1133),
    (768, 1024),
    (810, 1080),
    (820, 1180),
    (834, 1112),
    (834, 1194),
    (834, 1210),
    (1024, 1366),
    (1032, 1376),
];
/// From this side on, in pixels of CSS, what runs Android is a tablet: `sw600dp` of its developers' guide.
const TABLET_SIDE: u32 = 600;

/// What a screen says where the user agent leaves it open.
pub(super) fn by_screen(device: &mut Device, screen: Screen) {
    let (short, long) = (screen.width.min(screen.height), screen.width.max(screen.height));
    if short == 0 {
        return;
    }
    let touches = screen.touch_points.unwrap_or(0) > 1;
    match (device.os.as_deref(), device.kind) {
        (Some("Mac OS X"), Some(DeviceType::Desktop)) => {
            // A Mac has no screen to touch. Where that is not known, none stands upright either, and of these measures.
            let stands = screen.touch_points.is_none() && (screen.width, screen.height) == (short, long);
            if touches || stands && IPADS.contains(&(short, long)) {
                device.kind = Some(DeviceType::Tablet);
                (device.os, device.os_version) = (Some("iOS".into()), None);
            }
        }
        // Asked for the desktop's page, a device of Android says that it runs Linux.
        (Some("Linux"), Some(DeviceType::Desktop)) if touches && long < 1_400 => {
            device.kind = Some(if short >= TABLET_SIDE { DeviceType::Tablet } else { DeviceType::Mobile });
            (device.os, device.os_version) = (Some("Android".into()), None);
        }
        (Some("Android" | "HarmonyOS" | "OpenHarmony"), Some(DeviceType::Mobile | DeviceType::Tablet) | None) => {
            device.kind = Some(if short >= TABLET_SIDE { DeviceType::Tablet } else { DeviceType::Mobile });
        }
        _ => {}
    }
}
