//! Streaming in both directions, upgrades, and ends that come too early.

use std::time::Duration;

use gatepass_gateway::Gateway;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::kit::{KEY, Kit, address, client, keys, options, parse, until};

/// A gateway before an upstream that speaks as the test says.
async fn before_raw(listener: &TcpListener, more: &str) -> Gateway {
    let upstream = listener.local_addr().unwrap();
    let text = format!(
        "[deployments.m]\nurl = \"http://{upstream}/\"\nauthentication = \"bearer\"\ntoken = \"up\"\n{more}\n{}",
        keys()
    );
    Gateway::start(&options(), &parse(&text)).unwrap()
}

/// Reads a request's head.
async fn head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(
            stream.read_line(&mut head).await.unwrap() > 0,
            "closed: {head}"
        );
    }
    head
}

async fn send(gateway: &Gateway, head: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address(gateway.url())).await.unwrap();
    let head = format!("{head}\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

#[tokio::test]
async fn an_answer_streams_piece_by_piece() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let mut caller = send(&gateway, "GET /m/stream HTTP/1.1").await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    let got = head(&mut upstream).await;
    assert!(got.contains("authorization: Bearer up"), "{got}");
    let start =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    upstream.write_all(start.as_bytes()).await.unwrap();
    let answer = head(&mut caller).await;
    assert!(answer.contains("text/event-stream"));
    for number in 0..5 {
        // Each piece arrives before the next one is sent.
        let event = format!("data: {number}\n\n");
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        upstream.write_all(chunk.as_bytes()).await.unwrap();
        let mut got = vec![0; chunk.len()];
        caller.read_exact(&mut got).await.unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), chunk);
    }
    let end = "0\r\nx-checksum: 1\r\n\r\n";
    upstream.write_all(end.as_bytes()).await.unwrap();
    let mut got = vec![0; 5];
    caller.read_exact(&mut got).await.unwrap();
    assert_eq!(got, b"0\r\n\r\n", "the end, once it is there");
}

#[tokio::test]
async fn trailers_go_on_both_ways_but_for_credentials() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let ask = "POST /m HTTP/1.1\r\nte: trailers\r\ntransfer-encoding: chunked\r\ntrailer: x-sum";
    let mut caller = send(&gateway, ask).await;
    caller
        .write_all(b"2\r\nhi\r\n0\r\nx-sum: 1\r\nauthorization: Bearer mine\r\n\r\n")
        .await
        .unwrap();
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    let got = head(&mut upstream).await;
    assert!(got.contains("te: trailers"), "{got}");
    let want = "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n";
    let mut got = vec![0; want.len()];
    upstream.read_exact(&mut got).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), want);
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, x-gatepass-error\r\n\r\n\
                  2\r\nok\r\n0\r\nx-sum: 2\r\nx-gatepass-error: gateway\r\n\r\n";
    upstream.write_all(answer.as_bytes()).await.unwrap();
    assert!(head(&mut caller).await.contains("trailer: x-sum"));
    let want = "2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n";
    let mut got = vec![0; want.len()];
    caller.read_exact(&mut got).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), want);
}

#[tokio::test]
async fn a_request_streams_piece_by_piece() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let head_line = "POST /m HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue";
    let mut caller = send(&gateway, head_line).await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    let got = head(&mut upstream).await;
    assert!(
        got.contains("transfer-encoding: chunked") && !got.contains("expect"),
        "{got}"
    );
    let go_on = head(&mut caller).await;
    assert!(go_on.starts_with("HTTP/1.1 100"), "{go_on}");
    for piece in ["abc", "defg"] {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        caller.write_all(chunk.as_bytes()).await.unwrap();
        let mut got = vec![0; chunk.len()];
        upstream.read_exact(&mut got).await.unwrap();
        assert_eq!(String::from_utf8(got).unwrap().to_lowercase(), chunk);
    }
    caller.write_all(b"0\r\n\r\n").await.unwrap();
    upstream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await
        .unwrap();
    assert!(head(&mut caller).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_torn_answer_tears_the_callers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    for start in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        // A 401 whose body broke off is no whole 401.
        "HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let url = format!("{}/m", gateway.url());
        let call = tokio::spawn(client().get(url).bearer_auth(KEY).send());
        let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
        head(&mut upstream).await;
        upstream.write_all(start.as_bytes()).await.unwrap();
        let reply = call.await.unwrap().unwrap();
        drop(upstream);
        assert!(reply.bytes().await.is_err(), "{start} looked whole");
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_before_its_answer_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let url = format!("{}/m", gateway.url());
    let call = tokio::spawn(client().post(url).bearer_auth(KEY).body("x").send());
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    drop(upstream);
    let reply = call.await.unwrap().unwrap();
    assert_eq!(reply.status(), 502);
    assert!(
        reply
            .text()
            .await
            .unwrap()
            .contains("it may have been processed")
    );
}

