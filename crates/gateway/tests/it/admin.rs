//! What the admin listener tells, and to whom.

use gatepass_gateway::{Gateway, Report};
use gatepass_testkit::Reply;

use crate::kit::{KEY, Kit, client, keys, options, parse, until};

async fn admin(gateway: &Gateway, path: &str) -> (u16, String) {
    let url = format!("{}{path}", gateway.admin_url().unwrap());
    let reply = client().get(url).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

async fn report(gateway: &Gateway) -> Report {
    let (status, text) = admin(gateway, "/-/deployments").await;
    assert_eq!(status, 200);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_deployment_is_ready_when_its_credential_is_there() {
    let kit = Kit::new().await;
    let ready = async |name: &str| {
        let path = format!("/-/readyz?deployment={name}");
        admin(&kit.gateway, &path).await
    };
    assert_eq!(ready("nobody").await.0, 404);
    assert_eq!(ready("other").await.0, 200, "it needs none");
    kit.tokens
        .always(Reply::status(401).body(r#"{"error":"invalid_client"}"#));
    let (status, why) = ready("churn").await;
    assert_eq!(status, 503);
    assert!(why.contains("check client_id and client_secret"), "{why}");
    assert!(!why.contains("c4nary"), "{why}");
    assert_eq!(
        admin(&kit.gateway, "/-/readyz").await.0,
        200,
        "somebody else's outage takes no instance out of service"
    );
    let asked = kit.tokens.requests();
    for _ in 0..20 {
        ready("churn").await;
    }
    assert_eq!(
        kit.tokens.requests(),
        asked,
        "a held refusal is not asked anew"
    );
}

#[tokio::test]
async fn a_probe_obtains_the_token_that_requests_are_then_sent_with() {
    let kit = Kit::new().await;
    until("it is ready", async || {
        admin(&kit.gateway, "/-/readyz?deployment=churn").await.0 == 200
    })
    .await;
    assert_eq!(kit.get("/churn").await.status(), 200);
    assert_eq!(kit.tokens.requests(), 1);
}

#[tokio::test]
async fn the_report_says_what_is_held_and_what_went_wrong() {
    let kit =
        Kit::with("[deployments.gone]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"none\"\n")
            .await;
    let before = report(&kit.gateway).await;
    let names: Vec<_> = before.deployments.iter().map(|one| &one.name).collect();
    assert_eq!(names, ["churn", "gone", "other"]);
    assert_eq!(before.deployments[0].credential.state, "not obtained yet");
    assert_eq!(before.deployments[0].authentication, "oauth");
    assert_eq!(before.deployments[2].credential.state, "not needed");

    kit.get("/churn").await.bytes().await.unwrap();
    kit.get("/gone").await.bytes().await.unwrap();
    // A caller's own mistake is no failure of the deployment.
    kit.get("/other/..%2fx").await.bytes().await.unwrap();
    let after = report(&kit.gateway).await;
    let [churn, gone, other] = &after.deployments[..] else {
        panic!("three deployments");
    };
    let credential = &churn.credential;
    assert_eq!(credential.state, "live");
    assert!(credential.expires_in_seconds > credential.renews_in_seconds);
    assert!(credential.expires_in_seconds.unwrap() > 3000);
    assert!(credential.source.as_deref().unwrap().contains("/token"));
    assert_eq!((churn.requests, churn.class(2)), (1, 1));
    assert!(churn.last_failure.is_none() && other.last_failure.is_none());
    let failure = gone.last_failure.as_ref().unwrap();
    assert_eq!((failure.part.as_str(), failure.status), ("upstream", 502));
    assert!(
        failure.message.contains("check host and port"),
        "{failure:?}"
    );

    let (status, page) = admin(&kit.gateway, "/-/").await;
    assert_eq!(status, 200);
    for holds in ["churn", "live, ", "check host and port", "other", "oauth"] {
        assert!(page.contains(holds), "{holds} is not on the page");
    }
    let (_, metrics) = admin(&kit.gateway, "/-/metrics").await;
    let expiry = "gatepass_token_expiry_seconds{deployment=\"churn\"} ";
    assert!(metrics.contains(expiry), "{metrics}");
    let source = format!("authentication=\"oauth\",source=\"{}\"", kit.tokens.url());
    assert!(metrics.contains(&source), "{metrics}");
    for text in [&page, &metrics, &format!("{after:?}")] {
        for secret in ["c4nary", KEY, "tok-"] {
            assert!(!text.contains(secret), "{secret} is told");
        }
    }
}

#[tokio::test]
async fn others_than_this_machine_learn_only_health_and_metrics() {
    let mut options = options();
    options.admin = Some("0.0.0.0:0".parse().unwrap());
    let text = "[deployments.a]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"none\"\n";
    let gateway = Gateway::start(&options, &parse(text)).unwrap();
    let port = gateway.admin_url().unwrap().rsplit_once(':').unwrap().1;
    for (path, want) in [
        ("/-/healthz", 200),
        ("/-/readyz", 200),
        ("/-/metrics", 200),
        ("/-/deployments", 404),
        ("/-/", 404),
        ("/", 404),
    ] {
        let url = format!("http://127.0.0.1:{port}{path}");
        let reply = client().get(url).send().await.unwrap();
        assert_eq!(reply.status(), want, "{path}");
    }
}

#[tokio::test]
async fn refused_requests_are_counted_by_status() {
    let kit = Kit::new().await;
    let line = |status: u16| format!("gatepass_refused_total{{status=\"{status}\"}}");
    assert_eq!(kit.metric(&line(401)).await, 0);
    let url = kit.url("/churn");
    for _ in 0..3 {
        kit.client.get(&url).send().await.unwrap();
    }
    kit.get("/nobody").await;
    let page = kit.client.get(&url).header("origin", "http://evil.test");
    page.send().await.unwrap();
    assert_eq!(kit.metric(&line(401)).await, 3);
    assert_eq!(kit.metric(&line(404)).await, 1);
    assert_eq!(kit.metric(&line(403)).await, 1);
}

#[tokio::test]
async fn what_became_of_a_reload_is_told() {
    let kit = Kit::new().await;
    kit.gateway.rejected("gatepass.toml:3: `url` is missing");
    let told = report(&kit.gateway).await;
    let why = told.reload_failure.as_deref();
    assert_eq!(why, Some("gatepass.toml:3: `url` is missing"));
    assert!(
        admin(&kit.gateway, "/-/")
            .await
            .1
            .contains("`url` is missing")
    );
    assert_eq!(
        kit.metric("gatepass_config_last_reload_successful").await,
        0
    );
    let text = format!("{}{}", kit.config(""), keys());
    kit.gateway.reload(&parse(&text)).unwrap();
    assert_eq!(report(&kit.gateway).await.reload_failure, None);
    assert_eq!(
        kit.metric("gatepass_config_last_reload_successful").await,
        1
    );
    let taken = "gatepass_config_reloads_total{outcome=\"taken\"}";
    assert_eq!(kit.metric(taken).await, 1);
}
