//! Reload, drain, metrics, sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gatepass_gateway::{Gateway, Keys, Listen, Options};
use gatepass_testkit::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{KEY, Kit, client, keys, options, parse, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_reloads_under_load_drop_nothing() {
    let kit = Kit::new().await;
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (client, url) = (kit.client.clone(), kit.url("/churn/x"));
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.get(&url).bearer_auth(KEY).send().await.unwrap();
                    assert_eq!(reply.status(), 200);
                    reply.bytes().await.unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for number in 0..200 {
        let more = format!(
            "[deployments.n{number}]\nurl = \"https://n.example.com/\"\nauthentication = \"none\"\n"
        );
        let text = format!("{}{}", kit.config(&more), keys());
        kit.gateway.reload(&parse(&text)).unwrap();
        let before = served.load(Ordering::Relaxed);
        until("calls go on", async || {
            served.load(Ordering::Relaxed) > before
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(
        kit.tokens.requests(),
        1,
        "what did not change keeps its token"
    );
    assert_eq!(
        kit.get("/n199").await.status(),
        502,
        "the last one is there"
    );
    assert_eq!(kit.get("/n198").await.status(), 404);
}

#[tokio::test]
async fn a_reload_that_cannot_be_changes_nothing() {
    let kit = Kit::new().await;
    let more = "[deployments.tls]\nurl = \"https://x.example.com/\"\nauthentication = \"none\"\nca_file = \"/nowhere.pem\"\n";
    let text = format!("{}{}", kit.config(more), keys());
    let why = kit.gateway.reload(&parse(&text)).unwrap_err();
    assert!(why.contains("\"tls\"") && why.contains("ca_file"), "{why}");
    let without = kit.config("");
    let why = kit.gateway.reload(&parse(&without)).unwrap_err();
    assert!(why.contains("[[gateway.keys]]"), "{why}");
    assert_eq!(kit.get("/churn").await.status(), 200);
    let one_key = keys().replace("\"*\"", "\"other\"");
    let text = format!("{}{one_key}", kit.config(""));
    kit.gateway.reload(&parse(&text)).unwrap();
    assert_eq!(
        kit.get("/churn").await.status(),
        404,
        "from the next request on"
    );
    assert_eq!(kit.get("/other").await.status(), 200);
}

#[tokio::test]
async fn draining_ends_what_is_under_way_and_takes_nothing_new() {
    let mut kit = Kit::new().await;
    kit.get("/other").await.bytes().await.unwrap();
    kit.open.next(
        Reply::status(200)
            .body("late")
            .after(Duration::from_millis(600)),
    );
    let slow = tokio::spawn(kit.client.get(kit.url("/other")).bearer_auth(KEY).send());
    let line = "gatepass_in_flight{deployment=\"other\",caller=\"tests\"}";
    until("it is under way", async || {
        kit.counted(line).await == Some(1)
    })
    .await;
    let admin = kit.gateway.admin_url().unwrap().to_owned();
    let address = kit.address();
    assert!(kit.gateway.drain(Duration::from_secs(10)).await);
    assert_eq!(slow.await.unwrap().unwrap().text().await.unwrap(), "late");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let ready = client()
        .get(format!("{admin}/-/readyz"))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_drain() {
    let mut kit = Kit::new().await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(tokio::net::TcpStream::connect(kit.address()).await.unwrap());
    }
    until("all are accepted", async || kit.gateway.connections() == 50).await;
    assert!(kit.gateway.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_unix_socket_serves_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gate.sock");
    let text = "[deployments.gone]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"none\"\n";
    let mut options = Options::on(Listen::Unix(path.clone()));
    options.threads = Some(1);
    options.keys = Keys::Nobody;
    let mut gateway = Gateway::start(&options, &parse(text)).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let taken = Gateway::start(&options, &parse(text)).unwrap_err();
    assert!(taken.contains("cannot listen"), "{taken}");
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let request = "GET /gone HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    drop(stream);
    assert!(gateway.drain(Duration::from_secs(10)).await);
    // What is left behind does not stop the next one.
    Gateway::start(&options, &parse(text)).unwrap();
}

#[tokio::test]
async fn no_keys_is_for_this_machine_alone() {
    let text = "[deployments.a]\nurl = \"https://a.example.com/\"\nauthentication = \"none\"\n";
    let mut options = Options::on("0.0.0.0:0".parse().unwrap());
    options.keys = Keys::Nobody;
    let why = Gateway::start(&options, &parse(text)).unwrap_err();
    assert!(why.contains("--no-keys"), "{why}");
}

#[tokio::test]
async fn a_made_key_opens_all_and_is_the_only_one() {
    let text = "[deployments.gone]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"none\"\n";
    let gateway = Gateway::start(&options(), &parse(text)).unwrap();
    let key = gateway.start_key().unwrap();
    let url = format!("{}/gone", gateway.url());
    let status = async |key: &str| {
        let reply = client().get(&url).bearer_auth(key).send().await.unwrap();
        reply.status().as_u16()
    };
    assert_eq!(status(key).await, 502);
    assert_eq!(status(KEY).await, 401);
}

#[tokio::test]
async fn metrics_are_well_formed_and_hold_no_secret() {
    let kit = Kit::new().await;
    kit.get("/churn").await.bytes().await.unwrap();
    kit.get("/churn/a%2f..").await.bytes().await.unwrap();
    let url = format!("{}/-/metrics", kit.gateway.admin_url().unwrap());
    let reply = kit.client.get(&url).send().await.unwrap();
    let kind = reply.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"));
    let text = reply.text().await.unwrap();
    let mut known = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            known.push(rest.split(' ').next().unwrap().to_owned());
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        let of = |known: &String| {
            let rest = name.strip_prefix(known.as_str());
            rest.is_some_and(|rest| matches!(rest, "" | "_bucket" | "_sum" | "_count"))
        };
        assert!(known.iter().any(of), "{line} has no type");
    }
    for secret in ["c4nary", KEY, "tok-"] {
        assert!(!text.contains(secret), "{secret} in the metrics");
    }
    let errors = "gatepass_errors_total{deployment=\"churn\",caller=\"tests\",part=\"gateway\"}";
    assert_eq!(kit.metric(errors).await, 1);
    let count = "gatepass_upstream_seconds_count{deployment=\"churn\",caller=\"tests\"}";
    assert_eq!(kit.metric(count).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_callers_at_once() {
    let kit = Kit::new().await;
    let client = client();
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let (client, url) = (client.clone(), kit.url("/churn/x"));
            tokio::spawn(async move { client.get(url).bearer_auth(KEY).send().await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(kit.tokens.requests(), 1);
    assert!(kit.gateway.connections() > 100);
    drop(client);
    until("all are gone", async || kit.gateway.connections() == 0).await;
}