#[tokio::test]
async fn silence_between_pieces_ends_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "idle_timeout = 0.3").await;
    let url = format!("{}/m", gateway.url());
    let call = tokio::spawn(client().get(url).bearer_auth(KEY).send());
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    let start = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    upstream.write_all(start.as_bytes()).await.unwrap();
    let reply = call.await.unwrap().unwrap();
    assert!(reply.bytes().await.is_err(), "the upstream never ended it");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_upstream_call_along() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let caller = send(&gateway, "GET /m HTTP/1.1").await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    drop(caller);
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), upstream.read_to_end(&mut rest));
    assert_eq!(closed.await.expect("still open").unwrap(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_the_upstream_closed_costs_no_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let url = format!("{}/m", gateway.url());
    for _ in 0..5 {
        let call = tokio::spawn(client().post(url.clone()).bearer_auth(KEY).body("x").send());
        let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
        head(&mut upstream).await;
        upstream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
        assert_eq!(call.await.unwrap().unwrap().text().await.unwrap(), "ok");
        // Kept by the gateway, closed here: the next call finds it dead.
        drop(upstream);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_upgrade_passes_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let ask =
        "GET /m/ws HTTP/1.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x";
    let mut caller = send(&gateway, ask).await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    let got = head(&mut upstream).await;
    assert!(
        got.contains("upgrade: websocket") && got.contains("connection: upgrade"),
        "{got}"
    );
    assert!(got.contains("authorization: Bearer up"), "{got}");
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    upstream.write_all(switch.as_bytes()).await.unwrap();
    let answer = head(&mut caller).await;
    assert!(
        answer.starts_with("HTTP/1.1 101") && answer.contains("upgrade: websocket"),
        "{answer}"
    );
    caller.write_all(b"ping").await.unwrap();
    let mut bytes = [0; 4];
    upstream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    upstream.write_all(b"pong").await.unwrap();
    caller.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"pong");
    drop(upstream);
    let mut rest = Vec::new();
    assert_eq!(
        caller.read_to_end(&mut rest).await.unwrap(),
        0,
        "one end is the other's"
    );
}

const ASK: &str =
    "GET /m/ws HTTP/1.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let mut caller = send(&gateway, "GET /m/ws HTTP/1.1").await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    upstream.write_all(SWITCH.as_bytes()).await.unwrap();
    let answer = head(&mut caller).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("x-gatepass-error: upstream"), "{answer}");
}

#[tokio::test]
async fn a_tunnel_is_under_way_until_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gateway = before_raw(&listener, "in_flight_limit = 1").await;
    let mut caller = send(&gateway, ASK).await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    upstream.write_all(SWITCH.as_bytes()).await.unwrap();
    head(&mut caller).await;
    let mut second = send(&gateway, "GET /m HTTP/1.1").await;
    assert!(head(&mut second).await.starts_with("HTTP/1.1 503"));
    // A drain waits for it, and takes it down in the end.
    assert!(!gateway.drain(Duration::from_millis(300)).await);
    caller.write_all(b"ping").await.unwrap();
    let mut bytes = [0; 4];
    upstream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping", "it still works");
}

#[tokio::test]
async fn a_tunnel_that_nothing_passes_through_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "idle_timeout = 0.4").await;
    let mut caller = send(&gateway, ASK).await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    upstream.write_all(SWITCH.as_bytes()).await.unwrap();
    head(&mut caller).await;
    for _ in 0..8 {
        // Either direction keeps it open.
        tokio::time::sleep(Duration::from_millis(100)).await;
        upstream.write_all(b"tick").await.unwrap();
        let mut bytes = [0; 4];
        caller.read_exact(&mut bytes).await.unwrap();
    }
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), caller.read_to_end(&mut rest));
    assert_eq!(closed.await.expect("still open").unwrap_or(0), 0);
}

/// The upstream closes the kept connection when it has read the next request: what is harmless is sent
/// again, anything else may have been processed.
async fn check_closed_under_a_request(request: &str, again: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let mut caller = send(&gateway, "GET /m HTTP/1.1").await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    upstream.write_all(ok).await.unwrap();
    head(&mut caller).await;
    let mut caller = send(&gateway, request).await;
    head(&mut upstream).await;
    drop(upstream);
    if again {
        let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
        let got = head(&mut upstream).await;
        assert!(got.contains("authorization: Bearer up"), "{got}");
        upstream.write_all(ok).await.unwrap();
    }
    let answer = head(&mut caller).await;
    let want = if again {
        "HTTP/1.1 200"
    } else {
        "HTTP/1.1 502"
    };
    assert!(answer.starts_with(want), "{request}: {answer}");
}

#[tokio::test]
async fn a_connection_closed_under_a_harmless_request_costs_no_call() {
    check_closed_under_a_request("GET /m HTTP/1.1", true).await;
    check_closed_under_a_request("HEAD /m HTTP/1.1", true).await;
    check_closed_under_a_request("POST /m HTTP/1.1\r\ncontent-length: 0", false).await;
    let told_apart = "POST /m HTTP/1.1\r\nidempotency-key: 7\r\ncontent-length: 0";
    check_closed_under_a_request(told_apart, true).await;
}

