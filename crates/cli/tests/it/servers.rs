//! Real servers for the command: nginx, Apache with mod_oauth2, and oidc-provider on Node. All on
//! free ports, all ended with the test, by their own handles.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// nginx and the OAuth server, or why they cannot be had.
pub(crate) fn start() -> Option<Servers> {
    let places = places()?;
    let oauth = OAuthServer::start(&places.interop, 0);
    let nginx = Nginx::start(&places.interop, &places.nginx, &oauth.base);
    Some(Servers { oauth, nginx })
}

/// An OAuth server whose clock is ahead by so many seconds.
pub(crate) fn start_skewed(seconds: i64) -> Option<OAuthServer> {
    Some(OAuthServer::start(&places()?.interop, seconds))
}

/// Apache, which verifies the JWTs of this OAuth server.
pub(crate) fn start_apache(oauth: &OAuthServer) -> Option<Apache> {
    let places = places()?;
    Some(Apache::start(&places.interop, &places.apache, &oauth.base))
}

struct Places {
    interop: PathBuf,
    nginx: PathBuf,
    apache: PathBuf,
}

/// Where the servers are; `cargo xtask test` says so.
fn places() -> Option<Places> {
    let place = |name| environment(name).map(PathBuf::from);
    let all = (
        place("GATEPASS_INTEROP"),
        place("GATEPASS_NGINX"),
        place("GATEPASS_APACHE"),
    );
    let (Some(interop), Some(nginx), Some(apache)) = all else {
        assert_ne!(
            environment("CI").as_deref(),
            Some("true"),
            "under CI=true nothing may be skipped"
        );
        eprintln!("skipped: real servers are started by `cargo xtask test` only");
        return None;
    };
    Some(Places {
        interop,
        nginx,
        apache,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads where its servers are"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(crate) struct Servers {
    pub(crate) oauth: OAuthServer,
    pub(crate) nginx: Nginx,
}

pub(crate) struct OAuthServer {
    pub(crate) base: String,
    child: Child,
    /// The server ends when this closes, even if the test is killed.
    _stdin: ChildStdin,
}

impl OAuthServer {
    fn start(interop: &std::path::Path, skew: i64) -> Self {
        let mut child = Command::new("node")
            .arg("server.mjs")
            .env("CLOCK_SKEW", skew.to_string())
            .current_dir(interop)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .find_map(|line| line.ok().filter(|line| line.contains("\"base\"")))
            .expect("the OAuth server says where it listens");
        let base = line.split('"').nth(3).unwrap().to_owned();
        Self {
            base,
            child,
            _stdin: stdin,
        }
    }

    pub(crate) fn token_url(&self) -> String {
        format!("{}/token", self.base)
    }

    /// How many token requests came.
    pub(crate) fn count(&self) -> usize {
        get(&self.base, "/count", "").1.trim().parse().unwrap()
    }

    /// The last token request as it arrived: its Authorization header and its body, as JSON.
    pub(crate) fn last(&self) -> String {
        get(&self.base, "/last", "").1
    }
}

impl Drop for OAuthServer {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(crate) struct Nginx {
    pub(crate) base: String,
    /// The same server over TLS, with a certificate for 127.0.0.1 and localhost.
    pub(crate) tls: String,
    directory: TempDir,
    child: Child,
}

impl Nginx {
    fn start(interop: &std::path::Path, program: &std::path::Path, oauth: &str) -> Self {
        // A port that was free a moment ago may be taken by now: then another one is tried.
        for _ in 0..5 {
            let directory = TempDir::new().unwrap();
            let at = directory.path();
            let (port, tls, leak) = (free_port(), free_port(), free_port());
            let template = std::fs::read_to_string(interop.join("nginx.conf.in")).unwrap();
            let config = template
                .replace("@DIR@", at.to_str().unwrap())
                .replace("@PORT@", &port.to_string())
                .replace("@TLS@", &tls.to_string())
                .replace("@LEAK@", &leak.to_string())
                .replace("@OAUTH@", oauth);
            std::fs::write(at.join("nginx.conf"), config).unwrap();
            std::fs::create_dir(at.join("www")).unwrap();
            std::fs::write(at.join("www/model"), "model ok\n").unwrap();
            std::fs::write(at.join("htpasswd"), HTPASSWD).unwrap();
            certificates(at);
            open_to_workers(at);
            let child = Command::new(program)
                .arg("-e")
                .arg(at.join("error.log"))
                .arg("-c")
                .arg(at.join("nginx.conf"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("nginx starts");
            let mut nginx = Self {
                base: format!("http://127.0.0.1:{port}"),
                tls: format!("https://127.0.0.1:{tls}"),
                directory,
                child,
            };
            if listens(&mut nginx.child, port) {
                return nginx;
            }
        }
        panic!("nginx does not listen");
    }

    /// A file beside its configuration: `ca.pem`, `client.pem`, `client.key`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What reached the second origin.
    pub(crate) fn leak_log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("leak.log")).unwrap_or_default()
    }

    /// The status for a request with this Authorization header.
    pub(crate) fn status(&self, path: &str, authorization: &str) -> u16 {
        get(
            &self.base,
            path,
            &format!("Authorization: {authorization}\r\n"),
        )
        .0
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        end_politely(&mut self.child);
    }
}

pub(crate) struct Apache {
    pub(crate) base: String,
    _directory: TempDir,
    child: Child,
}

impl Apache {
    fn start(interop: &std::path::Path, program: &std::path::Path, oauth: &str) -> Self {
        for _ in 0..5 {
            let directory = TempDir::new().unwrap();
            let (at, port) = (directory.path(), free_port());
            let template = std::fs::read_to_string(interop.join("httpd.conf.in")).unwrap();
            let config = template
                .replace("@DIR@", at.to_str().unwrap())
                .replace("@PORT@", &port.to_string())
                .replace("@OAUTH@", oauth);
            std::fs::write(at.join("httpd.conf"), config).unwrap();
            std::fs::create_dir(at.join("www")).unwrap();
            std::fs::write(at.join("www/model"), "model ok\n").unwrap();
            open_to_workers(at);
            let child = Command::new(program)
                .arg("-DFOREGROUND")
                .arg("-f")
                .arg(at.join("httpd.conf"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("apache starts");
            let mut apache = Self {
                base: format!("http://127.0.0.1:{port}"),
                _directory: directory,
                child,
            };
            if listens(&mut apache.child, port) {
                return apache;
            }
        }
        panic!("apache does not listen");
    }

    /// The status for a request with this Authorization header.
    pub(crate) fn status(&self, path: &str, authorization: &str) -> u16 {
        let header = format!("Authorization: {authorization}\r\n");
        get(&self.base, path, &header).0
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        end_politely(&mut self.child);
    }
}

/// Waits until something listens on the port, or the server has ended.
fn listens(child: &mut Child, port: u16) -> bool {
    for _ in 0..500 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        if !matches!(child.try_wait(), Ok(None)) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// A master ends its workers when asked politely; it was started by us, by this id.
fn end_politely(child: &mut Child) {
    let _gone = Command::new("kill").arg(child.id().to_string()).status();
    let _reaped = child.wait();
}

/// Users with odd passwords: SHA-1 as nginx reads it, because its plain form ends at a colon.
/// They are `secret`, `a:b:c:`, `pässwörd€` and `p%40+&=/?#`.
const HTPASSWD: &str = "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
colon:{SHA}FLISeTZrq09GCH4xoGECTgH6Qdg=
jürgen:{SHA}WftlVS2jnC7Vz30QrXptSZ4eRyo=
pct:{SHA}0zXstH0pT6Mn32gfOxyUabWmYUI=
";

/// A private CA, and certificates by it for the server and for a client.
fn certificates(directory: &std::path::Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", ca.self_signed(&ca_key).unwrap().pem());
    let issuer = Issuer::new(ca, ca_key);
    for (name, subjects) in [
        ("server", vec!["127.0.0.1", "localhost"]),
        ("client", vec!["client.test"]),
    ] {
        let key = KeyPair::generate().unwrap();
        let subjects: Vec<String> = subjects.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(subjects).unwrap();
        // Its own name: an issuer and a subject of the same name would be taken for one.
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        write(
            &format!("{name}.pem"),
            params.signed_by(&key, &issuer).unwrap().pem(),
        );
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

/// nginx's workers may run as another user than the test.
fn open_to_workers(directory: &std::path::Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory, open).unwrap();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A plain GET, independent of what is under test: status and body.
fn get(base: &str, path: &str, headers: &str) -> (u16, String) {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
    let body = reply
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    (status, body.unwrap_or_default())
}
