//! `gatepass exec NAME -- CMD ..`: a program with a gateway and a key of its own.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use gatepass_gateway::{Gateway, Listen, Options};
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{ExecArgs, Globals};
use crate::exit::Failure;

/// Answers that the program left behind may end within this.
const DRAIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: &ExecArgs, globals: &Globals) -> Result<u8, Failure> {
    let config = super::load(globals)?;
    config.deployment(&args.name)?;
    let only = config.only(&args.name);
    let listen: Listen = "127.0.0.1:0".parse().map_err(Failure::other)?;
    let mut options = Options::on(listen);
    options.threads = Some(1);
    let mut gateway = Gateway::start(&options, &only).map_err(Failure::usage)?;
    let key = gateway.start_key().unwrap_or_default().to_owned();
    let url = format!("{}/{}", gateway.url(), args.name);

    let mut signals = Signals::new().map_err(|cause| Failure::other(cause.to_string()))?;
    let (program, arguments) = args
        .command
        .split_first()
        .ok_or_else(|| Failure::usage("no program: write it after --"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("OPENAI_BASE_URL", &url)
        .env("OPENAI_API_KEY", &key)
        .env("GATEPASS_URL", &url)
        .env("GATEPASS_KEY", &key)
        .spawn()
        .map_err(|cause| {
            let program = program.to_string_lossy();
            Failure::usage(format!(
                "{program} does not start ({}): check its path",
                cause.kind()
            ))
        })?;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended,
            number = signals.next() => pass_on(number, child.id()),
        }
    };
    gateway.drain(DRAIN).await;
    let ended = ended.map_err(|cause| Failure::other(cause.to_string()))?;
    Ok(code(ended))
}

/// As a shell tells it: 128 and the signal for a program that was killed by one.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Signals that are the program's business.
struct Signals(Vec<(i32, Signal)>);

impl Signals {
    fn new() -> std::io::Result<Self> {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        let each = kinds.map(|kind| signal(kind).map(|signal| (kind.as_raw_value(), signal)));
        each.into_iter().collect::<Result<_, _>>().map(Self)
    }

    /// The number of the next one.
    async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// To the program; from a terminal's keys it has got the signal already.
fn pass_on(number: i32, child: Option<u32>) {
    use std::io::IsTerminal;
    let from_keys = matches!(number, 2 | 3) && std::io::stdin().is_terminal();
    let pid = child.and_then(|pid| i32::try_from(pid).ok());
    let signal = rustix::process::Signal::from_named_raw(number);
    if let (false, Some(pid), Some(signal)) = (from_keys, pid, signal) {
        let Some(pid) = rustix::process::Pid::from_raw(pid) else {
            return;
        };
        // It may have ended just now.
        let _gone = rustix::process::kill_process(pid, signal);
    }
}
