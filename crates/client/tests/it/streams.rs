//! Streaming both ways, and the timers: first byte, idle, total.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use gatepass_client::ErrorKind;
use gatepass_core::TransportSettings;
use gatepass_testkit::{Access, Model, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_body_streams_up() {
    let model = Model::start(Access::Open).await.unwrap();
    let caller = gatepass_client::bearer("t")
        .url(&model.url("/"))
        .build()
        .unwrap();
    let pieces = futures_util::stream::iter(
        (0..100).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 1000]))),
    );
    let response = caller
        .post("")
        .stream(reqwest::Body::wrap_stream(pieces))
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.text().await.unwrap(),
        "{\"prediction\":0.87,\"bytes\":100000}"
    );
    assert_eq!(model.seen()[0].headers["transfer-encoding"], "chunked");
}

/// A server that sends one chunk, and the next one only when told.
async fn stepwise() -> (String, tokio::sync::mpsc::Sender<&'static str>) {
    let (sender, mut steps) = tokio::sync::mpsc::channel::<&'static str>(8);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _request_read = stream.read(&mut request).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        while let Some(text) = steps.recv().await {
            let chunk = format!("{:x}\r\n{text}\r\n", text.len());
            stream.write_all(chunk.as_bytes()).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    });
    (url, sender)
}

#[tokio::test]
async fn tokens_arrive_one_by_one() {
    let (url, step) = stepwise().await;
    let caller = gatepass_client::bearer("t").url(&url).build().unwrap();
    let mut pieces = std::pin::pin!(caller.get("").send().await.unwrap().bytes_stream());
    for text in ["data: a\n\n", "data: b\n\n"] {
        step.send(text).await.unwrap();
        // Received before the next one is sent, so nothing waits for the end.
        assert_eq!(pieces.next().await.unwrap().unwrap(), text);
    }
    drop(step);
    assert!(pieces.next().await.is_none());
}

fn limits(change: impl FnOnce(&mut TransportSettings)) -> TransportSettings {
    let mut transport = TransportSettings::default();
    change(&mut transport);
    transport
}

#[tokio::test]
async fn a_pause_midway_ends_by_the_idle_timeout() {
    let (url, step) = stepwise().await;
    let transport = limits(|limits| limits.idle_timeout = Duration::from_millis(100));
    let caller = gatepass_client::bearer("t")
        .url(&url)
        .transport(transport)
        .build()
        .unwrap();
    let mut response = caller.get("").send().await.unwrap();
    step.send("a").await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "a");
    let error = response.chunk().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("idle_timeout"), "{error}");
}

#[tokio::test]
async fn silence_ends_by_the_first_byte_or_the_total_timeout() {
    let model = Model::start(Access::Open).await.unwrap();
    let first_byte = limits(|limits| limits.first_byte_timeout = Duration::from_millis(100));
    let total = limits(|limits| limits.total_timeout = Some(Duration::from_millis(100)));
    for transport in [first_byte, total] {
        model.next(Reply::silence());
        let caller = gatepass_client::bearer("t")
            .url(&model.url("/"))
            .transport(transport);
        let error = caller.build().unwrap().get("").send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    model.next(Reply::silence());
    let caller = gatepass_client::bearer("t")
        .url(&model.url("/"))
        .build()
        .unwrap();
    let error = caller
        .get("")
        .timeout(Duration::from_millis(100))
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn a_torn_answer_is_an_error_never_a_clean_end() {
    let model = Model::start(Access::Open).await.unwrap();
    model.next(Reply::status(200).body("half").torn());
    let caller = gatepass_client::bearer("t")
        .url(&model.url("/?key=c4nary"))
        .build()
        .unwrap();
    let error = caller
        .get("")
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken, "{error}");
    assert!(!error.to_string().contains("c4nary"), "{error}");
}
