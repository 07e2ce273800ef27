//! How much a deployment takes at once, and how long a body may be.

use std::time::Duration;

use gatepass_testkit::Reply;

use crate::kit::{KEY, Kit, keys, parse, until};

const LIMITED: &str = "in_flight_limit = 2\nrequest_body_limit = 1000\n";

#[tokio::test]
async fn more_than_the_limit_at_once_is_told_to_come_back() {
    let kit = Kit::with(LIMITED).await;
    let late = || {
        Reply::status(200)
            .body("late")
            .after(Duration::from_millis(700))
    };
    kit.open.next(late());
    kit.open.next(late());
    let calls: Vec<_> = (0..2)
        .map(|_| tokio::spawn(kit.client.get(kit.url("/other")).bearer_auth(KEY).send()))
        .collect();
    let line = "gatepass_in_flight{deployment=\"other\",caller=\"tests\"}";
    until("both are under way", async || {
        kit.counted(line).await == Some(2)
    })
    .await;
    // A reload in between forgets nothing.
    let text = format!("{}{}", kit.config(LIMITED), keys());
    kit.gateway.reload(&parse(&text)).unwrap();

    let refused = kit.get("/other").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["x-gatepass-error"], "gateway");
    assert!(!refused.headers().contains_key("x-should-retry"));
    let why = refused.text().await.unwrap();
    assert!(why.contains("in_flight_limit"), "{why}");

    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().text().await.unwrap(), "late");
    }
    until("both have ended", async || {
        kit.counted(line).await == Some(0)
    })
    .await;
    for _ in 0..5 {
        let reply = kit.get("/other").await;
        assert_eq!(reply.status(), 200, "a refused one takes no place");
        reply.bytes().await.unwrap();
    }
}

/// A body of so many bytes, told beforehand or not.
async fn check(kit: &Kit, bytes: usize, told: bool, want: u16) {
    let request = kit.client.post(kit.url("/other")).bearer_auth(KEY);
    let body = vec![b'x'; bytes];
    let request = if told {
        request.body(body)
    } else {
        let pieces: Vec<_> = body.chunks(100).map(<[u8]>::to_vec).collect();
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        request.body(reqwest::Body::wrap_stream(futures_util::stream::iter(
            pieces,
        )))
    };
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), want, "{bytes} bytes, told: {told}");
    let text = reply.text().await.unwrap();
    assert_eq!(text.contains("request_body_limit"), want == 413, "{text}");
}

#[tokio::test]
async fn a_body_over_the_limit_goes_no_further() {
    let kit = Kit::with(LIMITED).await;
    for told in [true, false] {
        check(&kit, 1000, told, 200).await;
        check(&kit, 1001, told, 413).await;
        check(&kit, 100_000, told, 413).await;
        check(&kit, 10, told, 200).await;
    }
    let seen = kit.open.seen();
    let whole = seen.iter().filter(|seen| seen.body.len() == 1000).count();
    assert_eq!(whole, 2);
    assert!(
        seen.iter().all(|seen| seen.body.len() <= 1000),
        "more than that reached the upstream as a whole request"
    );
}
