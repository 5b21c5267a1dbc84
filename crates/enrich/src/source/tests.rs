use super::*;
use Class::{Affiliate, Direct, Email, Organic, Paid, Referral, Social};

const PAGE: &str = "https://www.shop.example/tea";

/// The query of the address, the referrer, and what comes of them: the class and who it was.
type Case = (&'static str, &'static str, Class, Option<&'static str>);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // By the medium, whatever else there is.
    ("utm_medium=cpc", "", Paid, None),
    ("utm_medium=CPC&utm_source=google", "", Paid, Some("google")),
    ("utm_medium=ppc&utm_source=bing", "", Paid, Some("bing")),
    ("utm_medium=paid&utm_source=fb", "", Paid, Some("facebook")),
    ("utm_medium=PaidSearch&utm_source=Google", "https://www.google.com/", Paid, Some("google")),
    ("utm_medium=paidsearch", "https://www.google.de/", Paid, Some("google")),
    ("utm_medium=email", "", Email, None),
    ("utm_medium=E-Mail&utm_source=may", "", Referral, Some("may")),
    ("utm_medium=newsletter&utm_source=May", "", Email, Some("May")),
    ("utm_medium=Email&utm_source=facebook", "https://l.facebook.com/", Email, Some("facebook")),
    ("utm_medium=social&utm_source=instagram", "", Social, Some("instagram")),
    ("utm_medium=social-media", "https://t.co/abc", Social, Some("x")),
    ("utm_medium=SOCIAL&utm_source=ambassador", "", Social, Some("ambassador")),
    ("utm_medium=affiliate&utm_source=tea-blog", "", Affiliate, Some("tea-blog")),
    ("utm_medium=partner", "https://tea-blog.example/", Affiliate, Some("tea-blog.example")),
    ("utm_medium=organic&utm_source=google", "", Organic, Some("google")),
    ("utm_medium=referral&utm_source=google", "", Referral, Some("google")),
    ("utm_medium=referral", "https://news.example.co.uk/a", Referral, Some("example.co.uk")),
    ("utm_medium=%20cpc%20", "", Paid, None),
    ("UTM_MEDIUM=cpc", "", Paid, None),
    ("utm_medium=cpc&gclid=x&fbclid=y", "https://www.google.com/", Paid, Some("google")),
    ("utm_medium=email&gclid=x", "", Email, Some("google")),
    ("utm_medium=organic&gclid=x", "", Organic, Some("google")),
    // A medium that says nothing.
    ("utm_medium=banner", "", Direct, None),
    ("utm_medium=banner&utm_source=google", "", Organic, Some("google")),
    ("utm_medium=qr&utm_source=poster", "", Referral, Some("poster")),
    ("utm_medium=", "https://www.bing.com/", Organic, Some("bing")),
    ("utm_medium=none", "https://duckduckgo.com/", Organic, Some("duckduckgo")),
    // By the id of an advertisement's click.
    ("gclid=abc", "", Paid, Some("google")),
    ("gclid=abc", "https://www.google.com/", Paid, Some("google")),
    ("gbraid=abc", "", Paid, Some("google")),
    ("wbraid=abc", "", Paid, Some("google")),
    ("dclid=abc", "", Paid, Some("google")),
    ("GCLID=abc", "", Paid, Some("google")),
    ("msclkid=abc", "https://www.bing.com/", Paid, Some("bing")),
    ("yclid=1", "", Paid, Some("yandex")),
    ("twclid=1", "https://t.co/x", Paid, Some("x")),
    ("li_fat_id=1", "", Paid, Some("linkedin")),
    ("ttclid=1", "", Paid, Some("tiktok")),
    ("epik=1", "https://www.pinterest.de/", Paid, Some("pinterest")),
    ("rdt_cid=1", "", Paid, Some("reddit")),
    ("gclid=abc&utm_source=bing", "", Paid, Some("bing")),
    ("gclid=", "", Direct, None),
    ("gclid=", "https://www.google.com/", Organic, Some("google")),
    ("xgclid=1", "", Direct, None),
    // By the source.
    ("utm_source=facebook", "", Social, Some("facebook")),
    ("utm_source=FB", "", Social, Some("facebook")),
    ("utm_source=facebook.com", "", Social, Some("facebook")),
    ("utm_source=ig", "", Social, Some("instagram")),
    ("utm_source=Twitter", "", Social, Some("x")),
    ("utm_source=x", "", Social, Some("x")),
    ("utm_source=t.co", "", Social, Some("x")),
    ("utm_source=LinkedIn", "", Social, Some("linkedin")),
    ("utm_source=lnkd.in", "", Social, Some("linkedin")),
    ("utm_source=reddit", "", Social, Some("reddit")),
    ("utm_source=tiktok", "", Social, Some("tiktok")),
    ("utm_source=youtube", "", Social, Some("youtube")),
    ("utm_source=bsky", "", Social, Some("bluesky")),
    ("utm_source=whatsapp", "", Social, Some("whatsapp")),
    ("utm_source=hn", "", Social, Some("hackernews")),
    ("utm_source=google", "", Organic, Some("google")),
    ("utm_source=Bing", "", Organic, Some("bing")),
    ("utm_source=yahoo", "", Organic, Some("yahoo")),
    ("utm_source=duckduckgo", "", Organic, Some("duckduckgo")),
    ("utm_source=baidu", "", Organic, Some("baidu")),
    ("utm_source=newsletter-12", "", Referral, Some("newsletter-12")),
    ("utm_source=Tea%20Blog", "", Referral, Some("Tea Blog")),
    ("utm_source=tea-blog", "https://www.google.com/", Referral, Some("tea-blog")),
    ("utm_source=google&fbclid=x", "", Organic, Some("google")),
    ("utm_source=partner-site", "https://www.shop.example/", Referral, Some("partner-site")),
    ("utm_source=googleads", "", Referral, Some("googleads")),
    // By the id of a network's click.
    ("fbclid=abc", "", Social, Some("facebook")),
    ("fbclid=abc", "https://www.google.com/", Social, Some("facebook")),
    ("igshid=abc", "", Social, Some("instagram")),
    // By the referrer: networks.
    ("", "https://t.co/abc", Social, Some("x")),
    ("", "https://x.com/tea/status/1", Social, Some("x")),
    ("", "https://twitter.com/", Social, Some("x")),
    ("", "https://mobile.twitter.com/", Social, Some("x")),
    ("", "https://lnkd.in/abc", Social, Some("linkedin")),
    ("", "https://www.linkedin.com/feed/", Social, Some("linkedin")),
    ("", "https://l.facebook.com/l.php?u=x", Social, Some("facebook")),
    ("", "https://m.facebook.com/", Social, Some("facebook")),
    ("", "https://fb.me/abc", Social, Some("facebook")),
    ("", "https://l.instagram.com/", Social, Some("instagram")),
    ("", "https://out.reddit.com/", Social, Some("reddit")),
    ("", "https://old.reddit.com/r/tea", Social, Some("reddit")),
    ("", "https://www.youtube.com/watch?v=1", Social, Some("youtube")),
    ("", "https://youtu.be/1", Social, Some("youtube")),
    ("", "https://www.pinterest.co.uk/", Social, Some("pinterest")),
    ("", "https://www.tiktok.com/@tea", Social, Some("tiktok")),
    ("", "https://news.ycombinator.com/", Social, Some("hackernews")),
    ("", "https://t.me/tea", Social, Some("telegram")),
    ("", "https://vk.com/", Social, Some("vk")),
    ("", "https://bsky.app/profile/x", Social, Some("bluesky")),
    ("", "https://mastodon.social/@x", Social, Some("mastodon")),
    ("", "https://not-facebook.com/", Referral, Some("not-facebook.com")),
    ("", "https://facebook.com.evil.example/", Referral, Some("evil.example")),
    ("", "https://at.co/", Referral, Some("at.co")),
    // Engines, of every country, and their subdomains.
    ("", "https://www.google.com/", Organic, Some("google")),
    ("", "https://www.google.de/search?q=tee", Organic, Some("google")),
    ("", "https://www.google.co.in/", Organic, Some("google")),
    ("", "https://www.google.com.br/", Organic, Some("google")),
    ("", "https://images.google.fr/", Organic, Some("google")),
    ("", "https://news.google.com/", Organic, Some("google")),
    ("", "HTTPS://WWW.GOOGLE.COM/", Organic, Some("google")),
    ("", "https://cn.bing.com/", Organic, Some("bing")),
    ("", "https://search.yahoo.com/", Organic, Some("yahoo")),
    ("", "https://search.yahoo.co.jp/", Organic, Some("yahoo")),
    ("", "https://yandex.ru/", Organic, Some("yandex")),
    ("", "https://yandex.com.tr/", Organic, Some("yandex")),
    ("", "https://ya.ru/", Organic, Some("yandex")),
    ("", "https://www.baidu.com/s?wd=x", Organic, Some("baidu")),
    ("", "https://m.baidu.com/", Organic, Some("baidu")),
    ("", "https://duckduckgo.com/", Organic, Some("duckduckgo")),
    ("", "https://www.ecosia.org/", Organic, Some("ecosia")),
    ("", "https://search.brave.com/", Organic, Some("brave")),
    ("", "https://search.naver.com/", Organic, Some("naver")),
    ("", "https://search.seznam.cz/", Organic, Some("seznam")),
    ("", "https://mygoogle.example/", Referral, Some("mygoogle.example")),
    ("", "https://google.evil.example/", Referral, Some("evil.example")),
    ("", "android-app://com.google.android.googlequicksearchbox/", Organic, Some("google")),
    // Mail in a browser.
    ("", "https://mail.google.com/", Email, Some("webmail")),
    ("", "https://outlook.live.com/mail/0/", Email, Some("webmail")),
    // Other sites.
    ("", "https://blog.tea.example/a", Referral, Some("tea.example")),
    ("", "https://blog.tea.co.uk/a", Referral, Some("tea.co.uk")),
    ("", "https://tea.github.io/", Referral, Some("tea.github.io")),
    ("", "http://192.0.2.7/x", Referral, Some("192.0.2.7")),
    ("", "http://[2001:db8::1]:8080/x", Referral, Some("[2001:db8::1]")),
    ("", "//tea.example/x", Referral, Some("tea.example")),
    ("", "https://shop.example.evil.example/", Referral, Some("evil.example")),
    // Nobody.
    ("", "", Direct, None),
    ("", "https://www.shop.example/", Direct, None),
    ("", "https://shop.example/cart", Direct, None),
    ("", "https://account.shop.example/", Direct, None),
    ("", "https://pay.own.example/done", Direct, None),
    ("", "not an address", Direct, None),
    ("", "about:blank", Direct, None),
    ("", "file:///home/x.html", Direct, None),
    ("", "https://", Direct, None),
    ("", "data:text/html,x", Direct, None),
];

