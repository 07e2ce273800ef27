//! Every way an answer may come apart, and every way it may lie about its end.

use std::collections::VecDeque;

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, StatusCode};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::routes::Route;

fn outgoing(method: Method) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("*/*"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("999"));
    headers.insert(HOST, HeaderValue::from_static("m.test"));
    Outgoing {
        route: Route::for_tests(),
        method,
        target: "/v1?a=1".parse().unwrap(),
        headers,
    }
}

/// What a caller gets of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: StatusCode,
    headers: Vec<String>,
    body: Vec<u8>,
    trailers: Vec<String>,
    /// Whether the connection serves another request.
    settled: bool,
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let line = |(name, value): (&http::HeaderName, &HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    headers.iter().map(line).collect()
}

/// Sends a request, and reads an answer that comes in these pieces; closed after it where told so.
fn exchange(method: Method, pieces: Vec<Vec<u8>>, close: bool) -> Result<Got, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(256 * 1024);
        let mut connection = Connection::over(Io::Memory(near));
        let upstream = answering(far, pieces, close);
        let calling = async {
            let request = outgoing(method);
            let answer = connection.send(&request, RequestBody::Empty).await;
            let response = answer.map_err(|failed| format!("{failed:?}"))?;
            let (mut body, mut trailers) = (Vec::new(), Vec::new());
            while let Some(frame) = poll_fn(|context| connection.poll_frame(context)).await {
                match frame.map_err(|why| why.to_string())?.into_data() {
                    Ok(piece) => body.extend_from_slice(&piece),
                    Err(frame) => trailers = lines(&frame.into_trailers().unwrap()),
                }
            }
            Ok::<_, String>((response, body, trailers))
        };
        let limit = std::time::Duration::from_secs(2);
        let both = async { tokio::join!(calling, upstream) };
        let both = tokio::time::timeout(limit, both).await;
        let (called, far) = both.map_err(|_| "it waits for more".to_owned())?;
        let (response, body, trailers) = called?;
        let settled = connection.is_settled();
        drop(far);
        Ok(Got {
            status: response.status(),
            headers: lines(response.headers()),
            body,
            trailers,
            settled,
        })
    })
}

/// Writes the pieces; the stream stays open unless it is to be closed.
async fn answering(
    mut far: DuplexStream,
    pieces: Vec<Vec<u8>>,
    close: bool,
) -> Option<DuplexStream> {
    for piece in pieces {
        far.write_all(&piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    (!close).then_some(far)
}

fn check(answer: &str, want: &str, body: &str, settled: bool) {
    let whole = exchange(Method::GET, vec![answer.as_bytes().to_vec()], false).unwrap();
    let got = format!("{} {}", whole.status.as_u16(), whole.headers.join(", "));
    assert_eq!(got, want, "{answer}");
    assert_eq!(String::from_utf8_lossy(&whole.body), body, "{answer}");
    assert_eq!(whole.settled, settled, "{answer}");
    // However the bytes are cut, they mean the same.
    let bytes = answer.as_bytes().iter().map(|byte| vec![*byte]).collect();
    assert_eq!(exchange(Method::GET, bytes, false).unwrap(), whole);
}

#[test]
fn answers_end_where_they_say() {
    let ok = "HTTP/1.1 200 OK\r\n";
    check(
        &format!("{ok}content-length: 2\r\n\r\nok"),
        "200 content-length: 2",
        "ok",
        true,
    );
    check(
        &format!("{ok}content-length: 0\r\n\r\n"),
        "200 content-length: 0",
        "",
        true,
    );
    check(
        &format!("{ok}Content-Length: 2, 2\r\n\r\nok"),
        "200 content-length: 2, 2",
        "ok",
        true,
    );
    check(
        &format!("{ok}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n3;x=\"y\"\r\nyes\r\n0\r\n\r\n"),
        "200 transfer-encoding: chunked",
        "okyes",
        true,
    );
    check(
        &format!(
            "{ok}transfer-encoding: Chunked\r\nconnection: close\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"
        ),
        "200 transfer-encoding: Chunked, connection: close",
        "0123456789",
        false,
    );
    check("HTTP/1.1 204 No Content\r\n\r\n", "204 ", "", true);
    check(
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        "304 content-length: 9",
        "",
        true,
    );
    check(
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "200 content-length: 2",
        "ok",
        false,
    );
    check(
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        "200 connection: keep-alive, content-length: 2",
        "ok",
        true,
    );
    // Interim answers pass by.
    check(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "200 content-length: 2",
        "ok",
        true,
    );
    // Both framings: the coding counts, one framing goes on, and the connection ends.
    check(
        &format!("{ok}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        "200 transfer-encoding: chunked",
        "ok",
        false,
    );
}

#[test]
fn what_follows_unasked_ends_the_connection() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n".to_vec();
    let got = exchange(Method::GET, vec![answer], false).unwrap();
    assert_eq!(
        (got.body.as_slice(), got.settled),
        (b"ok".as_slice(), false)
    );
    let closed = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
    assert!(!exchange(Method::GET, vec![closed], true).unwrap().settled);
}

#[test]
fn a_head_may_tell_of_a_body_that_does_not_come() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec();
    let got = exchange(Method::HEAD, vec![answer], false).unwrap();
    assert_eq!(got.headers, ["content-length: 1000"]);
    assert!(got.body.is_empty() && got.settled);
}

#[test]
fn without_a_length_the_end_is_the_close() {
    let answer = || vec![b"HTTP/1.1 200 OK\r\n\r\nall of ".to_vec(), b"it".to_vec()];
    let got = exchange(Method::GET, answer(), true).unwrap();
    assert_eq!(String::from_utf8_lossy(&got.body), "all of it");
    assert!(!got.settled);
}

#[test]
fn trailers_go_on_but_for_those_that_mean_something_else() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\
                  Content-Length: 9\r\nauthorization: x\r\nX_Api_Key: x\r\nx-gatepass-error: gateway\r\n\r\n";
    let got = exchange(Method::GET, vec![answer.as_bytes().to_vec()], false).unwrap();
    assert_eq!(got.trailers, ["x-sum: 7"]);
    assert!(got.settled);
}

