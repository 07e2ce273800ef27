//! Credentials proved before a changed configuration is taken over.

use std::time::Duration;

use gatepass_testkit::{Reply, TokenServer};

use crate::kit::{Kit, keys, parse};

fn another(tokens: &TokenServer, name: &str, id: &str) -> String {
    format!(
        "[deployments.{name}]\nurl = \"https://{name}.example.com/\"\nauthentication = \"oauth\"\nclient_id = \"{id}\"\n\
         client_secret = \"c4nary-secret\"\ntoken_url = \"{}\"\nscope = \"{name}\"\n",
        tokens.url()
    )
}

#[tokio::test]
async fn only_what_is_new_or_changed_is_proved() {
    let kit = Kit::new().await;
    let same = parse(&format!("{}{}", kit.config(""), keys()));
    assert_eq!(kit.gateway.prove(&same).await.unwrap(), [""; 0]);
    assert_eq!(kit.tokens.requests(), 0, "nothing changed");
    let more = another(&kit.tokens, "added", "id");
    let changed = parse(&format!("{}{}", kit.config(&more), keys()));
    assert_eq!(kit.gateway.prove(&changed).await.unwrap(), [""; 0]);
    assert_eq!(kit.tokens.requests(), 1);
    kit.gateway.reload(&changed).unwrap();
    assert_eq!(kit.gateway.prove(&changed).await.unwrap(), [""; 0]);
    assert_eq!(kit.tokens.requests(), 1, "it is known by now");
}

#[tokio::test]
async fn a_refusal_rejects_and_what_may_pass_does_not() {
    let kit = Kit::new().await;
    let with = |more: &str| parse(&format!("{}{}", kit.config(more), keys()));
    let wrong = with(&another(&kit.tokens, "wrong", "nobody"));
    let why = kit.gateway.prove(&wrong).await.unwrap_err();
    assert!(!why.is_missing());
    let why = why.to_string();
    assert!(
        why.starts_with("deployment \"wrong\": ") && why.contains("check client_id"),
        "{why}"
    );
    assert!(!why.contains("c4nary"), "{why}");

    let missing = "[deployments.late]\nurl = \"https://late.example.com/\"\nauthentication = \"bearer\"\n\
                   token = { file = \"/nowhere/token\" }\n";
    let why = kit.gateway.prove(&with(missing)).await.unwrap_err();
    assert!(why.is_missing(), "it may yet come: {why}");

    kit.tokens.always(Reply::status(503));
    let down = with(&another(&kit.tokens, "down", "id"));
    let warnings = kit.gateway.prove(&down).await.unwrap();
    assert!(
        warnings[0].starts_with("deployment \"down\": "),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn many_are_proved_at_once() {
    let kit = Kit::new().await;
    let slow = TokenServer::start()
        .await
        .unwrap()
        .client("id", "c4nary-secret")
        .answers_after(Duration::from_millis(600));
    let more: String = (0..32)
        .map(|at| another(&slow, &format!("n{at}"), "id"))
        .collect();
    let many = parse(&format!("{}{}", kit.config(&more), keys()));
    // One after the other they would not be done within the limit of 10 s.
    assert_eq!(kit.gateway.prove(&many).await.unwrap(), [""; 0]);
    assert_eq!(slow.requests(), 32);
}
