//! Faults of a single reply: first while nothing is held, then while a live token is.

use std::time::Duration;

use bytes::Bytes;
use gatepass_testkit::Reply;
use tokio::time::Instant;

use super::Row;
use super::world::{CANARY, World, pass, shown};

/// What a reply should come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// It is a good token after all.
    Taken,
    /// It is an error, and the next attempt comes by itself.
    Transient,
    /// It is an error that is held, so that a bad secret cannot lock an account.
    Held,
}

pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) known_from: &'static str,
    pub(crate) want: Want,
    pub(crate) reply: Reply,
}

fn json(body: impl Into<Bytes>) -> Reply {
    Reply::json(body)
}

fn raw(pieces: &[(u64, &str)]) -> Reply {
    let piece = |(pause, text): &(u64, &str)| {
        (
            Duration::from_millis(*pause),
            Bytes::from((*text).to_owned()),
        )
    };
    Reply::raw(pieces.iter().map(piece).collect())
}

fn lifetime(field: &str) -> Reply {
    json(format!(
        "{{\"access_token\":\"tok-scripted\",\"token_type\":\"bearer\"{field}}}"
    ))
}

pub(crate) fn faults() -> Vec<Fault> {
    use Want::{Held, Taken, Transient};
    let fault = |name, known_from, want, reply| Fault {
        name,
        known_from,
        want,
        reply,
    };
    let error = |status: u16, code: &str| {
        let json = Reply::status(status).header("content-type", "application/json");
        json.body(format!("{{\"error\":\"{code}\"}}"))
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let good = "{\"access_token\":\"tok-scripted\",\"token_type\":\"bearer\",\"expires_in\":3600}";
    let drip: Vec<(Duration, Bytes)> = std::iter::once((
        Duration::ZERO,
        Bytes::from(format!("{head}content-length: {}\r\n\r\n", good.len())),
    ))
    .chain(
        good.bytes()
            .map(|byte| (Duration::from_millis(500), Bytes::from(vec![byte]))),
    )
    .collect();
    vec![
        fault(
            "200 with an empty body",
            "B16, Envoy",
            Transient,
            Reply::status(200),
        ),
        fault(
            "200 with an HTML page",
            "Envoy",
            Transient,
            Reply::status(200).body("<html>maintenance</html>"),
        ),
        fault(
            "200 with JSON that ends too early",
            "-",
            Transient,
            json("{\"access_token\":\"ab"),
        ),
        fault(
            "200 with `error`",
            "Go",
            Held,
            json("{\"error\":\"invalid_client\"}"),
        ),
        fault(
            "200 without `access_token`",
            "-",
            Transient,
            json("{\"token_type\":\"bearer\"}"),
        ),
        fault(
            "200 that echoes the secret",
            "leaks in logs",
            Transient,
            json(format!(
                "{{\"error_description\":\"{CANARY}\",\"token_type\":\"{CANARY}\"}}"
            )),
        ),
        fault(
            "a list instead of an object",
            "-",
            Transient,
            json("[1, 2]"),
        ),
        fault(
            "`access_token` twice",
            "-",
            Transient,
            json("{\"access_token\":\"a\",\"access_token\":\"b\",\"token_type\":\"bearer\"}"),
        ),
        fault(
            "CR LF in the token",
            "Envoy",
            Transient,
            json("{\"access_token\":\"a\\r\\nx: y\",\"token_type\":\"bearer\"}"),
        ),
        fault(
            "token type `mac`",
            "Envoy",
            Transient,
            json("{\"access_token\":\"a\",\"token_type\":\"mac\"}"),
        ),
        fault(
            "token type absent",
            "Envoy",
            Transient,
            json("{\"access_token\":\"a\",\"expires_in\":60}"),
        ),
        fault(
            "201 with a good token",
            "Envoy",
            Taken,
            Reply::status(201).body(good),
        ),
        fault(
            "a byte order mark",
            "-",
            Taken,
            json(format!("\u{feff}{good}")),
        ),
        fault(
            "`expires_in` \"3599\"",
            "Azure v1",
            Taken,
            lifetime(",\"expires_in\":\"3599\""),
        ),
        fault(
            "`expires_in` 3599.0",
            "Go",
            Taken,
            lifetime(",\"expires_in\":3599.0"),
        ),
        fault(
            "`expires_in` 10^18",
            "B18",
            Taken,
            lifetime(",\"expires_in\":1000000000000000000"),
        ),
        fault(
            "`expires_in` 10^300",
            "B18",
            Taken,
            lifetime(",\"expires_in\":1e300"),
        ),
        fault(
            "`expires_in` null",
            "-",
            Taken,
            lifetime(",\"expires_in\":null"),
        ),
        fault(
            "`expires_in` absent",
            "Envoy, Salesforce",
            Taken,
            lifetime(""),
        ),
        fault(
            "`expires_in` garbage",
            "B19",
            Taken,
            lifetime(",\"expires_in\":\"soon\""),
        ),
        fault(
            "`expires_in` 0",
            "B19, Envoy",
            Taken,
            lifetime(",\"expires_in\":0"),
        ),
        fault(
            "`expires_in` 1",
            "Envoy",
            Taken,
            lifetime(",\"expires_in\":1"),
        ),
        fault(
            "`expires_in` -1",
            "B19",
            Taken,
            lifetime(",\"expires_in\":-1"),
        ),
        fault(
            "400 `invalid_client`",
            "Envoy",
            Held,
            error(400, "invalid_client"),
        ),
        fault(
            "401 `invalid_client`",
            "Envoy",
            Held,
            error(401, "invalid_client"),
        ),
        fault(
            "400 `invalid_scope`",
            "-",
            Held,
            error(400, "invalid_scope"),
        ),
        fault("401 with an empty body", "-", Held, Reply::status(401)),
        fault(
            "403 with an empty body",
            "glewlwyd",
            Held,
            Reply::status(403),
        ),
        fault("404", "-", Transient, Reply::status(404)),
        fault("429", "convoys", Transient, Reply::status(429)),
        fault(
            "429 with `Retry-After: 30`",
            "Envoy",
            Transient,
            Reply::status(429).header("retry-after", "30"),
        ),
        fault("500", "Envoy", Transient, Reply::status(500)),
        fault(
            "503 with an HTML page",
            "-",
            Transient,
            Reply::status(503).body("<html>"),
        ),
        fault(
            "302 to elsewhere",
            "-",
            Transient,
            Reply::status(302).header("location", "https://evil.test/"),
        ),
        fault("no reply at all", "-", Transient, Reply::silence()),
        fault(
            "slow loris, a byte each 500 ms",
            "-",
            Transient,
            Reply::raw(drip),
        ),
        fault("a torn body", "B2", Transient, json(good).torn()),
        fault("closed before the head", "B2", Transient, raw(&[])),
        fault(
            "closed within the head",
            "B2",
            Transient,
            raw(&[(0, "HTTP/1.1 20")]),
        ),
        fault(
            "a length that is too short",
            "-",
            Transient,
            raw(&[(0, head), (0, "content-length: 9\r\n\r\n"), (0, good)]),
        ),
        fault(
            "no HTTP at all",
            "-",
            Transient,
            raw(&[(0, "220 smtp.example.com ESMTP\r\n")]),
        ),
        fault(
            "10 MB of body",
            "-",
            Transient,
            json(vec![b' '; 10 * 1024 * 1024]),
        ),
        fault(
            "an endless chunk",
            "-",
            Transient,
            raw(&[
                (0, head),
                (0, "transfer-encoding: chunked\r\n\r\nffffffffffff\r\n"),
                (0, &"x".repeat(100_000)),
            ]),
        ),
        fault(
            "gzip that nobody asked for",
            "gzip bomb",
            Transient,
            Reply::status(200)
                .header("content-encoding", "gzip")
                .body(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]),
        ),
        fault(
            "20,000 headers",
            "-",
            Transient,
            raw(&[(0, head), (0, &"x: y\r\n".repeat(20_000))]),
        ),
    ]
}

