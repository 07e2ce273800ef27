//! TLS towards upstreams: a private authority, a client certificate, HTTP/1.1 and HTTP/2.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gatepass_gateway::Gateway;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::kit::{KEY, client, keys, options, parse};

/// Writes `ca.pem`, and certificates with keys for a server and a client.
fn certificates(directory: &Path) {
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", ca.self_signed(&ca_key).unwrap().pem());
    let issuer = Issuer::new(ca, ca_key);
    for name in ["localhost", "client.test"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        write(&format!("{name}.pem"), pem);
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

/// What requests were like: version, path, credential, body.
type Seen = Arc<Mutex<Vec<String>>>;

/// An upstream that speaks these protocols and wants a client certificate; its port.
async fn upstream(directory: &Path, protocols: &[&str], seen: Seen) -> u16 {
    let read = |name: &str| std::fs::read(directory.join(name)).unwrap();
    let certificate = |name: &str| CertificateDer::from_pem_slice(&read(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![certificate("localhost.pem")],
            PrivateKeyDer::from_pem_slice(&read("localhost.key")).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(move |request: Request<Incoming>| {
                    let seen = Arc::clone(&seen);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let host = head.uri.authority().map_or_else(
                            || head.headers["host"].to_str().unwrap().to_owned(),
                            ToString::to_string,
                        );
                        seen.lock().unwrap().push(format!(
                            "{:?} {host} {} {} {} bytes",
                            head.version,
                            head.uri.path(),
                            head.headers["authorization"].to_str().unwrap(),
                            body.len(),
                        ));
                        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from("ok"))))
                    }
                });
                let builder = auto::Builder::new(TokioExecutor::new());
                let _over = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    port
}

fn gateway(port: u16, directory: &Path, more: &str) -> Gateway {
    let text = format!(
        "[deployments.m]\nbase_url = \"https://localhost:{port}/v1\"\nauthentication = \"bearer\"\ntoken = \"up\"\n\
         {}\n{}",
        more.replace("DIR", &directory.display().to_string()),
        keys()
    );
    Gateway::start(&options(), &parse(&text)).unwrap()
}

const ALL: &str = "ca_file = \"DIR/ca.pem\"\nclient_cert = \"DIR/client.test.pem\"\nclient_key = \"DIR/client.test.key\"";