/// No answer, or one that never looks whole.
fn check_refused(answer: &str, close: bool, why: &str) {
    let refused = exchange(Method::GET, vec![answer.as_bytes().to_vec()], close).unwrap_err();
    assert!(refused.contains(why), "{answer}: {refused}");
    let bytes = answer.as_bytes().iter().map(|byte| vec![*byte]).collect();
    let refused = exchange(Method::GET, bytes, close).unwrap_err();
    assert!(refused.contains(why), "{answer}, byte by byte: {refused}");
}

#[test]
fn what_is_no_answer_is_refused() {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
    let malformed = "Malformed";
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        "HTTP/2 200\r\n\r\n".to_owned(),
        "HTTP/1.1 999999 OK\r\n\r\n".to_owned(),
        head("content-length: 2\r\ncontent-length: 3"),
        head("content-length: 2, 3"),
        head("content-length: +2"),
        head("content-length: -2"),
        head("content-length: 0x2"),
        head("content-length: "),
        head("content-length: 99999999999999999999"),
        head("transfer-encoding: gzip, chunked"),
        head("transfer-encoding: chunked, identity"),
        head("transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
        head("transfer-encoding: \u{b}chunked"),
        head("x: a\r\n folded"),
        head("x : a"),
        head("x\0: a"),
        head("x: a\0b"),
        head(": a"),
    ] {
        check_refused(&answer, false, malformed);
    }
    let many = "x: y\r\n".repeat(200);
    check_refused(&head(many.trim_end()), false, "too many headers");
    let long = format!("x: {}", "y".repeat(70 * 1024));
    let refused = exchange(Method::GET, vec![head(&long).into_bytes()], true);
    assert_eq!(
        refused.unwrap().headers[0].len(),
        long.len(),
        "all at once, it fits"
    );
    let endless = format!("HTTP/1.1 200 OK\r\n{long}");
    let refused = exchange(Method::GET, vec![endless.into_bytes()], false);
    assert!(refused.unwrap_err().contains("too long"));
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    let torn = "broke off";
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n",
    ] {
        check_refused(answer, true, torn);
    }
    for answer in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\n0\n\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
    ] {
        check_refused(answer, false, torn);
    }
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        check_refused(answer, true, "Broke { sent: true }");
    }
}

/// What the upstream reads of a request.
fn sent(method: Method, body: RequestBody) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(64);
        let mut connection = Connection::over(Io::Memory(near));
        let calling = async {
            let answer = connection.send(&outgoing(method), body).await;
            assert_eq!(answer.unwrap().status(), 204);
        };
        let reading = async {
            let mut seen = Vec::new();
            let mut buffer = [0; 16];
            loop {
                let quiet = std::time::Duration::from_millis(50);
                match tokio::time::timeout(quiet, far.read(&mut buffer)).await {
                    Ok(read) => seen.extend_from_slice(&buffer[..read.unwrap()]),
                    Err(_) => break,
                }
            }
            far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
            String::from_utf8(seen).unwrap()
        };
        tokio::join!(calling, reading).1
    })
}

