//! The promised ten lines, with a file and without one.

use gatepass_testkit::{Access, Model, TokenServer};

#[tokio::test]
async fn the_promised_lines_work_without_a_file() {
    let tokens = TokenServer::start()
        .await
        .unwrap()
        .client("id", "a+b%c d&e=ü:");
    let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
    let churn = gatepass_client::oauth(&tokens.url())
        .client("id", "a+b%c d&e=ü:")
        .scope("ml")
        .base_url(&model.url("/v1"))
        .build()
        .unwrap();
    let reply = churn
        .post("/predict")
        .json(&[1, 2, 3])
        .send()
        .await
        .unwrap();
    let body: serde_json::Value = reply.error_for_status().unwrap().json().await.unwrap();
    assert_eq!(body["bytes"], 7);
    let seen = &model.seen()[0];
    assert_eq!(seen.target, "/v1/predict");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(tokens.bodies(), ["grant_type=client_credentials&scope=ml"]);
    assert!(
        churn.header().await.unwrap()["authorization"]
            .to_str()
            .unwrap()
            .starts_with("Bearer tok-")
    );
    assert_eq!(tokens.requests(), 1);
}

#[tokio::test]
async fn and_with_one() {
    let model = Model::start(Access::Header("api-key".into(), "abcd1234".into()))
        .await
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gatepass.toml");
    let config = format!(
        "[deployments.gpt]\nbase_url = \"{}\"\nauthentication = \"custom\"\nheader = \"api-key\"\n\
         value = {{ file = \"key\" }}\n",
        model.url("/openai/v1?api-version=1"),
    );
    std::fs::write(&path, config).unwrap();
    std::fs::write(directory.path().join("key"), "abcd1234\n").unwrap();
    let client = gatepass_client::Client::from_config(&path).unwrap();
    let gpt = client.deployment("gpt").unwrap();
    let request = gpt
        .get("models")
        .query("q", "a b")
        .query("api-version", "9");
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(
        model.seen()[0].target,
        "/openai/v1/models?api-version=1&q=a+b"
    );
    let error = client.deployment("gbt").unwrap_err();
    assert!(
        error.to_string().contains("did you mean \"gpt\"?"),
        "{error}"
    );
}

#[tokio::test]
async fn a_header_of_the_credential_cannot_be_set_by_the_caller() {
    let gpt = gatepass_client::custom("api-key", "k")
        .url("https://models.test/")
        .build()
        .unwrap();
    for name in ["api-key", "API-KEY", "Api_Key"] {
        let error = gpt.get("").header(name, "mine").send().await.unwrap_err();
        assert_eq!(error.kind(), gatepass_client::ErrorKind::Request);
        assert!(
            error.to_string().contains("belongs to the credential"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_rotated_secret_file_is_picked_up_after_a_401() {
    let model = Model::start(Access::Header("api-key".into(), "new".into()))
        .await
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, "old\n").unwrap();
    let key = gatepass_config::FileSource::shared(&path);
    let gpt = gatepass_client::custom("api-key", key)
        .url(&model.url("/"))
        .build()
        .unwrap();
    assert_eq!(
        gpt.get("").send().await.unwrap().status(),
        401,
        "the same secret is not replayed"
    );
    assert_eq!(model.seen().len(), 1);
    std::fs::write(&path, "new\n").unwrap();
    assert_eq!(gpt.get("").send().await.unwrap().status(), 200);
    assert_eq!(model.seen().len(), 3);
}

#[tokio::test]
async fn a_builder_of_the_users_own_is_taken_but_its_redirects_are_not() {
    let elsewhere = Model::start(Access::Open).await.unwrap();
    let model = Model::start(Access::Open).await.unwrap();
    model.next(gatepass_testkit::Reply::status(302).header("location", &elsewhere.url("/x")));
    let caller = gatepass_client::custom("api-key", "k")
        .url(&model.url("/"))
        .client_builder(|| {
            reqwest::Client::builder()
                .user_agent("mine")
                .redirect(reqwest::redirect::Policy::limited(5))
        })
        .build()
        .unwrap();
    caller.get("").send().await.unwrap();
    assert_eq!(model.seen()[0].headers["user-agent"], "mine");
    assert!(!elsewhere.seen()[0].headers.contains_key("api-key"));
}
