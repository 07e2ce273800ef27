//! A reqwest-middleware stack with a retry around the credential.
//! `cargo run -p gatepass-reqwest-middleware --example with_retries`: the servers are embedded.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use async_trait::async_trait;
use gatepass_testkit::{Access, Model, Reply, TokenServer};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

/// Sends once more after a 503; the crate `reqwest-retry` does it better.
struct RetryOnce;

#[async_trait]
impl Middleware for RetryOnce {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        assert!(
            !request.headers().contains_key("authorization"),
            "no credential out here"
        );
        let again = request.try_clone();
        let response = next.clone().run(request, extensions).await?;
        match again.filter(|_| response.status() == 503) {
            Some(again) => next.run(again, extensions).await,
            None => Ok(response),
        }
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn Error>> {
    let tokens = TokenServer::start().await?;
    let model = Model::start(Access::Token(tokens.clone())).await?;

    let churn = gatepass_client::oauth(&tokens.url())
        .client("client", "secret")
        .url(&model.url("/v1"))
        .deployment()?;
    let client = gatepass_reqwest_middleware::client(churn, reqwest::Client::builder(), |stack| {
        stack.with(RetryOnce)
    })?;

    model.next(Reply::status(503));
    let response = client.post(model.url("/v1")).body("{}").send().await?;
    println!("{} {}", response.status(), response.text().await?);
    println!("requests to the model: {}", model.seen().len());
    Ok(())
}
