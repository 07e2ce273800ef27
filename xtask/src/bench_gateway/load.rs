//! The load, and what it measured.

use std::fs;
use std::process::Stdio;

use super::processes::{cpu_micros, pinned, resident_mib};
use super::subjects::{Stage, Subject};
use super::{BODY, KEY, Mode, Point};

/// What one round measured.
#[derive(Clone, Copy)]
pub(super) struct Measured {
    pub(super) micros: f64,
    pub(super) per_second: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) mib: f64,
}

/// What the load itself says.
struct Loaded {
    requests: f64,
    per_second: f64,
    p50: f64,
    p99: f64,
}

impl Measured {
    /// CPU before and after a load.
    pub(super) fn of(
        stage: &Stage,
        subject: &Subject,
        point: Point,
        seconds: u64,
    ) -> Result<Self, String> {
        let before = cpu_micros(subject.pid)?;
        let loaded = match stage.mode {
            Mode::Http2 => h2load(stage, subject, point, seconds)?,
            _ => wrk(stage, subject, point, seconds)?,
        };
        let used = cpu_micros(subject.pid)? - before;
        Ok(Self {
            micros: used / loaded.requests,
            per_second: loaded.per_second,
            p50: loaded.p50,
            p99: loaded.p99,
            mib: resident_mib(subject.pid)?,
        })
    }

    pub(super) fn median(rounds: &[Self]) -> Self {
        let by = |of: fn(&Self) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            micros: by(|one| one.micros),
            per_second: by(|one| one.per_second),
            p50: by(|one| one.p50),
            p99: by(|one| one.p99),
            mib: by(|one| one.mib),
        }
    }
}

fn wrk(stage: &Stage, subject: &Subject, point: Point, seconds: u64) -> Result<Loaded, String> {
    let body = "a".repeat(if point.post { BODY } else { 0 });
    let script = format!(
        "if {} then wrk.method = 'POST'; wrk.headers['content-type'] = 'application/json'; wrk.body = '{body}' end\n\
         wrk.headers['x-api-key'] = '{KEY}'; wrk.headers['accept'] = 'application/json'\n\
         done = function(s, l, r) io.write(string.format('requests=%d micros=%d p50=%d p99=%d bad=%d errors=%d\\n', \
         s.requests, s.duration, l:percentile(50), l:percentile(99), s.errors.status, \
         s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout)) end\n",
        point.post
    );
    let script = stage.write("load.lua", &script)?;
    let mut wrk = pinned(&stage.tools.taskset, 0, &stage.tools.wrk);
    wrk.args([
        "-t1",
        &format!("-c{}", point.at_once),
        &format!("-d{seconds}s"),
        "-s",
    ]);
    let report = said(wrk.arg(script).arg(&subject.url), subject)?;
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
    Ok(Loaded {
        requests,
        per_second: requests / (number("micros=")? / 1e6),
        p50: number("p50=")?,
        p99: number("p99=")?,
    })
}

/// Four streams on each connection.
fn h2load(stage: &Stage, subject: &Subject, point: Point, seconds: u64) -> Result<Loaded, String> {
    let log = stage.directory.join("h2load.log");
    let _from_before = fs::remove_file(&log);
    let mut h2load = pinned(&stage.tools.taskset, 0, &stage.tools.h2load);
    h2load
        .args(["-t1", "-m4", &format!("-c{}", point.at_once / 4)])
        .args(["-D", &seconds.to_string()])
        .args(["-H", &format!("x-api-key: {KEY}")])
        .args(["-H", "accept: application/json"])
        .arg(format!("--log-file={}", log.display()));
    if point.post {
        let body = stage.write("body", &"a".repeat(BODY))?;
        h2load
            .args(["-H", "content-type: application/json", "-d"])
            .arg(body);
    }
    let report = said(h2load.arg(&subject.url), subject)?;
    let text = fs::read_to_string(&log).map_err(|cause| format!("{}: {cause}", log.display()))?;
    // When it began, the status, how long it took in microseconds.
    let mut times = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t').skip(1);
        let (status, micros) = (fields.next(), fields.next());
        match (status, micros.and_then(|micros| micros.parse::<f64>().ok())) {
            (Some("200"), Some(micros)) => times.push(micros),
            // The end of the measured time cuts off what is under way.
            (Some("-1"), _) => {}
            _ => return Err(format!("{}: calls failed:\n{report}", subject.name)),
        }
    }
    if times.is_empty() {
        return Err(format!("{}: no call was served:\n{report}", subject.name));
    }
    times.sort_by(f64::total_cmp);
    let requests = times.len() as f64;
    Ok(Loaded {
        requests,
        per_second: requests / seconds as f64,
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
    })
}

fn said(command: &mut std::process::Command, subject: &Subject) -> Result<String, String> {
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|cause| format!("the load does not start: {cause}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: the load failed: {why}", subject.name));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
