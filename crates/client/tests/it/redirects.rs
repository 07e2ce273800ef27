//! A credential goes only to its own origin, wherever a redirect leads.

use gatepass_client::Caller;
use gatepass_testkit::{Access, Model, Reply, Seen};

/// Two origins, and a caller whose credential and own header belong to the first.
struct Two {
    home: Model,
    elsewhere: Model,
    caller: Caller,
}

async fn two() -> Two {
    let home = Model::start(Access::Open).await.unwrap();
    let elsewhere = Model::start(Access::Open).await.unwrap();
    let builder = gatepass_client::custom("api-key", "k");
    let caller = builder
        .header("x-team", "ml")
        .base_url(&home.url("/v1"))
        .build()
        .unwrap();
    Two {
        home,
        elsewhere,
        caller,
    }
}

async fn check(status: u16, location: fn(&Two) -> String, want: u16) -> (Vec<Seen>, Vec<Seen>) {
    let two = two().await;
    two.home
        .next(Reply::status(status).header("location", &location(&two)));
    let request = two
        .caller
        .post("/predict")
        .header("x-session", "s")
        .header("accept", "text/plain");
    let response = request.body("a private prompt").send().await.unwrap();
    assert_eq!(response.status(), want, "{status}");
    (two.home.seen(), two.elsewhere.seen())
}

#[tokio::test]
async fn another_origin_sees_nothing_of_ours() {
    for status in [301, 302, 303] {
        let (home, elsewhere) = check(status, |two| two.elsewhere.url("/x?y"), 200).await;
        assert_eq!((home.len(), elsewhere.len()), (1, 1));
        let seen = &elsewhere[0];
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str(), &seen.body[..]),
            ("GET", "/x?y", &b""[..])
        );
        for name in ["api-key", "x-team", "x-session", "content-type", "referer"] {
            assert!(!seen.headers.contains_key(name), "{name}");
        }
        assert_eq!(seen.headers["accept"], "text/plain");
    }
    for status in [307, 308] {
        let (_, elsewhere) = check(status, |two| two.elsewhere.url("/x"), status).await;
        assert!(elsewhere.is_empty(), "a prompt is data too");
    }
}

#[tokio::test]
async fn the_same_origin_keeps_the_credential() {
    for status in [307, 308] {
        let (home, _) = check(status, |_| "/moved".to_owned(), 200).await;
        assert_eq!(home[1].target, "/moved");
        assert_eq!(home[1].headers["api-key"], "k");
        assert_eq!(
            (home[1].method.as_str(), &home[1].body[..]),
            ("POST", &b"a private prompt"[..])
        );
    }
    let (home, _) = check(303, |two| two.home.url("/result"), 200).await;
    assert_eq!(
        (home[1].method.as_str(), &home[1].body[..]),
        ("GET", &b""[..])
    );
    assert_eq!(home[1].headers["api-key"], "k");
    assert_eq!(home[1].headers["x-session"], "s");
}

#[tokio::test]
async fn what_cannot_be_followed_goes_to_the_caller() {
    for location in [
        "ftp://h.test/",
        "http://user:pw@127.0.0.1/",
        "http://",
        "\u{7f}",
    ] {
        let two = two().await;
        two.home
            .next(Reply::status(302).header("location", location));
        assert_eq!(
            two.caller.get("/x").send().await.unwrap().status(),
            302,
            "{location:?}"
        );
    }
}

#[tokio::test]
async fn led_back_home_it_stays_bare() {
    let two = two().await;
    two.home
        .next(Reply::status(302).header("location", &two.elsewhere.url("/a")));
    two.elsewhere
        .next(Reply::status(302).header("location", &two.home.url("/b")));
    assert_eq!(two.caller.get("/x").send().await.unwrap().status(), 200);
    let back = &two.home.seen()[1];
    assert_eq!(back.target, "/b");
    assert!(!back.headers.contains_key("api-key"));
}

#[tokio::test]
async fn a_circle_ends() {
    let two = two().await;
    for _ in 0..20 {
        two.home
            .next(Reply::status(302).header("location", "/again"));
    }
    assert_eq!(two.caller.get("/x").send().await.unwrap().status(), 302);
    assert_eq!(two.home.seen().len(), 11);
}