#[tokio::test]
async fn either_version_is_spoken_with_the_deployments_certificates() {
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path());
    for (protocols, version) in [
        (["h2", "http/1.1"].as_slice(), "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let seen = Seen::default();
        let port = upstream(directory.path(), protocols, Arc::clone(&seen)).await;
        let gateway = gateway(port, directory.path(), ALL);
        let client = client();
        for number in 0..3 {
            let url = format!("{}/m/{number}", gateway.url());
            let body = "x".repeat(10 * number);
            let reply = client.post(url).bearer_auth(KEY).body(body).send().await;
            let reply = reply.unwrap();
            assert_eq!(reply.status(), 200, "{version}");
            assert_eq!(reply.text().await.unwrap(), "ok");
        }
        let want = (0..3).map(|number| {
            let bytes = 10 * number;
            format!("{version} localhost:{port} /v1/{number} Bearer up {bytes} bytes")
        });
        assert_eq!(*seen.lock().unwrap(), want.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_callers_do_wrong_is_theirs_over_http2_too() {
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path());
    let seen = Seen::default();
    let port = upstream(directory.path(), &["h2"], Arc::clone(&seen)).await;
    let gateway = gateway(
        port,
        directory.path(),
        &format!("{ALL}\nrequest_body_limit = 1000"),
    );
    let pieces = (0..100).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let url = format!("{}/m/x", gateway.url());
    let reply = client().post(url).bearer_auth(KEY).body(body).send().await;
    let reply = reply.unwrap();
    assert_eq!(reply.status(), 413);
    assert!(reply.text().await.unwrap().contains("request_body_limit"));
}

#[tokio::test]
async fn what_wants_to_switch_protocols_goes_by_http1() {
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path());
    let seen = Seen::default();
    let port = upstream(directory.path(), &["h2", "http/1.1"], Arc::clone(&seen)).await;
    let gateway = gateway(port, directory.path(), ALL);
    for upgrade in [false, true, false] {
        let request = client()
            .get(format!("{}/m/x", gateway.url()))
            .bearer_auth(KEY);
        let request = if upgrade {
            request
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
        } else {
            request
        };
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let seen = seen.lock().unwrap();
    let versions: Vec<_> = seen.iter().map(|seen| &seen[..8]).collect();
    assert_eq!(versions, ["HTTP/2.0", "HTTP/1.1", "HTTP/2.0"]);
}

#[tokio::test]
async fn a_host_that_no_certificate_can_be_for_is_refused() {
    let text = "[deployments.m]\nurl = \"https://a-.example.com/\"\nauthentication = \"none\"\n";
    let why = Gateway::start(&options(), &parse(text)).unwrap_err();
    assert!(why.contains("no certificate can be for its host"), "{why}");
}

/// What a caller of this gateway gets, over which version and before which certificate.
async fn call(gateway: &Gateway, ca: &Path, version: reqwest::Version) -> reqwest::Result<String> {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([ca]);
    let builder = match version {
        reqwest::Version::HTTP_2 => builder,
        _ => builder.http1_only(),
    };
    let port = gateway.url().rsplit_once(':').unwrap().1;
    let url = format!("https://localhost:{port}/m/x");
    let reply = builder.build()?.get(url).bearer_auth(KEY).send().await?;
    assert_eq!(reply.version(), version);
    reply.text().await
}

#[tokio::test]
async fn callers_are_spoken_to_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    certificates(directory.path());
    let model = gatepass_testkit::Model::start(gatepass_testkit::Access::Open)
        .await
        .unwrap();
    let text = format!(
        "[deployments.m]\nbase_url = \"{}\"\nauthentication = \"none\"\n{}",
        model.url("/v1"),
        keys()
    );
    let mut options = options();
    options.tls = Some((at("localhost.pem"), at("localhost.key")));
    let gateway = Gateway::start(&options, &parse(&text)).unwrap();
    assert!(gateway.url().starts_with("https://127.0.0.1:"));
    for version in [reqwest::Version::HTTP_11, reqwest::Version::HTTP_2] {
        let got = call(&gateway, &at("ca.pem"), version).await;
        assert!(got.is_ok(), "{got:?}");
    }
    // Who does not speak TLS, or does not finish, harms nobody.
    let plain = crate::kit::address(&gateway.url().replace("https", "http"));
    let refused =
        crate::kit::exchange(plain, b"GET /m/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(!refused.contains("200"), "{refused}");
    let _silent = tokio::net::TcpStream::connect(plain).await.unwrap();

    // A renewed certificate counts from the next connection on; one that does not fit changes nothing.
    let old = std::fs::read(at("ca.pem")).unwrap();
    certificates(directory.path());
    gateway.reload(&parse(&text)).unwrap();
    assert!(
        call(&gateway, &at("ca.pem"), reqwest::Version::HTTP_2)
            .await
            .is_ok()
    );
    std::fs::write(at("old.pem"), old).unwrap();
    assert!(
        call(&gateway, &at("old.pem"), reqwest::Version::HTTP_2)
            .await
            .is_err()
    );
    std::fs::copy(at("client.test.key"), at("localhost.key")).unwrap();
    let why = gateway.reload(&parse(&text)).unwrap_err();
    assert!(
        why.contains("tls_cert") && why.contains("do not belong together"),
        "{why}"
    );
    assert!(
        call(&gateway, &at("ca.pem"), reqwest::Version::HTTP_2)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_told() {
    let directory = tempfile::tempdir().unwrap();
    certificates(directory.path());
    let port = upstream(directory.path(), &["h2"], Seen::default()).await;
    let check = async |more: &str, says: &str| {
        let gateway = gateway(port, directory.path(), more);
        let url = format!("{}/m/x", gateway.url());
        let reply = client().get(url).bearer_auth(KEY).send().await.unwrap();
        assert_eq!(reply.status(), 502);
        let text = reply.text().await.unwrap();
        assert!(text.contains(says), "{text}");
    };
    check("", "ca_file").await;
    let wrong = ALL.replace("ca.pem", "client.test.pem");
    check(&wrong, "with another key: set ca_file").await;
}
