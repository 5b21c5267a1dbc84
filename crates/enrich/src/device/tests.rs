use super::*;

/// The test cases of uap-core 0.16 for browsers and systems, as its package in Debian has them: kind, family, version, user agent.
const CORPUS: &str = include_str!("corpus.tsv");

/// What newer rules say otherwise: the name of a system that they know more of, and a browser that they dropped.
const KNOWN_BETTER: [&str; 2] = ["CrKey/1.22.74257", "SerenityOS"];

#[test]
fn the_corpus_of_the_rules_is_answered_as_it_says() {
    let rules = Rules::get();
    let mut differ = Vec::new();
    let mut count = 0;
    for line in CORPUS.lines() {
        let fields: Vec<&str> = line.splitn(4, '\t').collect();
        let [kind, family, version, user_agent] = fields[..] else { panic!("not a case: {line}") };
        let device = rules.apply(user_agent);
        let (found, found_version) = match kind {
            "browser" => (device.browser, device.browser_version),
            _ => (device.os, device.os_version),
        };
        let found = (found.as_deref().unwrap_or("Other"), found_version.as_deref().unwrap_or_default());
        count += 1;
        if found != (family, version) && !KNOWN_BETTER.iter().any(|known| user_agent.contains(known)) {
            differ.push(format!("{kind} {family} {version}, found {found:?}: {user_agent}"));
        }
    }
    assert_eq!(count, 1_876);
    assert!(differ.is_empty(), "{} of {count} differ:\n{}", differ.len(), differ.join("\n"));
}

const WEBKIT: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";