#[test]
fn every_case_of_the_rules_is_what_they_say() {
    assert!(CASES.len() >= 120, "{}", CASES.len());
    let mut wrong = Vec::new();
    for (query, referrer, class, source) in CASES {
        let url = format!("{PAGE}?{query}");
        let visit =
            Visit { url: Some(&url), referrer: Some(referrer), own_hosts: &["Own.example"], ..Visit::default() };
        let found = TrafficSource::of(&visit);
        if (found.class, found.source.as_deref()) != (*class, *source) {
            wrong.push(format!(
                "{query:?} from {referrer:?}: {} {:?}, expected {class} {source:?}",
                found.class, found.source
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_given_stands_beside_the_class() {
    let url = format!(
        "{PAGE}?utm_medium=CPC&utm_source=Google&utm_campaign=May%20Sale&utm_term=green+tea&utm_content=a&gclid=1"
    );
    let found =
        TrafficSource::of(&Visit { url: Some(&url), referrer: Some("https://www.google.co.in/"), ..Visit::default() });
    let expected = TrafficSource {
        class: Paid,
        source: Some("google".to_owned()),
        medium: Some("CPC".to_owned()),
        utm_source: Some("Google".to_owned()),
        campaign: Some("May Sale".to_owned()),
        term: Some("green tea".to_owned()),
        content: Some("a".to_owned()),
        click_id: Some("gclid"),
        referring_domain: Some("google.co.in".to_owned()),
    };
    assert_eq!(found, expected);
}

#[test]
fn tags_that_are_sent_by_themselves_go_before_those_of_the_address() {
    let visit = Visit {
        url: Some("https://shop.example/?utm_medium=cpc"),
        medium: Some("email"),
        campaign: Some("x"),
        ..Visit::default()
    };
    let found = TrafficSource::of(&visit);
    assert_eq!((found.class, found.medium.as_deref(), found.campaign.as_deref()), (Email, Some("email"), Some("x")));
    let found = TrafficSource::of(&Visit { source: Some(" "), referrer: Some("https://t.co/"), ..Visit::default() });
    assert_eq!((found.class, found.utm_source), (Social, None));
}