/// The fault once at the beginning, then health.
pub(crate) async fn at_first(fault: &Fault) -> Result<Row, String> {
    let world = World::new(3600)?;
    // Twice, because one hiccup is hidden from callers by design.
    let times = if fault.want == Want::Taken { 1 } else { 2 };
    for _ in 0..times {
        world.tokens.next(fault.reply.clone());
    }
    let before = Instant::now();
    let first = world.send().await;
    let waited = before.elapsed();
    let mut wrong = Vec::new();
    if waited > Duration::from_millis(11_100) {
        wrong.push(format!("a caller waited {}", shown(waited)));
    }
    let saw = match (&first, fault.want) {
        (Ok(_), Want::Taken) => "the token".to_owned(),
        (Ok(_), _) => {
            wrong.push("took it for a token".to_owned());
            "a token".to_owned()
        }
        (Err(error), want) => {
            if want == Want::Taken {
                wrong.push(format!("refused it: {error}"));
            }
            if error.is_retryable() != (want == Want::Transient) {
                wrong.push("says wrongly whether to try again".to_owned());
            }
            format!("an error after {}", shown(waited))
        }
    };
    let healed = Instant::now();
    let mut recovered = Duration::ZERO;
    for _ in 0..2_000 {
        if world.send().await.is_ok() {
            recovered = healed.elapsed();
            break;
        }
        pass(Duration::from_millis(100)).await;
    }
    let limit = match (fault.want, fault.name.contains("Retry-After")) {
        (Want::Taken, _) => Duration::from_secs(2),
        (_, true) => Duration::from_secs(62),
        (Want::Transient, _) => Duration::from_secs(25),
        (Want::Held, _) => Duration::from_secs(125),
    };
    if world.send().await.is_err() || recovered > limit {
        wrong.push(format!("not recovered within {}", shown(limit)));
    }
    let requests = world.tokens.requests();
    if requests > times + 2 {
        wrong.push(format!("{requests} token requests"));
    }
    wrong.extend(world.common_faults());
    Ok(Row {
        fault: fault.name,
        known_from: fault.known_from,
        callers_saw: saw,
        requests,
        recovered: if fault.want == Want::Taken {
            "-".to_owned()
        } else {
            shown(recovered)
        },
        wrong,
    })
}

