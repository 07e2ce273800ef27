//! Joins a caller's path and query to a deployment's URL, bytes kept, never leaving its base.

use percent_encoding::percent_decode_str;
use url::Url;

/// Joins `path` (with an optional `?query`) to the deployment's base.
///
/// `single` is the URL for calls without a path, `base` the one paths are appended to. This is never
/// URL reference resolution: `//evil/x` would change the host.
///
/// # Errors
/// Says what is wrong with the path.
pub(crate) fn join(single: &Url, base: &Url, path: &str) -> Result<Url, &'static str> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if matches!(path, "" | "/") {
        if query.is_empty() {
            return Ok(single.clone());
        }
        let mut url = single.clone();
        set_query(&mut url, single.query(), query);
        return Ok(url);
    }
    check(path)?;
    if query.chars().any(|c| c.is_control() || c == '#') {
        return Err("holds a control character or # in its query: encode it");
    }
    let mut text = String::with_capacity(base.as_str().len() + path.len() + 1);
    text.push_str(&base[..url::Position::AfterPath]);
    while text.ends_with('/') {
        text.pop();
    }
    if !path.starts_with('/') {
        text.push('/');
    }
    text.push_str(path);
    let mut url = Url::parse(&text).map_err(|_| "does not make a URL: percent-encode it")?;
    set_query(&mut url, base.query(), query);
    Ok(url)
}

/// The configured pairs come first and win over the caller's pairs of the same name.
/// Path and query of [`join`] where they hold plain characters only, which need no encoding and no
/// second look; `None` where `join` must decide.
pub(crate) fn join_plain(single: &Url, base: &Url, path: &str) -> Option<String> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let empty = matches!(path, "" | "/");
    let onto = if empty { single } else { base };
    let plain =
        path.bytes().all(is_plain) && query.bytes().all(|byte| is_plain(byte) || byte == b'?');
    if !plain || path.contains("/.") || path.starts_with('.') {
        return None;
    }
    let own = onto.query();
    if own == Some("") || (own.is_some() && !query.is_empty()) {
        return None;
    }
    let onto_path = if empty {
        onto.path()
    } else {
        onto.path().trim_end_matches('/')
    };
    let mut target = String::with_capacity(onto_path.len() + path.len() + query.len() + 2);
    target.push_str(onto_path);
    if !empty {
        if !path.starts_with('/') {
            target.push('/');
        }
        target.push_str(path);
    }
    for query in [own.unwrap_or(""), query] {
        if !query.is_empty() {
            target.push('?');
            target.push_str(query);
        }
    }
    Some(target)
}

/// Unreserved characters and sub-delimiters of RFC 3986 without `'`, and `:`, `@`, `/`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@/".contains(&byte)
}

fn set_query(url: &mut Url, configured: Option<&str>, callers: &str) {
    let Some(configured) = configured.filter(|own| !own.is_empty()) else {
        return url.set_query((!callers.is_empty()).then_some(callers));
    };
    let mut query = configured.to_owned();
    for pair in callers.split('&').filter(|pair| !pair.is_empty()) {
        let taken = configured.split('&').any(|own| name(own) == name(pair));
        if !taken {
            query.push('&');
            query.push_str(pair);
        }
    }
    url.set_query(Some(&query));
}

fn name(pair: &str) -> String {
    let name = pair.split('=').next().unwrap_or("").replace('+', " ");
    percent_decode_str(&name).decode_utf8_lossy().into_owned()
}

