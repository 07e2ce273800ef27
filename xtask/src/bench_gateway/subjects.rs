//! The upstream, and the proxies before it: the same work for each, as far as each can do it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::processes::{Running, child_of, free_port, pinned, start};
use super::{KEY, Mode, Tools};
use crate::shell;

/// One proxy under test, running.
pub(super) struct Subject {
    pub(super) name: &'static str,
    _process: Running,
    /// Whose CPU is counted.
    pub(super) pid: u32,
    pub(super) url: String,
}

/// Where everything is.
pub(super) struct Stage {
    pub(super) tools: Tools,
    pub(super) directory: PathBuf,
    pub(super) token_url: String,
    pub(super) upstream: u16,
    pub(super) mode: Mode,
}

impl Stage {
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.directory.join(name);
        fs::write(&path, text).map_err(|cause| format!("{}: {cause}", path.display()))?;
        Ok(path)
    }

    /// An authority, and the upstream's certificate by it.
    pub(super) fn certificates(&self) -> Result<(), String> {
        let failed = |cause: rcgen::Error| format!("no certificate: {cause}");
        let ca_key = KeyPair::generate().map_err(failed)?;
        let mut ca = CertificateParams::new(Vec::new()).map_err(failed)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own: OpenSSL takes a certificate whose issuer has its name for self-signed.
        ca.distinguished_name
            .push(DnType::CommonName, "bench authority");
        self.write("ca.pem", &ca.self_signed(&ca_key).map_err(failed)?.pem())?;
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().map_err(failed)?;
        let params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        self.write("upstream.pem", &certificate.pem())?;
        self.write("upstream.key", &key.serialize_pem())?;
        Ok(())
    }

    /// Wants a bearer token, and answers with some JSON.
    pub(super) fn upstream(&self) -> Result<Running, String> {
        let place = self.directory.display();
        let listen = match self.mode {
            Mode::Tls => format!(
                "listen 127.0.0.1:{} ssl backlog=4096; ssl_certificate {place}/upstream.pem; ssl_certificate_key {place}/upstream.key;",
                self.upstream
            ),
            _ => format!("listen 127.0.0.1:{} backlog=4096;", self.upstream),
        };
        let config = nginx_config(
            &self.directory.join("upstream"),
            &format!(
                "access_log off; server {{ {listen} location / {{ \
                 if ($http_authorization !~ \"^Bearer .\") {{ return 401; }} \
                 default_type application/json; return 200 '{{\"id\":\"x\",\"choices\":[{{\"text\":\"{}\"}}]}}'; }} }}",
                "a".repeat(60)
            ),
        )?;
        let config = self.write("upstream.conf", &config)?;
        start(
            pinned(&self.tools.taskset, 0, &self.tools.nginx)
                .arg("-c")
                .arg(config),
        )
    }

    pub(super) fn nginx(&self) -> Result<Subject, String> {
        let port = free_port()?;
        let log = match self.mode {
            Mode::AccessLog => "access_log /dev/null combined;",
            _ => "access_log off;",
        };
        let http2 = if self.mode == Mode::Http2 {
            " http2"
        } else {
            ""
        };
        let pass = match self.mode {
            Mode::Tls => format!(
                "proxy_pass https://up; proxy_ssl_name localhost; proxy_ssl_server_name on; proxy_ssl_verify on; \
                 proxy_ssl_trusted_certificate {}/ca.pem;",
                self.directory.display()
            ),
            _ => "proxy_pass http://up;".to_owned(),
        };
        let config = nginx_config(
            &self.directory.join("nginx"),
            &format!(
                "{log} http2_max_requests 100000000; \
                 upstream up {{ server 127.0.0.1:{}; keepalive 256; keepalive_requests 100000000; }} \
                 server {{ listen 127.0.0.1:{port}{http2} backlog=4096; location / {{ {pass} \
                 proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                 proxy_set_header Authorization \"Bearer static\"; }} }}",
                self.upstream
            ),
        )?;
        let config = self.write("nginx.conf", &config)?;
        let process = start(
            pinned(&self.tools.taskset, 1, &self.tools.nginx)
                .arg("-c")
                .arg(config),
        )?;
        std::thread::sleep(Duration::from_millis(500));
        let pid = child_of(process.0.id())?;
        Ok(Subject {
            name: "nginx, static header",
            _process: process,
            pid,
            url: format!("http://127.0.0.1:{port}/v1/chat"),
        })
    }

    pub(super) fn envoy(&self) -> Result<Subject, String> {
        let port = free_port()?;
        let token_port = self
            .token_url
            .rsplit_once(':')
            .and_then(|(_, rest)| rest.split('/').next());
        let token_port = token_port.ok_or("the token URL has no port")?;
        let config = self.write("envoy.yaml", &self.envoy_config(port, token_port))?;
        let mut command = pinned(&self.tools.taskset, 1, &self.tools.envoy);
        command.args([
            "--concurrency",
            "1",
            "--log-level",
            "off",
            "--disable-hot-restart",
            "-c",
        ]);
        let process = start(command.arg(config))?;
        Ok(Subject {
            name: "Envoy 1.40, OAuth injector",
            pid: process.0.id(),
            _process: process,
            url: format!("http://127.0.0.1:{port}/v1/chat"),
        })
    }

    pub(super) fn gatepass(&self) -> Result<Subject, String> {
        let (port, admin) = (free_port()?, free_port()?);
        let log = match self.mode {
            Mode::AccessLog => "json",
            _ => "off",
        };
        let base = match self.mode {
            Mode::Tls => format!(
                "base_url = \"https://localhost:{}/\"\nca_file = \"ca.pem\"",
                self.upstream
            ),
            _ => format!("base_url = \"http://127.0.0.1:{}/\"", self.upstream),
        };
        let config = format!(
            "[gateway]\naccess_log = \"{log}\"\n[[gateway.keys]]\nname = \"bench\"\nsha256 = \"{}\"\ndeployments = [\"m\"]\n\
             [deployments.m]\n{base}\nauthentication = \"oauth\"\nclient_id = \"id\"\n\
             client_secret = \"s3cr3t\"\ntoken_url = \"{}\"\nscope = \"\"\n",
            gatepass_gateway::digest(KEY),
            self.token_url
        );
        let config = self.write("gatepass.toml", &config)?;
        let binary = shell::root().join("target/release/gatepass");
        let mut command = pinned(&self.tools.taskset, 1, &binary);
        command
            .args(["serve", "--threads", "1", "--config"])
            .arg(config)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin", &format!("127.0.0.1:{admin}")]);
        let process = start(&mut command)?;
        Ok(Subject {
            name: "Gatepass, OAuth, keys, metrics, request ids",
            pid: process.0.id(),
            _process: process,
            url: format!("http://127.0.0.1:{port}/m/v1/chat"),
        })
    }

    fn envoy_config(&self, port: u16, token_port: &str) -> String {
        let log = match self.mode {
            Mode::AccessLog => {
                "access_log: [ { name: a, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null } } ]"
            }
            _ => "access_log: []",
        };
        let codec = if self.mode == Mode::Http2 {
            "HTTP2"
        } else {
            "HTTP1"
        };
        let tls = match self.mode {
            Mode::Tls => format!(
                "transport_socket: {{ name: tls, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
                 sni: localhost, common_tls_context: {{ validation_context: {{ trusted_ca: {{ filename: {}/ca.pem }} }} }} }} }}, ",
                self.directory.display()
            ),
            _ => String::new(),
        };
        let extensions = "type.googleapis.com/envoy.extensions";
        let cluster = |name: &str, port: &str, tls: &str| {
            format!(
                "  - {{ name: {name}, type: STATIC, connect_timeout: 1s, {tls}\
             circuit_breakers: {{ thresholds: [ {{ max_connections: 4096, max_requests: 4096, max_pending_requests: 4096 }} ] }}, \
             load_assignment: {{ cluster_name: {name}, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: \
             {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }} }} ] }} ] }} }}\n"
            )
        };
        format!(
            r#"static_resources:
  secrets:
  - {{ name: secret, generic_secret: {{ secret: {{ inline_string: "s3cr3t" }} }} }}
  listeners:
  - name: l
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: {codec}
          {log}
          route_config:
            virtual_hosts:
            - {{ name: v, domains: ["*"], routes: [ {{ match: {{ prefix: "/" }}, route: {{ cluster: up }} }} ] }}
          http_filters:
          - name: envoy.filters.http.credential_injector
            typed_config:
              "@type": {extensions}.filters.http.credential_injector.v3.CredentialInjector
              overwrite: true
              credential:
                name: envoy.http.injected_credentials.oauth2
                typed_config:
                  "@type": {extensions}.http.injected_credentials.oauth2.v3.OAuth2
                  token_endpoint: {{ cluster: token, timeout: 10s, uri: "http://127.0.0.1:{token_port}/token" }}
                  client_credentials: {{ client_id: id, client_secret: {{ name: secret }} }}
          - name: envoy.filters.http.router
            typed_config: {{ "@type": {extensions}.filters.http.router.v3.Router }}
  clusters:
{}{}"#,
            cluster("up", &self.upstream.to_string(), &tls),
            cluster("token", token_port, "")
        )
    }
}

fn nginx_config(directory: &Path, http: &str) -> Result<String, String> {
    fs::create_dir_all(directory).map_err(|cause| format!("{}: {cause}", directory.display()))?;
    let place = directory.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {place}/{name};"))
        .join(" ");
    Ok(format!(
        "worker_processes 1; daemon off; pid {place}/pid; error_log {place}/error.log warn;\n\
         events {{ worker_connections 4096; use epoll; multi_accept on; }}\n\
         http {{ {temporary} keepalive_requests 100000000; keepalive_timeout 300s; tcp_nodelay on; \
         client_body_buffer_size 64k; {http} }}\n"
    ))
}
