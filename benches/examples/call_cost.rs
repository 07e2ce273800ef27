//! Makes calls to a model in this process and ends: `call_cost bare|bearer|oauth COUNT`. Run under
//! an instruction counter with two counts, the difference is what a call costs.

use std::error::Error;

use gatepass_core::Bearer;
use gatepass_testkit::{Access, Model, TokenServer};
use http::header::AUTHORIZATION;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let how = arguments.next().unwrap_or_default();
    let count: u64 = arguments.next().unwrap_or_default().parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(make(&how, count))
}

async fn make(how: &str, count: u64) -> Result<(), Box<dyn Error>> {
    let model = Model::start(Access::Open).await?;
    let tokens = TokenServer::start().await?;
    let url = model.url("/predict");
    match how {
        "bare" => {
            let client = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()?;
            let (url, header): (reqwest::Url, _) = (url.parse()?, Bearer::header("tok-static")?);
            for _ in 0..count {
                let request = client
                    .get(url.clone())
                    .header(AUTHORIZATION, header.clone());
                request.send().await?.bytes().await?;
            }
        }
        "bearer" => {
            let deployment = gatepass_client::bearer("tok-static").url(&url).build()?;
            for _ in 0..count {
                deployment.get("").send().await?.bytes().await?;
            }
        }
        "oauth" => {
            let deployment = gatepass_client::oauth(&tokens.url())
                .client("client", "secret")
                .url(&url)
                .build()?;
            for _ in 0..count {
                deployment.get("").send().await?.bytes().await?;
            }
        }
        _ => return Err("call_cost bare|bearer|oauth COUNT".into()),
    }
    Ok(())
}