/// Refuses what a server may read as a way out of the base: `.` and `..` segments in any encoding,
/// backslashes, controls.
fn check(path: &str) -> Result<(), &'static str> {
    if path.contains('#') {
        return Err("holds a #, which begins a fragment and is never sent: write %23");
    }
    let mut seen = path.as_bytes().to_vec();
    // Each round undoes one layer of encoding; no honest path needs more than a few.
    for _ in 0..8 {
        if seen.iter().any(u8::is_ascii_control) {
            return Err("holds a control character");
        }
        let climbs = seen
            .split(|byte| matches!(byte, b'/' | b'\\'))
            .any(|segment| {
                let bare = segment
                    .split(|byte| *byte == b';')
                    .next()
                    .unwrap_or(segment);
                matches!(bare, b"." | b"..")
            });
        if climbs {
            return Err("holds a . or .. segment, which could leave the base URL");
        }
        if seen.contains(&b'\\') {
            return Err("holds a backslash");
        }
        let decoded: Vec<u8> = percent_encoding::percent_decode(&seen).collect();
        if decoded == seen {
            return Ok(());
        }
        seen = decoded;
    }
    Err("is percent-encoded many times over")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(single: &str, base: &str, path: &str) -> Result<String, &'static str> {
        join(
            &Url::parse(single).unwrap(),
            &Url::parse(base).unwrap(),
            path,
        )
        .map(String::from)
    }

    fn check_join(base: &str, path: &str, want: &str) {
        assert_eq!(
            joined("https://h.test/single", base, path).as_deref(),
            Ok(want),
            "{path}"
        );
    }

    #[test]
    fn paths_are_appended_and_bytes_kept() {
        check_join(
            "https://h.test/v1/",
            "/predict",
            "https://h.test/v1/predict",
        );
        check_join("https://h.test/v1", "predict", "https://h.test/v1/predict");
        check_join(
            "https://h.test/v1",
            "//evil.test/x",
            "https://h.test/v1//evil.test/x",
        );
        check_join("https://h.test", "a%2Fb", "https://h.test/a%2Fb");
        check_join(
            "https://h.test/v1",
            "churn:predict",
            "https://h.test/v1/churn:predict",
        );
        check_join(
            "https://h.test/v1",
            "https://evil.test/",
            "https://h.test/v1/https://evil.test/",
        );
        check_join(
            "https://h.test/v1",
            "@evil.test/",
            "https://h.test/v1/@evil.test/",
        );
        check_join("https://h.test", ":9/x", "https://h.test/:9/x");
        check_join("https://h.test/v1", "", "https://h.test/single");
        check_join("https://h.test/v1", "/", "https://h.test/single");
        check_join("https://h.test/v1", "?a=1", "https://h.test/single?a=1");
    }

    #[test]
    fn configured_query_comes_first_and_wins() {
        let base = "https://h.test/v1?api-version=2";
        check_join(
            base,
            "x?q=1&api-version=9&api%2Dversion=8",
            "https://h.test/v1/x?api-version=2&q=1",
        );
        check_join(base, "x", "https://h.test/v1/x?api-version=2");
    }

    #[test]
    fn ways_out_of_the_base_are_refused() {
        for path in [
            "..",
            "../x",
            "a/../b",
            "a/./b",
            "%2e%2e/x",
            ".%2E/x",
            "a%2f..%2fb",
            "a%5c..%5cb",
            "a\\b",
            "%252e%252e/x",
            "a%255c",
            "..;/x",
            "..;a=b/x",
            "a\nb",
            "a%0d%0ab",
            "a%00",
            "a#b",
        ] {
            assert!(
                joined("https://h.test/", "https://h.test/v1", path).is_err(),
                "{path}"
            );
        }
        for path in [
            "...",
            "a..b",
            ".well-known/x",
            "v1.5",
            "a%20b",
            "100%",
            "%zz",
        ] {
            assert!(
                joined("https://h.test/", "https://h.test/v1", path).is_ok(),
                "{path}"
            );
        }
    }

    proptest! {
        #[test]
        fn plain_paths_join_as_all_others_do(
            base in "https://h[.]test(/|/v1|/v1/|/a/b//)?(\\?|\\?v=1)?",
            path in "[-._/a-z:@=&;,+*?']{0,12}",
        ) {
            let base = Url::parse(&base).unwrap();
            if let Some(plain) = join_plain(&base, &base, &path) {
                let whole = join(&base, &base, &path).unwrap();
                prop_assert_eq!(&plain, &whole[url::Position::BeforePath..url::Position::AfterQuery]);
            }
        }

        #[test]
        fn whatever_the_path_the_base_stays(path in "[-./\\\\%25eEfFcC:@?&=a;#\u{0}ü ]{0,24}") {
            if let Ok(url) = joined("https://h.test/v1/single", "https://h.test/v1", &path) {
                prop_assert!(url.starts_with("https://h.test/v1/"), "{url}");
            }
        }
    }
}
