//! The gateway as a process, and what the system says of it.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::calls;
use super::servers::Server;
use crate::shell;

pub(super) const KEY: &str = "gp_soak";

pub(super) struct Gateway {
    /// Ends with this.
    _process: Child,
    pid: u32,
    pub(super) port: u16,
    admin: u16,
}

/// What the system says of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauge {
    /// Resident memory.
    pub(super) kib: u64,
    pub(super) files: usize,
    pub(super) threads: usize,
}

impl Gateway {
    pub(super) async fn start(
        release: bool,
        tokens: &Server,
        model: &Server,
    ) -> Result<Self, String> {
        let config = format!(
            "[[gateway.keys]]\nname = \"soak\"\nsha256 = \"{}\"\ndeployments = [\"m\"]\n\
             [deployments.m]\nbase_url = \"http://127.0.0.1:{}/\"\nauthentication = \"oauth\"\nclient_id = \"id\"\n\
             client_secret = \"s3cr3t\"\ntoken_url = \"http://127.0.0.1:{}/token\"\nscope = \"\"\n",
            gatepass_gateway::digest(KEY),
            model.port,
            tokens.port
        );
        let path = shell::root().join("target/soak.toml");
        fs::write(&path, config).map_err(|cause| format!("target/soak.toml: {cause}"))?;
        let profile = if release { "release" } else { "debug" };
        let binary = shell::root().join("target").join(profile).join("gatepass");
        let mut process = Command::new(binary)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--config",
            ])
            .arg(path)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| format!("gatepass does not start: {cause}"))?;
        let pid = process.id().ok_or("gatepass ended at once")?;
        let stderr = process.stderr.take().ok_or("no stderr")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut ports = [0; 2];
        for (port, begins) in ports.iter_mut().zip(["listening on ", "admin on "]) {
            let line = lines.next_line().await.ok().flatten().unwrap_or_default();
            let found = line
                .strip_prefix(begins)
                .and_then(|url| url.rsplit_once(':'));
            let found = found.and_then(|(_, port)| port.parse().ok());
            *port = found.ok_or_else(|| format!("gatepass said: {line}"))?;
        }
        // Whatever else it says goes by.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let [port, admin] = ports;
        Ok(Self {
            _process: process,
            pid,
            port,
            admin,
        })
    }

    pub(super) fn gauge(&self) -> Result<Gauge, String> {
        gauge(self.pid)
    }

    /// Looks at its memory many times a second, for as long as this lives.
    pub(super) fn watch(&self) -> Watch {
        let watch = Watch {
            most: Arc::default(),
            over: Arc::default(),
        };
        let (most, over, pid) = (Arc::clone(&watch.most), Arc::clone(&watch.over), self.pid);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if let Ok(gauge) = gauge(pid) {
                    most.fetch_max(gauge.kib, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        watch
    }

    /// The first number of the metrics whose line begins like this.
    pub(super) async fn metric(&self, begins: &str) -> Result<u64, String> {
        let text = calls::text(self.admin, "/-/metrics").await?;
        let line = text.lines().find(|line| line.starts_with(begins));
        let number = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
        number.ok_or_else(|| format!("no {begins} among the metrics"))
    }

    /// So many callers are connected.
    pub(super) async fn has_connections(&self, at_least: u64) -> Result<(), String> {
        let connections = self.metric("gatepass_connections").await?;
        if connections < at_least {
            return Err(format!("{connections} connections, {at_least} were opened"));
        }
        Ok(())
    }

    /// Waits until nobody is connected and nothing under way.
    pub(super) async fn settled(&self) -> Result<(), String> {
        for _ in 0..500 {
            let connections = self.metric("gatepass_connections").await?;
            let under_way = self.metric("gatepass_in_flight{").await?;
            if connections == 0 && under_way == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("connections or requests are left over though nobody calls".to_owned())
    }

    /// It serves, and nothing is left of what was.
    pub(super) async fn is_well(&self) -> Result<(), String> {
        calls::many(self, 8, 8).await?;
        self.settled().await
    }
}

pub(super) struct Watch {
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Watch {
    /// The most memory since it began, in KiB.
    pub(super) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn gauge(pid: u32) -> Result<Gauge, String> {
    let gone = |cause: std::io::Error| format!("gatepass is gone: {cause}");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(gone)?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let files = fs::read_dir(format!("/proc/{pid}/fd")).map_err(gone)?;
    Ok(Gauge {
        kib: number("VmRSS:"),
        files: files.count(),
        threads: usize::try_from(number("Threads:")).unwrap_or(0),
    })
}
