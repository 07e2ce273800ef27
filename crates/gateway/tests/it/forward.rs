//! What reaches the upstream, and what comes back.

use gatepass_testkit::Reply;
use serde_json::Value;

use crate::kit::{KEY, Kit};

#[tokio::test]
async fn the_credential_is_added_and_the_callers_own_goes_no_further() {
    let kit = Kit::new().await;
    let request = kit.client.post(kit.url("/churn/jobs?q=1"));
    let request = request
        .bearer_auth(KEY)
        .header("x-api-key", KEY)
        .header("api_key", "mine")
        .header("cookie", "session=1")
        .header("x-goog-api-key", "mine")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("x-tenant", "research")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .header("x-request-id", "abc-123")
        .body("{}");
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["x-request-id"], "abc-123");
    let seen = &kit.model.seen()[0];
    assert_eq!(seen.target, "/v1/jobs?v=1&q=1");
    assert_eq!(seen.body, "{}");
    let names: Vec<_> = seen.headers.keys().map(|name| name.as_str()).collect();
    for gone in [
        "x-api-key",
        "api_key",
        "cookie",
        "x-goog-api-key",
        "x-hop",
        "connection",
    ] {
        assert!(!names.contains(&gone), "{gone} reached the upstream");
    }
    let token = seen.headers["authorization"].to_str().unwrap();
    assert!(
        token.starts_with("Bearer tok-"),
        "the deployment's own token"
    );
    assert_eq!(seen.headers["x-tenant"], "research");
    assert!(seen.headers.contains_key("traceparent"));
    assert_eq!(seen.headers["x-request-id"], "abc-123");
    let host = kit.model.url("");
    assert_eq!(seen.headers["host"], host.trim_start_matches("http://"));
    assert!(!format!("{:?}", seen.headers).contains(KEY));
}

#[tokio::test]
async fn paths_follow_the_rules_of_the_deployment() {
    let kit = Kit::new().await;
    for (path, target) in [
        ("/churn", "/v1/predict?v=1"),
        ("/churn/", "/v1/predict?v=1"),
        ("/churn?a=1", "/v1/predict?v=1&a=1"),
        ("/churn/a/b?v=2&c=3", "/v1/a/b?v=1&c=3"),
        ("/churn//x", "/v1//x?v=1"),
        ("/churn/a%20b", "/v1/a%20b?v=1"),
    ] {
        assert_eq!(kit.get(path).await.status(), 200, "{path}");
        assert_eq!(kit.model.seen().last().unwrap().target, target, "{path}");
    }
    assert_eq!(kit.get("/other/x%2Fy").await.status(), 200);
    assert_eq!(kit.open.seen()[0].target, "/open/x%2Fy");
}

