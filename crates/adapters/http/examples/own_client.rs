//! An HTTP client of your own, its requests signed one by one, with one replay after a refusal.
//! `cargo run -p gatepass-http --example own_client`: the servers are embedded.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use bytes::Bytes;
use gatepass_http::RequestSigner;
use gatepass_testkit::{Access, Model, TokenServer};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let tokens = TokenServer::start().await?;
    let model = Model::start(Access::Token(tokens.clone())).await?;

    let churn = gatepass_client::oauth(&tokens.url())
        .client("client", "secret")
        .url(&model.url("/v1"))
        .deployment()?;
    let signer = RequestSigner::new(churn);
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();

    for call in 1..=2 {
        let url = signer.deployment().target("")?;
        let fresh = || http::Request::post(url.as_str()).body(Full::new(Bytes::from("{}")));
        let mut request = fresh()?;
        let signed = signer.sign(&mut request).await?;
        let mut response = client.request(request).await?;
        let again = signer.reconsider(&signed, response.status(), response.headers(), true);
        if let Some(attempt) = again.await {
            println!("call {call}: the token was refused, once more with a new one");
            let mut request = fresh()?;
            signer.sign_again(&mut request, attempt).await?;
            response = client.request(request).await?;
        }
        println!("call {call}: {}", response.status());
        // Somebody revokes the token: the next call finds out, and mends it.
        tokens.revoke_all();
    }
    Ok(())
}
