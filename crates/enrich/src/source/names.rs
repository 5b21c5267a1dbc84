//! Who sends visitors: names of networks, engines and click ids, as they stand in tags and in registrable domains.

/// A kind of sender that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Social,
    Search,
    /// Mail that is read in a browser.
    Mail,
}

/// A network or an engine.
struct Site {
    name: &'static str,
    /// Whether it has a domain in every country: `google` is `google.de` and `google.co.in`.
    everywhere: bool,
    /// What else stands for it in tags, and its domains.
    others: &'static [&'static str],
}

const fn site(name: &'static str, others: &'static [&'static str]) -> Site {
    Site { name, everywhere: false, others }
}

const fn everywhere(name: &'static str, others: &'static [&'static str]) -> Site {
    Site { name, everywhere: true, others }
}

/// Social networks.
const SOCIAL: &[Site] = &[
    site("facebook", &["fb", "facebook.com", "fb.com", "fb.me", "m.me", "messenger", "messenger.com", "meta"]),
    site("instagram", &["ig", "instagram.com", "instagr.am"]),
    site("threads", &["threads.net", "threads.com"]),
    site("x", &["twitter", "twitter.com", "x.com", "t.co"]),
    site("linkedin", &["linkedin.com", "lnkd.in"]),
    everywhere("pinterest", &["pin.it"]),
    site("reddit", &["reddit.com", "redd.it"]),
    site("tiktok", &["tiktok.com"]),
    site("youtube", &["youtube.com", "youtu.be"]),
    site("snapchat", &["snapchat.com"]),
    site("whatsapp", &["whatsapp.com", "wa.me"]),
    site("telegram", &["telegram.org", "telegram.me", "t.me"]),
    site("discord", &["discord.com", "discord.gg", "discordapp.com"]),
    site("mastodon", &["mastodon.social", "mastodon.online", "mas.to", "fosstodon.org", "hachyderm.io"]),
    site("bluesky", &["bsky", "bsky.app", "bsky.social"]),
    site("tumblr", &["tumblr.com"]),
    site("quora", &["quora.com"]),
    site("vk", &["vk.com", "vkontakte"]),
    site("ok", &["ok.ru", "odnoklassniki"]),
    site("weibo", &["weibo.com", "weibo.cn"]),
    site("wechat", &["weixin", "wechat.com", "weixin.qq.com"]),
    site("xing", &["xing.com"]),
    site("line", &["line.me"]),
    site("flipboard", &["flipboard.com"]),
    site("hackernews", &["hacker news", "hn", "ycombinator.com"]),
];

/// Search engines.
const SEARCH: &[Site] = &[
    everywhere("google", &[]),
    site("bing", &["bing.com"]),
    everywhere("yahoo", &[]),
    site("duckduckgo", &["duckduckgo.com", "ddg", "duck.com"]),
    everywhere("yandex", &["ya.ru"]),
    site("baidu", &["baidu.com"]),
    site("ecosia", &["ecosia.org"]),
    site("qwant", &["qwant.com"]),
    site("startpage", &["startpage.com"]),
    site("brave", &["search.brave.com"]),
    site("kagi", &["kagi.com"]),
    site("naver", &["naver.com"]),
    site("daum", &["daum.net"]),
    site("seznam", &["seznam.cz"]),
    site("sogou", &["sogou.com"]),
    site("so.com", &["so.com"]),
    site("ask", &["ask.com"]),
    site("aol", &["aol.com"]),
    site("mojeek", &["mojeek.com"]),
    site("swisscows", &["swisscows.com"]),
    site("rambler", &["rambler.ru"]),
    site("coccoc", &["coccoc.com"]),
];

/// Hosts of mail that is read in a browser: none of them is a search, whatever engine they belong to.
const MAIL: &[&str] = &[
    "mail.google.com",
    "mail.yahoo.com",
    "outlook.live.com",
    "outlook.office.com",
    "outlook.office365.com",
    "mail.yandex.ru",
    "mail.yandex.com",
    "mail.aol.com",
    "mail.proton.me",
    "mail.ru",
    "e.mail.ru",
    "gmx.net",
    "gmx.com",
    "web.de",
];

/// Parameters that advertising systems and networks add to a link, the class that they say, and who adds them.
pub(super) const CLICK_IDS: &[(&str, ClickBy, &str)] = &[
    ("gclid", ClickBy::Ad, "google"),
    ("gbraid", ClickBy::Ad, "google"),
    ("wbraid", ClickBy::Ad, "google"),
    ("dclid", ClickBy::Ad, "google"),
    ("gad_source", ClickBy::Ad, "google"),
    ("msclkid", ClickBy::Ad, "bing"),
    ("yclid", ClickBy::Ad, "yandex"),
    ("twclid", ClickBy::Ad, "x"),
    ("li_fat_id", ClickBy::Ad, "linkedin"),
    ("ttclid", ClickBy::Ad, "tiktok"),
    ("sccid", ClickBy::Ad, "snapchat"),
    ("rdt_cid", ClickBy::Ad, "reddit"),
    ("epik", ClickBy::Ad, "pinterest"),
    ("fbclid", ClickBy::Network, "facebook"),
    ("igshid", ClickBy::Network, "instagram"),
    ("igsh", ClickBy::Network, "instagram"),
];

/// What a click id says of the link that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClickBy {
    /// It was an advertisement.
    Ad,
    /// It was on a social network, which adds it to every link.
    Network,
}

/// The network or engine that a tag names, in lower case.
pub(super) fn of_tag(tag: &str) -> Option<(Known, &'static str)> {
    first(|site| site.name == tag || site.others.contains(&tag))
}

/// The network, engine or mailer that a host belongs to; `label` is what stands before its public suffix.
pub(super) fn of_host(host: &str, label: &str) -> Option<(Known, &'static str)> {
    if MAIL.contains(&host) {
        return Some((Known::Mail, "webmail"));
    }
    let within = |domain: &&str| host == *domain || host.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
    first(|site| {
        site.everywhere && site.name == label || site.others.iter().filter(|other| other.contains('.')).any(within)
    })
}

fn first(is: impl Fn(&Site) -> bool) -> Option<(Known, &'static str)> {
    let social = SOCIAL.iter().find(|site| is(site)).map(|site| (Known::Social, site.name));
    social.or_else(|| SEARCH.iter().find(|site| is(site)).map(|site| (Known::Search, site.name)))
}
