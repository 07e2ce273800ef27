//! How your own code is tested: a token that expires without anybody sleeping, and a token endpoint
//! that is down for a while. `cargo run -p gatepass --example testing`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use gatepass_testkit::{Access, Model, Reply, TestClock, TokenServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = TestClock::start();
    let tokens = TokenServer::start()
        .await?
        .expires_in(Duration::from_secs(3600))
        .clock(clock.shared());
    let model = Model::start(Access::Token(tokens.clone())).await?;
    let churn = gatepass::oauth(&tokens.url())
        .client("client", "secret")
        .url(&model.url("/v1"))
        .clock(clock.shared())
        .build()?;

    churn.get("").send().await?.error_for_status()?;
    println!("one token request: {}", tokens.requests());

    clock.advance(Duration::from_secs(3600));
    churn.get("").send().await?.error_for_status()?;
    println!("an hour later, a second one: {}", tokens.requests());

    // Down while a live token is held: nobody notices.
    tokens.always(Reply::status(503));
    clock.advance(Duration::from_secs(3300));
    churn.get("").send().await?.error_for_status()?;

    // Down past its end: a clear error.
    clock.advance(Duration::from_secs(3600));
    let error = churn
        .get("")
        .send()
        .await
        .err()
        .ok_or("served without a token")?;
    println!("down: {error}");

    tokens.heal();
    clock.advance(Duration::from_secs(60));
    churn.get("").send().await?.error_for_status()?;
    println!("healed");
    Ok(())
}