/// Hand-picked: what is sent, and browser, major version, system, its major version, kind and kind of bot as they are to be; `-` for nothing.
const PICKED: &str = "
Mozilla/5.0 (Windows NT 10.0; Win64; x64) WEBKIT Chrome/142.0.0.0 Safari/537.36 | Chrome 142 | Windows 10 | desktop
Mozilla/5.0 (Windows NT 10.0; Win64; x64) WEBKIT Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0 | Edge 142 | Windows 10 | desktop
Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0 | Firefox 145 | Windows 10 | desktop
Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0 | Firefox 115 | Windows 7 | desktop
Mozilla/5.0 (Windows NT 10.0; Win64; x64) WEBKIT Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0 | Opera 124 | Windows 10 | desktop
Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko | IE 11 | Windows 10 | desktop
Mozilla/5.0 (Windows NT 10.0; Win64; x64) WEBKIT Chrome/138.0.0.0 YaBrowser/25.8.0.0 Safari/537.36 | Yandex Browser 25 | Windows 10 | desktop
Mozilla/5.0 (Windows NT 10.0; Win64; x64) WEBKIT Chrome/142.0.0.0 Safari/537.36 Vivaldi/7.6.3797.58 | Vivaldi 7 | Windows 10 | desktop
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15 | Safari 26 | Mac OS X 10 | desktop
Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) WEBKIT Chrome/142.0.0.0 Safari/537.36 | Chrome 142 | Mac OS X 10 | desktop
Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0 | Firefox 145 | Mac OS X 10 | desktop
Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0 | Firefox 145 | Linux | desktop
Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0 | Firefox 144 | Ubuntu | desktop
Mozilla/5.0 (X11; Linux x86_64) WEBKIT Chrome/142.0.0.0 Safari/537.36 | Chrome 142 | Linux | desktop
Mozilla/5.0 (X11; CrOS x86_64 16328.55.0) WEBKIT Chrome/141.0.0.0 Safari/537.36 | Chrome 141 | Chrome OS 16328 | desktop
Mozilla/5.0 (X11; FreeBSD amd64; rv:140.0) Gecko/20100101 Firefox/140.0 | Firefox 140 | FreeBSD | desktop
Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1 | Mobile Safari 26 | iOS 18 | mobile
Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1 | Chrome Mobile iOS 142 | iOS 17 | mobile
Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/145.0 Mobile/15E148 Safari/605.1.15 | Firefox iOS 145 | iOS 18 | mobile
Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22G86 [FBAN/FBIOS;FBAV/530.0.0.40.69;FBDV/iPhone16,1;FBMD/iPhone;FBSN/iOS;FBSV/18.6] | Facebook 530 | iOS 18 | mobile
Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22G86 Instagram 400.0.0.21.80 (iPhone15,3; iOS 18_6; de_DE; de; scale=3.00; 1290x2796; 773366474) | Instagram 400 | iOS 18 | mobile
Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1 | Mobile Safari 12 | iOS 12 | mobile
Mozilla/5.0 (Linux; Android 10; K) WEBKIT Chrome/142.0.0.0 Mobile Safari/537.36 | Chrome Mobile 142 | Android 10 | mobile
Mozilla/5.0 (Linux; Android 16; Pixel 10 Pro) WEBKIT Chrome/142.0.0.0 Mobile Safari/537.36 | Chrome Mobile 142 | Android 16 | mobile
Mozilla/5.0 (Linux; Android 15; SM-S938B) WEBKIT SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36 | Samsung Internet 28 | Android 15 | mobile
Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0 | Firefox Mobile 145 | Android 15 | mobile
Mozilla/5.0 (Linux; U; Android 14; en-us; 23127PN0CG Build/UKQ1) WEBKIT Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36 XiaoMi/MiuiBrowser/14.30.1 | MiuiBrowser 14 | Android 14 | mobile
Mozilla/5.0 (Linux; Android 13; CUBOT P80) WEBKIT Chrome/142.0.0.0 Mobile Safari/537.36 | Chrome Mobile 142 | Android 13 | mobile
Mozilla/5.0 (Linux; Android 14; Pixel 7; wv) WEBKIT Version/4.0 Chrome/142.0.0.0 Mobile Safari/537.36 | Chrome Mobile WebView 142 | Android 14 | mobile
Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5 | Firefox Mobile 48 | KaiOS 2 | mobile
Opera/9.80 (J2ME/MIDP; Opera Mini/9.80/191.303; U; en) Presto/2.5.25 Version/10.54 | Opera Mini 9 | - | mobile
okhttp/4.12.0 | okhttp 4 | - | -
Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UQ1A.240105.004) | Android 14 | Android 14 | mobile
Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 | Mobile Safari 18 | iOS 18 | tablet
Mozilla/5.0 (Linux; Android 15; SM-X910) WEBKIT Chrome/142.0.0.0 Safari/537.36 | Chrome 142 | Android 15 | tablet
Mozilla/5.0 (Linux; Android 13; Lenovo TB-J606F) WEBKIT Chrome/140.0.0.0 Safari/537.36 | Chrome 140 | Android 13 | tablet
Mozilla/5.0 (Android 14; Tablet; rv:145.0) Gecko/145.0 Firefox/145.0 | Firefox Mobile 145 | Android 14 | tablet
Mozilla/5.0 (Linux; Android 11; KFTRWI) WEBKIT Silk/140.2.1 like Chrome/140.0.0.0 Safari/537.36 | Amazon Silk 140 | Android 11 | tablet
Mozilla/5.0 (X11; Linux armv7l like Android; U; en-us) AppleWebKit/531.2+ (KHTML, like Gecko) Version/5.0 Safari/533.2+ Kindle/3.0+ | Kindle 3 | Kindle 3 | tablet
Mozilla/5.0 (Linux; Tizen 9.0; SMART-TV; SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/8.0 Chrome/108.0.5359.1 TV Safari/537.36 | Samsung Internet 8 | Tizen 9 | tv
Mozilla/5.0 (Web0S; Linux/SmartTV) WEBKIT Chrome/108.0.5359.211 Safari/537.36 WebAppManager | Chrome 108 | Web0S | tv
Mozilla/5.0 (Linux; Android 12; BRAVIA 4K VH22) WEBKIT Chrome/140.0.0.0 Safari/537.36 | Chrome 140 | Android 12 | tv
Mozilla/5.0 (Linux; Android 9; AFTKA) WEBKIT Silk/140.1.1 like Chrome/140.0.0.0 Safari/537.36 | Amazon Silk 140 | Android 9 | tv
Roku/DVP-14.5 (14.5.0 build 4205) | Roku 14 | Roku 14 | tv
Mozilla/5.0 (PlayStation; PlayStation 5/9.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Safari/605.1.15 | Safari 16 | - | tv
Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) WEBKIT Chrome/140.0.0.0 Safari/537.36 Edge/44.18363.8131 | Edge 44 | Windows 10 | tv
Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html) | Googlebot 2 | - | bot search
Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) WEBKIT Chrome/142.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html) | Googlebot 2 | Android 6 | bot search
Mozilla/5.0 WEBKIT; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36 | bingbot 2 | - | bot search
Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots) | YandexBot 3 | - | bot search
DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html) | DuckDuckBot 1 | - | bot search
facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php) | FacebookBot 1 | - | bot social
Twitterbot/1.0 | Twitterbot 1 | - | bot social
Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots) | Slackbot-LinkExpanding 1 | - | bot social
Mozilla/5.0 WEBKIT; compatible; GPTBot/1.3; +https://openai.com/gptbot | GPTBot 1 | - | bot ai
Mozilla/5.0 WEBKIT; compatible; ClaudeBot/1.0; +claudebot@anthropic.com) | ClaudeBot 1 | - | bot ai
Mozilla/5.0 (X11; Linux x86_64) WEBKIT HeadlessChrome/142.0.0.0 Safari/537.36 | HeadlessChrome 142 | Linux | bot headless
Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1 | PhantomJS 2 | Linux | bot headless
curl/8.11.0 | curl 8 | - | bot library
python-requests/2.32.3 | Python Requests 2 | - | bot library
Go-http-client/2.0 | Go-http-client 2 | - | bot library
Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/) | AhrefsBot 7 | - | bot monitor
Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/) | UptimeRobot 2 | - | bot monitor
Mozilla/5.0 (compatible; AcmeCrawler/0.1; +https://acme.example/crawler) | AcmeCrawler 0 | - | bot other
SomeUnknownBot/1.0 | SomeUnknownBot 1 | - | bot other
total nonsense | - | - | -
";

#[test]
fn hand_picked_user_agents_are_what_they_are() {
    let devices = Devices::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in PICKED.trim().lines() {
        let fields: Vec<&str> = line.split(" | ").collect();
        let [user_agent, browser, os, kind] = fields[..] else { panic!("four fields: {line}") };
        let user_agent = user_agent.replace("WEBKIT", WEBKIT);
        let device = devices.of(&Agent { user_agent: Some(&user_agent), ..Agent::default() });
        let with_major = |name: &Option<Arc<str>>, version: &Option<Arc<str>>| match (name, version) {
            (None, _) => "-".to_owned(),
            (Some(name), None) => name.to_string(),
            (Some(name), Some(version)) => format!("{name} {}", version.split('.').next().unwrap_or_default()),
        };
        let kind_found = match (device.kind, device.bot) {
            (None, _) => "-".to_owned(),
            (Some(kind), None) => kind.to_string(),
            (Some(kind), Some(bot)) => format!("{kind} {}", bot.as_str()),
        };
        let found = [
            with_major(&device.browser, &device.browser_version),
            with_major(&device.os, &device.os_version),
            kind_found,
        ];
        count += 1;
        if found != [browser, os, kind] {
            wrong.push(format!("{} instead of {browser} | {os} | {kind}: {user_agent}", found.join(" | ")));
        }
    }
    assert!(count >= 60, "{count} of them");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn hints_go_before_what_a_user_agent_says() {
    let devices = Devices::new();
    let windows = format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36");
    let android = format!("Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36");
    let of = |user_agent: &str, hints: Hints<'_>| {
        let device = devices.of(&Agent { user_agent: Some(user_agent), hints, screen: None });
        device.properties().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    let grease = r#""Chromium";v="142.0.7444.60", "Not:A,\Brand";v="99.0.0.0", "Brave";v="142.0.7444.60""#;
    let grease = grease.replace('\\', "");
    let eleven = Hints {
        brands: Some(&grease),
        mobile: Some("?0"),
        platform: Some("\"Windows\""),
        platform_version: Some("\"15.0.0\""),
        model: Some("\"\""),
    };
    assert_eq!(
        of(&windows, eleven),
        "browser=Brave browser_version=142.0.7444 os=Windows os_version=11 device_type=desktop"
    );
    let pixel = Hints {
        brands: Some(r#""Google Chrome";v="142", "Chromium";v="142", "Not_A Brand";v="24""#),
        mobile: Some("?1"),
        platform: Some("\"Android\""),
        platform_version: Some("\"16.0.0\""),
        model: Some("\"Pixel 10\""),
    };
    let found = of(&android, pixel);
    assert!(
        found.starts_with(
            "browser=Chrome Mobile browser_version=142.0.0 os=Android os_version=16.0.0 device_type=mobile"
        ),
        "{found}"
    );
    assert!(found.ends_with("device_model=Pixel 10"), "{found}");
    let tablet = Hints { mobile: Some("?0"), platform: Some("\"Android\""), ..Hints::default() };
    assert!(of(&android, tablet).contains("device_type=tablet"));
    // Alone, without a user agent, they say what they say; what is no list says nothing.
    assert_eq!(
        of("", pixel),
        "browser=Chrome browser_version=142 os=Android os_version=16.0.0 device_type=mobile device_model=Pixel 10"
    );
    for odd in ["", "\"", "\"a\"", "\"a\";v=", "\"Chromium", ";v=\"1\"", "\"a\";v=\"1\"\"b\";v=\"2\""] {
        of(&windows, Hints { brands: Some(odd), platform: Some(odd), model: Some(odd), ..Hints::default() });
    }
    assert_eq!(of("", Hints { platform: Some("\"Unknown\""), ..Hints::default() }), "");
    // A bot is one whatever it claims besides.
    assert!(of("curl/8.0", pixel).contains("device_type=bot"));
}

#[test]
fn a_screen_tells_a_tablet_from_a_telephone_or_a_computer() {
    let devices = Devices::new();
    let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15";
    let android = format!("Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36");
    let linux = format!("Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36");
    let windows = format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36");
    let cases = [
        (mac, 1_440, 900, Some(0), DeviceType::Desktop, "Mac OS X"),
        (mac, 1_440, 900, None, DeviceType::Desktop, "Mac OS X"),
        (mac, 1_024, 1_366, Some(5), DeviceType::Tablet, "iOS"),
        (mac, 1_366, 1_024, Some(5), DeviceType::Tablet, "iOS"),
        (mac, 834, 1_194, None, DeviceType::Tablet, "iOS"),
        (mac, 1_024, 768, None, DeviceType::Desktop, "Mac OS X"),
        (mac, 0, 0, Some(5), DeviceType::Desktop, "Mac OS X"),
        (android.as_str(), 412, 915, Some(5), DeviceType::Mobile, "Android"),
        (android.as_str(), 1_280, 800, None, DeviceType::Tablet, "Android"),
        (android.as_str(), 915, 412, None, DeviceType::Mobile, "Android"),
        (linux.as_str(), 1_280, 800, Some(10), DeviceType::Tablet, "Android"),
        (linux.as_str(), 980, 430, Some(5), DeviceType::Mobile, "Android"),
        (linux.as_str(), 1_920, 1_080, Some(10), DeviceType::Desktop, "Linux"),
        (linux.as_str(), 1_280, 800, Some(0), DeviceType::Desktop, "Linux"),
        (windows.as_str(), 800, 1_280, Some(10), DeviceType::Desktop, "Windows"),
    ];
    for (user_agent, width, height, touch_points, kind, os) in cases {
        let screen = Some(Screen { width, height, touch_points });
        let device = devices.of(&Agent { user_agent: Some(user_agent), screen, ..Agent::default() });
        assert_eq!(
            (device.kind, device.os.as_deref()),
            (Some(kind), Some(os)),
            "{width} {height} {touch_points:?} {user_agent}"
        );
    }
}

#[test]
fn what_is_long_odd_or_missing_is_no_trouble() {
    let devices = Devices::remembering(1);
    assert_eq!(devices.of(&Agent::default()), Device::default());
    let long = "ä".repeat(100_000);
    let zeros = "\0".repeat(50);
    for odd in [
        "",
        " ",
        "Mozilla/5.0",
        "Mozilla/5.0 (((((",
        &long,
        &zeros,
        "%s%n",
        "\u{202e}toB",
        "Verfügbarkeitsmonitoring/1.0",
        "–validator",
        "Prüfbot",
        "ü".repeat(200).as_str(),
    ] {
        devices.of(&Agent { user_agent: Some(odd), ..Agent::default() });
    }
    // What it says is the same however often it is asked, and whatever was forgotten in between.
    let one = devices.of(&Agent { user_agent: Some("curl/8.0"), ..Agent::default() });
    devices.of(&Agent { user_agent: Some("Twitterbot/1.0"), ..Agent::default() });
    assert_eq!(devices.of(&Agent { user_agent: Some("curl/8.0"), ..Agent::default() }), one);
}