/// The fault from the middle of a live token's life until past its end, then health: nobody notices
/// before its end, nobody is served after it.
pub(crate) async fn at_renewal(faults: &[Fault]) -> Result<Row, String> {
    let (mut requests, mut longest, mut count) = (0, Duration::ZERO, 0);
    let mut wrong = Vec::new();
    for fault in faults.iter().filter(|fault| fault.want != Want::Taken) {
        count += 1;
        let world = World::new(60)?;
        let first = world.send().await.map_err(|error| error.to_string())?.token;
        world.tokens.always(fault.reply.clone());
        let start = Instant::now();
        let mut complain = |what: &str| wrong.push(format!("{}: {what}", fault.name));
        while start.elapsed() < Duration::from_secs(120) {
            let before = Instant::now();
            match world.send().await {
                Ok(sent) if sent.token != first => complain("another token out of nowhere"),
                Ok(_) if start.elapsed() > Duration::from_secs(54) => {
                    complain("an expired token was used")
                }
                Ok(_) if before != Instant::now() => {
                    complain("a caller waited although a live token was held")
                }
                Ok(_) => {}
                Err(_) if start.elapsed() < Duration::from_millis(53_500) => {
                    complain("a live token was taken away")
                }
                Err(_) => {}
            }
            pass(Duration::from_millis(500)).await;
        }
        requests = requests.max(world.tokens.requests());
        world.tokens.heal();
        let healed = Instant::now();
        while world.send().await.is_err() && healed.elapsed() < Duration::from_secs(100) {
            pass(Duration::from_millis(100)).await;
        }
        let limit = if fault.want == Want::Held || fault.name.contains("Retry-After") {
            62
        } else {
            16
        };
        if healed.elapsed() > Duration::from_secs(limit) {
            wrong.push(format!(
                "{}: recovered after {}",
                fault.name,
                shown(healed.elapsed())
            ));
        }
        longest = longest.max(healed.elapsed());
        wrong.extend(world.common_faults());
    }
    wrong.dedup();
    if requests > 30 {
        wrong.push(format!("{requests} token requests in two minutes"));
    }
    Ok(Row {
        fault: "each of the refused ones above, from the middle of a token's life on",
        known_from: "B1, B17, Envoy",
        callers_saw: format!("{count} times: the live token until its end, then an error at once"),
        requests,
        recovered: shown(longest),
        wrong,
    })
}
