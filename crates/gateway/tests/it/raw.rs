//! Bytes that are no honest request: refused, or forwarded unambiguously, once, with the credential
//! of the deployment that was named, and never a crash.

use crate::kit::{KEY, Kit, exchange};

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// Nothing reaches the upstream.
    Refused,
    /// Exactly these requests reach it, as method, target and body.
    Sent(&'static [(&'static str, &'static str, &'static str)]),
}

use Want::{Refused, Sent};

const ONE: Want = Sent(&[("GET", "/open", "")]);
const POST_ABC: Want = Sent(&[("POST", "/open", "abc")]);

/// `HOST` and `KEY` stand for the gateway's address and a good key.
const CASES: &[(&str, &str, Want)] = &[
    (
        "an honest one",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer KEY\r\n\r\n",
        ONE,
    ),
    // Framing.
    (
        "length and chunks",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /churn HTTP/1.1\r\nHost: HOST\r\n\r\n",
        // The chunks win (RFC 9112 s6.3), and go on as chunks; the length is gone.
        Sent(&[("POST", "/open", "")]),
    ),
    (
        "chunks and length",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "two lengths that differ",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        Refused,
    ),
    (
        "two lengths alike",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST_ABC,
    ),
    (
        "a list of lengths",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 3, 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a length with a sign",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: +3\r\n\r\nabc",
        Refused,
    ),
    (
        "a negative length",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: -1\r\n\r\n",
        Refused,
    ),
    (
        "a hexadecimal length",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 0x3\r\n\r\nabc",
        Refused,
    ),
    (
        "a length beyond 64 bits",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        Refused,
    ),
    (
        "an empty length",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length:\r\n\r\n",
        Refused,
    ),
    (
        "a space before the colon",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length : 3\r\n\r\nabc",
        Refused,
    ),
    (
        "an unknown coding",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "identity",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: identity\r\n\r\nabc",
        Refused,
    ),
    (
        "chunked twice",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked, then identity",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "two codings, the last is none",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a tab before chunked",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding:\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST_ABC,
    ),
    (
        "chunked in capitals",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST_ABC,
    ),
    (
        "chunks in HTTP/1.0",
        "POST /other HTTP/1.0\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk size with a sign",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk size that overflows",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk longer than it says",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a bare line feed after a chunk size",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk extension",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
        POST_ABC,
    ),
    (
        "a body that ends early",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 30\r\nConnection: close\r\n\r\nabc",
        Refused,
    ),
    (
        "a GET with a length",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 3\r\n\r\nabc",
        Sent(&[("GET", "/open", "abc")]),
    ),
    // The head.
    (
        "a folded line",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nX-A: 1\r\n 2\r\n\r\n",
        Refused,
    ),
    (
        "a folded first line",
        "GET /other HTTP/1.1\r\n Host: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "a bare carriage return in a value",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nX-A: 1\rAuthorization: x\r\n\r\n",
        Refused,
    ),
    (
        "a NUL in a value",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nX-A: 1\0\r\n\r\n",
        Refused,
    ),
    (
        "a NUL in a name",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nX\0A: 1\r\n\r\n",
        Refused,
    ),
    (
        "a space in a name",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nX A: 1\r\n\r\n",
        Refused,
    ),
    (
        "no name",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n: 1\r\n\r\n",
        Refused,
    ),
    (
        "no colon",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nnonsense\r\n\r\n",
        Refused,
    ),
    (
        "no Host",
        "GET /other HTTP/1.1\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "two Hosts",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "two Hosts that differ",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nHost: evil.test\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "an empty Host",
        "GET /other HTTP/1.1\r\nHost:\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "user-info in Host",
        "GET /other HTTP/1.1\r\nHost: a@HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "HTTP/1.2",
        "GET /other HTTP/1.2\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    ("HTTP/0.9", "GET /other\r\n\r\n", Refused),
    ("nonsense", "\u{1}\u{2}\u{3}\r\n\r\n", Refused),
    (
        "TLS to a plain port",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
        Refused,
    ),
    (
        "two spaces in the request line",
        "GET  /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "a tab in the request line",
        "GET\t/other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "blank lines first",
        "\r\n\r\nGET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        ONE,
    ),
    (
        "a name that is nobody's",
        "GET /OTHER HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    // Who is named by what.
    (
        "an absolute form elsewhere",
        "GET http://evil.test/other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "an absolute form with user-info",
        "GET http://a@HOST/other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "an asterisk",
        "OPTIONS * HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "dots that climb",
        "GET /other/../churn HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "dots that climb, encoded",
        "GET /other/%2e%2e/churn HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "a slash encoded, then dots",
        "GET /other/a%2f..%2f..%2fx HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "a backslash",
        "GET /other/a\\b HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "a backslash, encoded",
        "GET /other/a%5cb HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "a fragment",
        "GET /other/a#b HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Sent(&[("GET", "/open/a", "")]),
    ),
    (
        "an encoded line break",
        "GET /other/a%0d%0ab HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "an encoded NUL",
        "GET /other/a%00 HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "a name, encoded",
        "GET /%6fther HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    (
        "slashes first",
        "GET //other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Refused,
    ),
    // Headers that would take others along.
    (
        "Connection names Authorization",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nConnection: authorization, x-api-key\r\n\r\n",
        ONE,
    ),
    (
        "Connection names Host",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nConnection: host\r\n\r\n",
        ONE,
    ),
    (
        "Connection names Content-Length",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\nabc",
        POST_ABC,
    ),
    (
        "Api_Key beside a key",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nApi_Key: mine\r\n\r\n",
        ONE,
    ),
    (
        "an upgrade nobody answers to",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nConnection: upgrade\r\nUpgrade: nothing\r\n\r\n",
        ONE,
    ),
    (
        "an h2c upgrade",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        ONE,
    ),
    // One after the other.
    (
        "two at once",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\nGET /other/b HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\n",
        Sent(&[("GET", "/open", ""), ("GET", "/open/b", "")]),
    ),
    (
        "the second without a key",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\nGET /churn HTTP/1.1\r\nHost: HOST\r\n\r\n",
        ONE,
    ),
    (
        "the second by another name",
        "GET /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\n\r\nGET /other HTTP/1.1\r\nHost: evil.test\r\nx-api-key: KEY\r\n\r\n",
        ONE,
    ),
    (
        "a body that looks like a request",
        "POST /other HTTP/1.1\r\nHost: HOST\r\nx-api-key: KEY\r\nContent-Length: 33\r\n\r\nGET /churn HTTP/1.1\r\nHost: HOST\r\n",
        Sent(&[("POST", "/open", "GET /churn HTTP/1.1\r\nHost: HOST\r\n")]),
    ),
];

#[tokio::test]
async fn each_is_refused_or_forwarded_unambiguously() {
    let kit = Kit::new().await;
    let host = kit.address().to_string();
    let mut wrong = Vec::new();
    let mut before = 0;
    for (name, bytes, want) in CASES {
        // A body is sent as it is written: its length is counted.
        let (head, body) = bytes.split_once("\r\n\r\n").unwrap_or((bytes, ""));
        let fill = |text: &str| text.replace("HOST", &host).replace("KEY", KEY);
        let as_it_is = body.starts_with("GET /churn HTTP/1.1\r\nHost: HOST\r\n")
            && !body.ends_with("\r\n\r\n");
        let filled = if as_it_is {
            body.to_owned()
        } else {
            fill(body)
        };
        let end = if bytes.contains("\r\n\r\n") {
            "\r\n\r\n"
        } else {
            ""
        };
        let answer = exchange(
            kit.address(),
            format!("{}{end}{filled}", fill(head)).as_bytes(),
        )
        .await;
        if let Sent(expected) = want {
            // It may still be on its way.
            for _ in 0..100 {
                if kit.open.seen().len() >= before + expected.len() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        let seen = kit.open.seen();
        let sent: Vec<_> = seen[before..]
            .iter()
            .map(|seen| {
                (
                    seen.method.as_str(),
                    seen.target.as_str(),
                    String::from_utf8_lossy(&seen.body).into_owned(),
                )
            })
            .collect();
        let came: Vec<_> = sent
            .iter()
            .map(|(method, target, body)| (*method, *target, body.as_str()))
            .collect();
        let good = match want {
            Refused => came.is_empty() && !answer.starts_with("HTTP/1.1 2"),
            Sent(expected) => came == *expected,
        };
        if !good {
            let line = answer.lines().next().unwrap_or("closed").to_owned();
            wrong.push(format!("{name}: {line}, upstream saw {came:?}"));
        }
        for seen in &seen[before..] {
            let text = format!("{:?}", seen.headers);
            assert!(
                !text.contains("tok-"),
                "{name}: the credential of another deployment"
            );
            assert!(
                !text.contains(KEY) && !text.contains("mine"),
                "{name}: the caller's key"
            );
        }
        before = seen.len();
    }
    assert!(CASES.len() >= 60);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(kit.get("/other").await.status(), 200, "alive");
}

#[tokio::test]
async fn heads_are_bounded() {
    let kit = Kit::new().await;
    let host = kit.address();
    let check = async |head: String, want: &[&str]| {
        let request =
            format!("GET /other HTTP/1.1\r\nhost: {host}\r\nx-api-key: {KEY}\r\n{head}\r\n\r\n");
        let answer = exchange(host, request.as_bytes()).await;
        let fits = want.iter().any(|want| answer.starts_with(want)) || answer.is_empty();
        assert!(fits, "{}", answer.lines().next().unwrap_or(""));
    };
    check(
        format!("x-long: {}", "a".repeat(100_000)),
        &["HTTP/1.1 431"],
    )
    .await;
    check(
        "x: y\r\n".repeat(150).trim_end().to_owned(),
        &["HTTP/1.1 431"],
    )
    .await;
    let long = format!(
        "GET /other/{} HTTP/1.1\r\nhost: {host}\r\n\r\n",
        "a".repeat(100_000)
    );
    let answer = exchange(host, long.as_bytes()).await;
    assert!(
        answer.is_empty()
            || answer.starts_with("HTTP/1.1 414")
            || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert!(kit.open.seen().is_empty());
    assert_eq!(kit.get("/other").await.status(), 200);
}