#[test]
fn a_request_is_framed_once_by_what_is_sent() {
    let head =
        |method: &str| format!("{method} /v1?a=1 HTTP/1.1\r\nhost: m.test\r\naccept: */*\r\n");
    assert_eq!(
        sent(Method::GET, RequestBody::Empty),
        format!("{}\r\n", head("GET"))
    );
    assert_eq!(
        sent(Method::POST, RequestBody::Empty),
        format!("{}content-length: 0\r\n\r\n", head("POST"))
    );
    let pieces: VecDeque<Bytes> = [Bytes::from("ab"), Bytes::from("c".repeat(100))].into();
    assert_eq!(
        sent(Method::POST, RequestBody::Pieces(pieces)),
        format!(
            "{}content-length: 102\r\n\r\nab{}",
            head("POST"),
            "c".repeat(100)
        )
    );
}

#[test]
fn chunks_are_framed_and_trailers_sifted() {
    let (mut framing, mut out) = (Framing::Chunked, Vec::new());
    assert_eq!(framing.piece(b"", &mut out), Ok(b"".as_slice()));
    assert!(out.is_empty(), "an empty chunk would be the end");
    assert_eq!(framing.piece(&[b'x'; 26], &mut out), Ok(b"\r\n".as_slice()));
    assert_eq!(out, b"1a\r\n");
    out.clear();
    let mut trailers = HeaderMap::new();
    for name in [
        "x-sum",
        "x-model-key",
        "x_model_key",
        "authorization",
        "content-length",
        "host",
    ] {
        trailers.insert(name, HeaderValue::from_static("7"));
    }
    let route = Route::for_tests();
    let owned = route.deployment.credentials().owned();
    let sifted = crate::strip::trailers(Frame::trailers(trailers), Some(owned));
    let sifted = sifted.into_trailers().unwrap();
    framing.end(&sifted, &mut out).unwrap();
    assert_eq!(out, b"0\r\nx-sum: 7\r\n\r\n");
    assert!(framing.has_ended());
}

#[test]
fn a_length_is_kept_to() {
    let mut out = Vec::new();
    let mut framing = Framing::Length(3);
    assert!(framing.piece(b"ab", &mut out).is_ok());
    assert_eq!(framing.end(&HeaderMap::new(), &mut out), Err(Failed::Body));
    let mut framing = Framing::Length(3);
    assert_eq!(framing.piece(b"abcd", &mut out), Err(Failed::Body));
    assert!(out.is_empty());
}

#[test]
fn one_connection_serves_many() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let mut connection = Connection::over(Io::Memory(near));
        for number in 0..2000_usize {
            let body = "x".repeat(number * 7 % 3000);
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            far.write_all(answer.as_bytes()).await.unwrap();
            let request = outgoing(Method::GET);
            connection.send(&request, RequestBody::Empty).await.unwrap();
            let mut got = 0;
            while let Some(frame) = poll_fn(|context| connection.poll_frame(context)).await {
                got += frame.unwrap().into_data().unwrap().len();
            }
            assert_eq!(got, body.len());
            assert!(connection.is_settled());
            let mut sink = vec![0; 256];
            let _request = far.read(&mut sink).await.unwrap();
        }
        drop(far);
        assert!(!connection.is_settled());
    });
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
        answer.extend_from_slice(&bytes);
        let _either = exchange(Method::GET, vec![bytes], true);
        let _either = exchange(Method::GET, vec![answer], true);
    }

    #[test]
    fn chunks_mean_the_same_however_they_are_cut(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2000), 0..8),
        cuts in proptest::collection::vec(1..500_usize, 1..20),
    ) {
        let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for piece in &pieces {
            answer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            answer.extend_from_slice(piece);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        let mut cut = Vec::new();
        for length in cuts.iter().cycle() {
            if answer.is_empty() {
                break;
            }
            let rest = answer.split_off((*length).min(answer.len()));
            cut.push(std::mem::replace(&mut answer, rest));
        }
        let got = exchange(Method::GET, cut, false).unwrap();
        prop_assert_eq!(got.body, pieces.concat());
        prop_assert!(got.settled);
    }
}
