//! A gateway before a protected model, and the raw connections that HTTP clients do not make.

use std::net::SocketAddr;
use std::time::Duration;

use gatepass_config::Config;
use gatepass_core::Registry;
use gatepass_gateway::{Gateway, Options, digest};
use gatepass_oauth::OAuthFactory;
use gatepass_testkit::{Access, Model, TokenServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const KEY: &str = "gp_test-key";

pub(crate) struct Kit {
    pub(crate) gateway: Gateway,
    pub(crate) tokens: TokenServer,
    /// The upstream of `churn`.
    pub(crate) model: Model,
    /// The upstream of `other`.
    pub(crate) open: Model,
    pub(crate) client: reqwest::Client,
}

pub(crate) fn registry() -> Registry {
    Registry::builtin().with(OAuthFactory::default())
}

pub(crate) fn parse(text: &str) -> Config {
    Config::from_toml(text, "gatepass.toml".as_ref(), &registry()).unwrap()
}

/// A key for all deployments, and one for `other` alone.
pub(crate) fn keys() -> String {
    let all = digest(KEY);
    let narrow = digest("gp_narrow");
    let old = digest("gp_old");
    format!(
        "[[gateway.keys]]\nname = \"tests\"\nsha256 = \"{all}\"\ndeployments = [\"*\"]\n\
         [[gateway.keys]]\nname = \"narrow\"\nsha256 = \"{narrow}\"\ndeployments = [\"other\"]\n\
         [[gateway.keys]]\nname = \"old\"\nsha256 = \"{old}\"\ndeployments = [\"*\"]\nexpires = \"2020-01-01T00:00:00Z\"\n"
    )
}

pub(crate) fn options() -> Options {
    let mut options = Options::on("127.0.0.1:0".parse().unwrap());
    options.admin = Some("127.0.0.1:0".parse().unwrap());
    options.threads = Some(1);
    options
}

/// `churn` wants OAuth tokens and has short timeouts; `other` takes anything.
fn config(tokens: &TokenServer, model: &Model, open: &Model, more: &str) -> String {
    format!(
        "[gateway]\nhosts = [\"gate.internal\"]\n\
         [deployments.churn]\nurl = \"{}\"\nbase_url = \"{}\"\nauthentication = \"oauth\"\n\
         client_id = \"id\"\nclient_secret = \"c4nary-secret\"\ntoken_url = \"{}\"\nscope = \"\"\n\
         first_byte_timeout = 2\nreplay_body_limit = 100000\n\
         [deployments.other]\nurl = \"{}\"\nauthentication = \"none\"\n{more}",
        model.url("/v1/predict?v=1"),
        model.url("/v1?v=1"),
        tokens.url(),
        open.url("/open"),
    )
}

impl Kit {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    pub(crate) async fn with(more: &str) -> Self {
        let tokens = TokenServer::start()
            .await
            .unwrap()
            .client("id", "c4nary-secret");
        let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
        let open = Model::start(Access::Open).await.unwrap();
        let text = format!("{}{}", config(&tokens, &model, &open, more), keys());
        let gateway = Gateway::start(&options(), &parse(&text)).unwrap();
        Self {
            gateway,
            tokens,
            model,
            open,
            client: client(),
        }
    }

    /// Its configuration without keys, and more.
    pub(crate) fn config(&self, more: &str) -> String {
        config(&self.tokens, &self.model, &self.open, more)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gateway.url())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address(self.gateway.url())
    }

    /// A GET with the key.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(self.url(path)).bearer_auth(KEY);
        request.send().await.unwrap()
    }

    /// A line of the metrics that begins like this, its number.
    pub(crate) async fn metric(&self, line: &str) -> u64 {
        let found = self.counted(line).await;
        found.unwrap_or_else(|| panic!("no {line} among the metrics"))
    }

    /// The same where it may not be there yet: a caller is counted from its first request on.
    pub(crate) async fn counted(&self, line: &str) -> Option<u64> {
        let url = format!("{}/-/metrics", self.gateway.admin_url().unwrap());
        let text = self
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let found = text.lines().find(|found| found.starts_with(line));
        Some(found?.rsplit_once(' ').unwrap().1.parse().unwrap())
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

pub(crate) fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

/// Sends these bytes and reads until the other side closes, or is silent for a while.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may refuse before it has read all.
    let _refused = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read)) =
        tokio::time::timeout(Duration::from_millis(200), stream.read(&mut buffer)).await
    {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}