#[tokio::test]
async fn a_rejected_token_is_renewed_and_the_call_sent_once_more_with_its_body() {
    let kit = Kit::new().await;
    assert_eq!(kit.get("/churn").await.status(), 200);
    kit.tokens.revoke_all();
    let body = "x".repeat(50_000);
    let request = kit.client.post(kit.url("/churn/a")).bearer_auth(KEY);
    let reply = request.body(body.clone()).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let seen = kit.model.seen();
    assert_eq!(seen.len(), 3, "one call, one rejected, one more");
    assert!(seen[1].body == body && seen[2].body == body);
    assert_eq!(kit.tokens.requests(), 2);
    let line = "gatepass_replays_total{deployment=\"churn\",caller=\"tests\"}";
    assert_eq!(kit.metric(line).await, 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_sent_once_and_the_next_call_has_a_new_token() {
    let kit = Kit::new().await;
    assert_eq!(kit.get("/churn").await.status(), 200);
    kit.tokens.revoke_all();
    let request = kit.client.post(kit.url("/churn/a")).bearer_auth(KEY);
    let reply = request.body("x".repeat(200_000)).send().await.unwrap();
    assert_eq!(reply.status(), 401, "the upstream's own answer");
    assert!(!reply.headers().contains_key("x-gatepass-error"));
    assert_eq!(kit.get("/churn").await.status(), 200);
}

#[tokio::test]
async fn errors_say_who_failed_and_what_to_do() {
    let kit = Kit::with(
        "[deployments.gone]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"none\"\n\
         [deployments.unset]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"bearer\"\n\
         token = { env = \"GATEPASS_TEST_NEVER_SET\" }\n",
    )
    .await;
    let check = async |path: &str, status: u16, part: &str, retry: bool, says: &str| {
        let reply = kit.get(path).await;
        assert_eq!(reply.status(), status, "{path}");
        assert_eq!(reply.headers()["x-gatepass-error"], part, "{path}");
        let never = reply.headers().get("x-should-retry").is_some();
        assert_eq!(never, !retry, "{path}");
        assert_eq!(reply.headers()["content-type"], "application/problem+json");
        let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: Value = reply.json().await.unwrap();
        assert!(body["message"].as_str().unwrap().contains(says), "{body}");
        assert_eq!(body["message"], body["detail"]);
        assert_eq!(body["request_id"], id);
        assert!(!body.to_string().contains("c4nary"));
    };
    check("/gone", 502, "upstream", true, "it refuses connections").await;
    check("/unset", 502, "config", false, "GATEPASS_TEST_NEVER_SET").await;
    check("/nobody", 404, "gateway", false, "no deployment \"nobody\"").await;
    check("/churn/a%2f..%2fb", 400, "gateway", false, "..").await;
    for _ in 0..2 {
        kit.tokens
            .next(Reply::status(401).body("{\"error\":\"invalid_client\"}"));
    }
    check("/churn", 503, "token_endpoint", false, "invalid_client").await;
    // Held: asked again at once it does not ask the token endpoint again.
    let asked = kit.tokens.requests();
    let again = kit.get("/churn").await;
    assert_eq!(again.status(), 503);
    assert!(again.headers().contains_key("retry-after"));
    assert_eq!(kit.tokens.requests(), asked);
}

#[tokio::test]
async fn what_an_upstream_says_passes_but_not_in_the_gateways_name() {
    let kit = Kit::new().await;
    let reply = Reply::status(503)
        .header("x-gatepass-error", "gateway")
        .header("retry-after", "7")
        .body("busy");
    kit.open.next(reply);
    let reply = kit.get("/other").await;
    assert_eq!(reply.status(), 503);
    assert!(!reply.headers().contains_key("x-gatepass-error"));
    assert_eq!(reply.headers()["retry-after"], "7");
    assert_eq!(reply.text().await.unwrap(), "busy");
}

#[tokio::test]
async fn redirects_pass_and_lead_back_through_the_gateway_where_they_can() {
    let kit = Kit::new().await;
    let below = kit.open.url("/open/next?x=1");
    for (location, want) in [
        (below.as_str(), "/other/next?x=1"),
        ("/open/next", "/other/next"),
        ("/elsewhere", "/elsewhere"),
        ("https://evil.test/open/x", "https://evil.test/open/x"),
        ("//evil.test/open/x", "//evil.test/open/x"),
    ] {
        kit.open
            .next(Reply::status(307).header("location", location));
        let reply = kit.get("/other").await;
        assert_eq!(reply.status(), 307);
        assert_eq!(reply.headers()["location"], want, "{location}");
    }
    assert_eq!(kit.open.seen().len(), 5, "nothing was followed");
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_given_up() {
    let kit = Kit::new().await;
    assert_eq!(kit.get("/churn").await.status(), 200);
    kit.model.next(Reply::silence());
    let reply = kit.get("/churn").await;
    assert_eq!(reply.status(), 504);
    assert_eq!(reply.headers()["x-gatepass-error"], "upstream");
    assert!(reply.text().await.unwrap().contains("first_byte_timeout"));
    assert_eq!(
        kit.get("/churn").await.status(),
        200,
        "the next one is served"
    );
}

#[tokio::test]
async fn connections_to_the_upstream_are_kept() {
    let kit = Kit::new().await;
    for _ in 0..20 {
        let reply = kit.get("/other").await;
        reply.bytes().await.unwrap();
    }
    assert_eq!(kit.open.seen().len(), 20);
    let line = "gatepass_requests_total{deployment=\"other\",caller=\"tests\",class=\"2xx\"}";
    assert_eq!(kit.metric(line).await, 20);
    let line = "gatepass_in_flight{deployment=\"other\",caller=\"tests\"}";
    assert_eq!(kit.metric(line).await, 0);
}