#[tokio::test]
async fn http2_callers_are_served_many_at_once() {
    let kit = Kit::new().await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let request = client
                .post(kit.url(&format!("/churn/{number}")))
                .bearer_auth(KEY);
            tokio::spawn(request.body("x".repeat(1000)).send())
        })
        .collect();
    for call in calls {
        let reply = call.await.unwrap().unwrap();
        assert_eq!(reply.version(), reqwest::Version::HTTP_2);
        assert_eq!(reply.status(), 200);
    }
    assert_eq!(kit.tokens.requests(), 1);
    assert_eq!(kit.gateway.connections(), 1);
}

#[tokio::test]
async fn a_slow_reader_holds_little_of_a_long_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let _caller = send(&gateway, "GET /m HTTP/1.1").await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    let start = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    upstream.write_all(start.as_bytes()).await.unwrap();
    // The caller reads nothing: what the gateway takes is bounded by buffers, far below all of it.
    let piece = vec![b'x'; 64 * 1024];
    let mut taken = 0;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(500), upstream.write(&piece)).await
    {
        taken += written.unwrap();
        assert!(
            taken < 64 * 1024 * 1024,
            "{taken} bytes taken, and nobody reads them"
        );
    }
    until("the gateway still serves", async || {
        gateway.connections() == 1
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_never_reads_its_answer_is_let_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let text = format!(
        "[deployments.m]\nurl = \"http://{upstream}/\"\nauthentication = \"none\"\nidle_timeout = 0.3\n\
         in_flight_limit = 1\n{}",
        keys()
    );
    let mut options = options();
    options.quiet_timeout = Duration::from_millis(500);
    let gateway = Gateway::start(&options, &parse(&text)).unwrap();
    let _caller = send(&gateway, "GET /m HTTP/1.1").await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    let start = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    upstream.write_all(start.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 64 * 1024];
    // Its connection to the upstream is closed in the end, and its place is free again.
    let endless = async { while upstream.write_all(&piece).await.is_ok() {} };
    let closed = tokio::time::timeout(Duration::from_secs(20), endless).await;
    assert!(closed.is_ok(), "it was never let go");
    until("nobody is connected", async || gateway.connections() == 0).await;
    let mut next = send(&gateway, "GET /m HTTP/1.1").await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    upstream
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap();
    assert!(head(&mut next).await.starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn an_early_answer_is_seen_by_a_caller_who_still_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let url = format!("{}/m", gateway.url());
    let body = vec![b'x'; 8 * 1024 * 1024];
    let call = tokio::spawn(client().post(url).bearer_auth(KEY).body(body).send());
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    let early =
        "HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\ncontent-length: 4\r\n\r\nmuch";
    upstream.write_all(early.as_bytes()).await.unwrap();
    let reply = call.await.unwrap().unwrap();
    assert_eq!(reply.status(), 413);
    assert!(!reply.headers().contains_key("x-gatepass-error"));
    assert_eq!(reply.text().await.unwrap(), "much");
}

#[tokio::test]
async fn an_upstream_that_speaks_something_else_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before_raw(&listener, "").await;
    let url = format!("{}/m", gateway.url());
    let call = tokio::spawn(client().get(url).bearer_auth(KEY).send());
    let mut upstream = listener.accept().await.unwrap().0;
    upstream
        .write_all(b"SSH-2.0-OpenSSH_9.2\r\n")
        .await
        .unwrap();
    let reply = call.await.unwrap().unwrap();
    assert_eq!(reply.status(), 502);
    let why = reply.text().await.unwrap();
    assert!(
        why.contains("no HTTP answer") && why.contains("check its URL and port"),
        "{why}"
    );
}

#[tokio::test]
async fn quiet_connections_end_and_busy_ones_do_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let text = format!(
        "[deployments.m]\nurl = \"http://{upstream}/\"\nauthentication = \"none\"\n{}",
        keys()
    );
    let mut options = options();
    options.quiet_timeout = Duration::from_millis(300);
    let gateway = Gateway::start(&options, &parse(&text)).unwrap();
    let mut idle = TcpStream::connect(address(gateway.url())).await.unwrap();
    let mut slow = TcpStream::connect(address(gateway.url())).await.unwrap();
    slow.write_all(b"GET /m HTTP/1.1\r\nhost: loc")
        .await
        .unwrap();
    let mut caller = send(&gateway, "GET /m HTTP/1.1").await;
    let mut upstream = BufReader::new(listener.accept().await.unwrap().0);
    head(&mut upstream).await;
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).await.unwrap(), 0);
    assert_eq!(slow.read_to_end(&mut rest).await.unwrap(), 0);
    // Whoever waits for an answer is not quiet, however long it takes.
    tokio::time::sleep(Duration::from_millis(900)).await;
    upstream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await
        .unwrap();
    assert!(head(&mut caller).await.starts_with("HTTP/1.1 200"));
    let mut body = [0; 2];
    caller.read_exact(&mut body).await.unwrap();
    assert_eq!(
        caller.read_to_end(&mut rest).await.unwrap(),
        0,
        "and then it is"
    );
}
