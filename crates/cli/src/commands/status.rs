//! `gatepass status`: how a running gateway and its deployments fare.

use std::time::Duration;

use gatepass_gateway::{DeploymentReport, Listen, Report};

use super::serve::ADMIN;
use crate::args::{Format, Globals, StatusArgs};
use crate::exit::{self, Failure};
use crate::output::{self, Colour};

/// A gateway of this machine answers at once, or something is wrong with it.
const LIMIT: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: &StatusArgs, globals: &Globals) -> Result<u8, Failure> {
    let asked = Asked::new(place(args, globals)?)?;
    let colour = Colour::for_stdout();
    loop {
        let text = asked.report().await?;
        let shown = if globals.format == Format::Json {
            text
        } else {
            let report: Report = serde_json::from_str(&text)
                .map_err(|_| Failure::other(asked.told("answers as no gateway does")))?;
            in_words(&report, colour)
        };
        if args.watch && colour.is_on() {
            // Home, and what was there before gone.
            output::line("\x1b[H\x1b[2J")?;
        }
        output::line(&shown)?;
        if !args.watch {
            return Ok(exit::OK);
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The option, then the configuration where there is one, then the default.
fn place(args: &StatusArgs, globals: &Globals) -> Result<Listen, Failure> {
    let text = match &args.admin {
        Some(text) => Some(text.clone()),
        None => match super::load(globals) {
            Ok(config) => config.gateway().admin.clone(),
            Err(failure) if !globals.config.is_empty() => return Err(failure),
            Err(_) => None,
        },
    };
    let text = text.unwrap_or_else(|| ADMIN.to_owned());
    let bare = text.strip_prefix("http://").unwrap_or(&text);
    let place: Result<Listen, String> = bare.trim_end_matches('/').parse();
    place.map_err(|what| Failure::usage(format!("admin {what}")))
}

/// An admin listener, and what it is asked with.
struct Asked {
    client: reqwest::Client,
    url: String,
    place: String,
}

impl Asked {
    fn new(place: Listen) -> Result<Self, Failure> {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only(Vec::new())
            .timeout(LIMIT);
        let (builder, url, place) = match place {
            Listen::Address(address) => (builder, format!("http://{address}"), address.to_string()),
            Listen::Unix(path) => {
                let place = format!("unix:{}", path.display());
                (
                    builder.unix_socket(path),
                    "http://localhost".to_owned(),
                    place,
                )
            }
        };
        let client = builder
            .build()
            .map_err(|_| Failure::other("no HTTP client can be made: report it"))?;
        Ok(Self {
            client,
            url: format!("{url}/-/deployments"),
            place,
        })
    }

    fn told(&self, what: &str) -> String {
        format!("{} {what}", self.place)
    }

    async fn report(&self) -> Result<String, Failure> {
        let unreached = |_| {
            let what = "is not reached: start `gatepass serve`, or say where its admin listener is with --admin";
            Failure::not_reached(self.told(what))
        };
        let answer = self.client.get(&self.url).send().await.map_err(unreached)?;
        if !answer.status().is_success() {
            let what = "does not tell: an admin listener tells of deployments to this machine alone, so give it a loopback address or a unix socket";
            return Err(Failure::other(self.told(what)));
        }
        answer.text().await.map_err(unreached)
    }
}

fn in_words(report: &Report, colour: Colour) -> String {
    let mut text = format!(
        "gatepass {}, up {}, connections {}, reloads {}{}\n",
        report.version,
        report.uptime(),
        report.connections,
        report.generation,
        if report.draining { ", draining" } else { "" },
    );
    if let Some(why) = &report.reload_failure {
        let first = "the last change of the configuration was not taken over:";
        text.push_str(&format!("{}\n", colour.red(first)));
        for line in why.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    let header = [
        "DEPLOYMENT",
        "METHOD",
        "CREDENTIAL",
        "PER SECOND",
        "REQUESTS",
        "UNDER WAY",
        "4XX",
        "5XX",
        "FAILED",
    ];
    let rows: Vec<_> = report.deployments.iter().map(row).collect();
    text.push('\n');
    let table = output::table(&header, &rows);
    text.push_str(&table.replacen(
        table.lines().next().unwrap_or_default(),
        &colour.bold(table.lines().next().unwrap_or_default()),
        1,
    ));
    for deployment in &report.deployments {
        if let Some(failure) = &deployment.last_failure {
            text.push_str(&format!(
                "\n\n{}: {} ago, {} ({})\n  {}",
                colour.bold(&deployment.name),
                failure.age(),
                colour.red(&failure.status.to_string()),
                failure.part.replace('_', " "),
                failure.message
            ));
        }
    }
    text
}

fn row(deployment: &DeploymentReport) -> Vec<String> {
    let limit = deployment.in_flight_limit;
    let limit = limit
        .map(|limit| format!(" of {limit}"))
        .unwrap_or_default();
    vec![
        deployment.name.clone(),
        deployment.authentication.clone(),
        deployment.credential.words(),
        format!("{:.1}", deployment.requests_per_second),
        deployment.requests.to_string(),
        format!("{}{limit}", deployment.in_flight),
        deployment.class(4).to_string(),
        deployment.class(5).to_string(),
        deployment.errors_in_words(),
    ]
}
