//! `gatepass check`: what works, what does not, why, and what to do about it.
//!
//! ```text
//!  definition ──> secrets, token ──> probe with the credential ──> diagnosis ──> row
//!                                    probe without it (GET only) ──┘
//! ```
//!
//! Never runs a model unless a definition says so, because that may cost money: the probe is a GET.
//! A second GET without the credential tells whether the first one proved anything.

mod claims; // what a token says of itself
mod diagnosis; // what an answer means
mod progress; // a line on the terminal while it works
mod report; // what people and programs read
mod row; // what was found out about one deployment

use std::time::Duration;

use futures_util::{StreamExt, stream};
use gatepass_client::{Caller, Client, Error, ErrorKind, Response};
use gatepass_core::{Clock, Deployment, Material, Ready, SystemClock};
use http::Method;

use self::claims::Claims;
use self::diagnosis::{Answer, Sent};
use self::progress::Progress;
use self::row::{Row, Verdict};
use super::load;
use crate::args::{CheckArgs, Globals};
use crate::exit::{Failure, OK, OTHER};
use crate::output;

/// Deployments checked at the same time.
const AT_ONCE: usize = 8;

pub(crate) async fn run(args: &CheckArgs, globals: &Globals) -> Result<u8, Failure> {
    let client = Client::new(load(globals)?);
    let limit = output::seconds("--timeout", args.timeout)?;
    let names = select(&args.names, &client)?;
    let rows = if args.offline {
        names.iter().map(|name| Row::defined(name)).collect()
    } else {
        check_all(&client, &names, limit, globals).await
    };
    let ok = rows.iter().all(|row| row.verdict.is_ok());
    report::print(&rows, ok, globals)?;
    Ok(if ok { OK } else { OTHER })
}

/// The named deployments in their order; without names, all.
fn select(names: &[String], client: &Client) -> Result<Vec<String>, Failure> {
    for name in names {
        client.config().deployment(name)?;
    }
    if names.is_empty() {
        let defined = client.config().deployments();
        return Ok(defined.map(|one| one.name().to_owned()).collect());
    }
    Ok(names.to_vec())
}

async fn check_all(
    client: &Client,
    names: &[String],
    limit: Duration,
    globals: &Globals,
) -> Vec<Row> {
    let progress = Progress::of(names.len(), globals);
    let checks = names.iter().map(|name| async {
        let row = match client.deployment(name) {
            Ok(caller) => check(&caller, limit).await,
            Err(error) => {
                let mut row = Row::defined(name);
                row.fail(Verdict::NotReached, error.cause(), error.fix());
                row
            }
        };
        progress.done(name);
        row
    });
    stream::iter(checks).buffered(AT_ONCE).collect().await
}

async fn check(caller: &Caller, limit: Duration) -> Row {
    let mut row = Row::defined(caller.name());
    let held = match caller.deployment().credentials().prepare().await {
        Ok(held) => held,
        Err(error) => {
            row.fail(Verdict::NoCredential, error.cause(), error.fix());
            return row;
        }
    };
    describe(&mut row, caller.deployment(), &held);
    let sent = sent(caller.deployment(), &held);
    match probe(caller, limit).await {
        Ok(response) => judge(&mut row, caller, response, &sent, limit).await,
        Err(error) => row.fail(verdict_of(&error), error.cause(), error.fix()),
    }
    row
}

fn verdict_of(error: &Error) -> Verdict {
    match error.kind() {
        ErrorKind::Credential => Verdict::NoCredential,
        _ => Verdict::NotReached,
    }
}

/// The definition's own probe, else a GET without a body.
async fn probe(caller: &Caller, limit: Duration) -> Result<Response, Error> {
    let probe = caller.deployment().probe();
    let request = caller
        .request(probe.method.clone(), &probe.path)
        .timeout(limit);
    match &probe.body {
        Some(body) => {
            let request = request.header("content-type", "application/json");
            request.body(body.clone()).send().await
        }
        None => request.send().await,
    }
}

async fn judge(row: &mut Row, caller: &Caller, response: Response, sent: &Sent, limit: Duration) {
    let answer = Answer {
        status: response.status(),
        headers: response.headers().clone(),
        // Read before anything else takes time.
        now: SystemClock.now(),
    };
    drop(response);
    row.status = Some(answer.status.as_u16());
    let safe = matches!(
        caller.deployment().probe().method,
        Method::GET | Method::HEAD
    );
    let worth_asking = safe && !diagnosis::refuses(answer.status) && sent.is_something();
    let bare = if worth_asking {
        let bare = probe(&caller.anonymous(), limit).await;
        bare.ok().map(|response| response.status())
    } else {
        None
    };
    diagnosis::diagnose(row, &answer, sent, bare);
}

/// What is held, for people: which kind, how long it lasts, what is doubtful about it.
fn describe(row: &mut Row, deployment: &Deployment, held: &[Ready]) {
    let owned = deployment.credentials().owned();
    for ready in held {
        let lease = ready.lease();
        match lease.material() {
            Material::Headers(headers) => {
                for (name, value) in headers {
                    row.credential
                        .push(output::kind_of(owned.spelling(name), value));
                }
            }
            Material::Key(_) => row.credential.push("signature".to_owned()),
        }
        if let Some(hard) = lease.hard() {
            row.usable = Some(SystemClock.now().until(hard));
        }
        for (name, fact) in lease.facts() {
            match *name {
                "note" => row.notes.push(fact.clone()),
                "scope" => row.scope = Some(fact.clone()),
                _ => {}
            }
        }
    }
}

/// What the probe carries, as far as it helps to explain a refusal.
fn sent(deployment: &Deployment, held: &[Ready]) -> Sent {
    let owned = deployment.credentials().owned();
    let mut sent = Sent::default();
    for ready in held {
        let lease = ready.lease();
        sent.renewable |= lease.hard().is_some();
        let Material::Headers(headers) = lease.material() else {
            sent.signed = true;
            continue;
        };
        for (name, value) in headers {
            sent.headers.push(owned.spelling(name).to_owned());
            if let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' '))
                && name == http::header::AUTHORIZATION
            {
                sent.scheme = Some(scheme.to_owned());
                sent.claims = Claims::of(rest);
            }
        }
    }
    sent
}
