//! hyper-util's client in a tower stack, with an OAuth token added and renewed by the layer.
//! `cargo run -p gatepass-tower --example hyper_client`: the servers are embedded.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use gatepass_testkit::{Access, Model, TokenServer};
use gatepass_tower::AuthLayer;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let tokens = TokenServer::start().await?;
    let model = Model::start(Access::Token(tokens.clone())).await?;

    let churn = gatepass_client::oauth(&tokens.url())
        .client("client", "secret")
        .scope("ml")
        .base_url(&model.url("/v1"))
        .deployment()?;
    let mut service = ServiceBuilder::new()
        .layer(AuthLayer::new(Arc::clone(&churn)))
        .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());

    for inputs in ["[1, 2, 3]", "[4, 5, 6]"] {
        let request = http::Request::post(churn.target("/predict")?.as_str())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(inputs)))?;
        let response = service.ready().await?.call(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("{status} {}", String::from_utf8_lossy(&body));
    }
    println!("token requests: {}", tokens.requests());
    Ok(())
}
