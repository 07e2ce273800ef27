//! Programs under test, and what the system says of them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ends with this, by its own id.
pub(super) struct Running(pub(super) Child);

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

/// A program on one core, silent.
pub(super) fn pinned(taskset: &Path, core: u8, program: &Path) -> Command {
    let mut command = Command::new(taskset);
    command.args(["-c", &core.to_string()]).arg(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

pub(super) fn start(command: &mut Command) -> Result<Running, String> {
    let child = command.spawn();
    child
        .map(Running)
        .map_err(|cause| format!("does not start: {cause}"))
}

pub(super) fn free_port() -> Result<u16, String> {
    let listener =
        TcpListener::bind(("127.0.0.1", 0)).map_err(|cause| format!("no port: {cause}"))?;
    let address = listener.local_addr().map_err(|cause| cause.to_string())?;
    Ok(address.port())
}

/// The one child of a process: nginx's worker.
pub(super) fn child_of(pid: u32) -> Result<u32, String> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).map_err(|cause| format!("{path}: {cause}"))?;
    let first = children
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok());
    first.ok_or_else(|| "nginx has no worker: see target/bench-gateway/nginx/error.log".to_owned())
}

/// User and system time so far, in microseconds.
pub(super) fn cpu_micros(pid: u32) -> Result<f64, String> {
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

pub(super) fn resident_mib(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|cause| format!("{path}: {cause}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0)
        .ok_or_else(|| format!("{path} has no VmRSS"))
}
