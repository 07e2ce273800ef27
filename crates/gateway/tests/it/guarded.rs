//! Who may not call.

use crate::kit::{KEY, Kit, exchange};

#[tokio::test]
async fn no_key_a_wrong_one_an_old_one_and_a_narrow_one() {
    let kit = Kit::new().await;
    let check = async |key: Option<(&str, &str)>, path: &str, want: u16| {
        let mut request = kit.client.get(kit.url(path));
        if let Some((name, value)) = key {
            request = request.header(name, value);
        }
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), want, "{key:?} {path}");
        if want == 401 {
            assert_eq!(reply.headers()["www-authenticate"], "Bearer");
            assert_eq!(reply.headers()["x-gatepass-error"], "gateway");
        }
    };
    check(None, "/other", 401).await;
    check(Some(("authorization", "Bearer nope")), "/other", 401).await;
    check(Some(("authorization", "Bearer gp_old")), "/other", 401).await;
    check(
        Some(("authorization", "Basic Z3BfdGVzdC1rZXk6")),
        "/other",
        401,
    )
    .await;
    check(Some(("x-api-key", KEY)), "/other", 200).await;
    check(Some(("api-key", KEY)), "/other", 200).await;
    check(Some(("authorization", "bearer gp_narrow")), "/other", 200).await;
    // Forbidden and unknown look the same.
    check(Some(("authorization", "Bearer gp_narrow")), "/churn", 404).await;
    check(Some(("authorization", "Bearer gp_narrow")), "/nobody", 404).await;
    // An unknown path without a key says nothing about what there is.
    check(None, "/nobody", 401).await;
    assert_eq!(kit.open.seen().len(), 3);
    assert!(kit.model.seen().is_empty());
}

#[tokio::test]
async fn strangers_names_pages_and_methods() {
    let kit = Kit::new().await;
    let here = kit.address();
    let check = async |head: &str, want: &str| {
        let request = format!("{head}\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n");
        let answer = exchange(here, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {want}")),
            "{head}\n{answer}"
        );
    };
    let host = format!("host: {here}");
    check(&format!("GET /other HTTP/1.1\r\n{host}"), "200").await;
    check("GET /other HTTP/1.1\r\nhost: gate.internal", "200").await;
    check("GET /other HTTP/1.1\r\nhost: localhost:1", "200").await;
    check("GET /other HTTP/1.1\r\nhost: evil.test", "421").await;
    check(
        &format!("GET /other HTTP/1.1\r\n{host}\r\norigin: https://evil.test"),
        "403",
    )
    .await;
    check(
        &format!("GET /other HTTP/1.1\r\n{host}\r\norigin: null"),
        "403",
    )
    .await;
    check(&format!("TRACE /other HTTP/1.1\r\n{host}"), "405").await;
    check(
        &format!("GET http://evil.test/other HTTP/1.1\r\n{host}"),
        "400",
    )
    .await;
    check(
        &format!("GET http://{here}/other HTTP/1.1\r\n{host}"),
        "200",
    )
    .await;
    check(
        "CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test:443",
        "421",
    )
    .await;
}

#[tokio::test]
async fn the_admin_listener_guards_itself_alike() {
    let kit = Kit::new().await;
    let admin = crate::kit::address(kit.gateway.admin_url().unwrap());
    let check = async |head: &str, want: &str| {
        let request = format!("{head}\r\nconnection: close\r\n\r\n");
        let answer = exchange(admin, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {want}")),
            "{head}\n{answer}"
        );
    };
    let host = format!("host: {admin}");
    check(&format!("GET /-/healthz HTTP/1.1\r\n{host}"), "200").await;
    check(&format!("GET /-/readyz HTTP/1.1\r\n{host}"), "200").await;
    check(
        &format!("GET /-/readyz?deployment=churn HTTP/1.1\r\n{host}"),
        "200",
    )
    .await;
    check(
        &format!("GET /-/readyz?deployment=nobody HTTP/1.1\r\n{host}"),
        "404",
    )
    .await;
    check(&format!("GET /-/deployments HTTP/1.1\r\n{host}"), "200").await;
    check(&format!("POST /-/healthz HTTP/1.1\r\n{host}"), "405").await;
    check("GET /-/metrics HTTP/1.1\r\nhost: evil.test", "421").await;
    check(
        &format!("GET /-/metrics HTTP/1.1\r\n{host}\r\norigin: http://evil.test"),
        "403",
    )
    .await;
    check(&format!("GET / HTTP/1.1\r\n{host}"), "404").await;
}
