//! Faults that need a socket of their own: silence, half a reply, nobody there.

use std::sync::Arc;

use gatepass_core::{Deployment, Endpoint, SystemClock};
use gatepass_oauth::{OAuth, TokenCache};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn deployment(token_url: &str, cache: &TokenCache) -> Deployment {
    let method = OAuth::builder(token_url.parse().unwrap(), "id", "c4nary")
        .cache(cache.clone())
        .build_with_reqwest(Default::default());
    let endpoint = Endpoint::parse(Some("https://models.test/"), None, false).unwrap();
    Deployment::new("churn", endpoint, vec![method]).unwrap()
}

/// A server that answers every connection with these bytes and then closes it, or stays silent.
async fn serve(answer: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _request_read = stream.read(&mut request).await;
            match answer {
                Some(bytes) => {
                    let _client_gone = stream.write_all(bytes).await;
                }
                None => silent.push(stream),
            }
        }
    });
    url
}

async fn check(answer: Option<&'static [u8]>, needle: &str) {
    let url = serve(answer).await;
    let deployment = deployment(&url, &TokenCache::new());
    let error = deployment.headers(&SystemClock).await.unwrap_err();
    assert!(
        error.to_string().contains(needle),
        "no {needle:?} in {error}"
    );
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn half_a_reply_is_torn() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{\"access_token\":\"ab";
    check(Some(half), "broke off before its reply was whole").await;
    check(Some(b""), "broke off before its reply was whole").await;
    check(
        Some(b"garbage\r\n\r\n"),
        "broke off before its reply was whole",
    )
    .await;
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let deployment = deployment(&url, &TokenCache::new());
    let error = deployment.headers(&SystemClock).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

/// Both timers are real here: the exchange's 10 s end before the caller's 11 s.
#[tokio::test]
async fn silence_ends_within_the_callers_deadline() {
    check(None, "no token within 11 s").await;
}

#[tokio::test]
async fn a_token_outlives_its_handle() {
    let good = b"HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":\"3600\"}";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _request_read = stream.read(&mut request).await;
        stream.write_all(good).await.unwrap();
        drop(listener);
    });
    let cache = TokenCache::new();
    let first = Arc::new(deployment(&url, &cache));
    assert_eq!(
        first.headers(&SystemClock).await.unwrap()["authorization"],
        "Bearer t"
    );
    served.await.unwrap();
    drop(first);
    // The server is gone: only the cache can answer.
    let second = deployment(&url, &cache);
    assert_eq!(
        second.headers(&SystemClock).await.unwrap()["authorization"],
        "Bearer t"
    );
    assert!(!cache.is_empty());
}
