//! `gatepass call`: curl's habits, with the credential added.

use std::io::{self, Read, Write};

use bytes::Bytes;
use gatepass_client::{RequestBuilder, Response};
use http::{Method, StatusCode};

use super::deployment;
use crate::args::{CallArgs, Globals};
use crate::exit::{Failure, HTTP_STATUS, OK};
use crate::output;

pub(crate) async fn run(args: &CallArgs, globals: &Globals) -> Result<u8, Failure> {
    let caller = deployment(&args.name, globals)?;
    let body = body(args)?;
    let method = match &args.method {
        Some(text) => Method::from_bytes(text.as_bytes())
            .map_err(|_| Failure::usage("-X takes a method like POST"))?,
        None if body.is_some() => Method::POST,
        None => Method::GET,
    };
    let mut request = caller.request(method, &args.path);
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    request = with_headers(request, &args.headers)?;
    if let Some(body) = body {
        request = request.body(body);
    }
    if let Some(seconds) = args.timeout {
        request = request.timeout(output::seconds("--timeout", seconds)?);
    }
    let response = request.send().await?;
    let status = response.status();
    print(response, args.include).await?;
    if status.as_u16() < 300 {
        return Ok(OK);
    }
    if !globals.quiet {
        output::note(&format!(
            "gatepass: deployment \"{}\" answered {status}: {}",
            args.name,
            advice(status)
        ));
    }
    Ok(HTTP_STATUS)
}

fn body(args: &CallArgs) -> Result<Option<Bytes>, Failure> {
    if let Some(json) = &args.json {
        return Ok(Some(Bytes::from(json.clone())));
    }
    let Some(data) = &args.data else {
        return Ok(None);
    };
    let unreadable = |place: &str, cause: io::Error| {
        Failure::usage(format!(
            "-d @{place} cannot be read ({}): check path and rights",
            cause.kind()
        ))
    };
    match data.strip_prefix('@') {
        None => Ok(Some(Bytes::from(data.clone()))),
        Some("-") => {
            let mut bytes = Vec::new();
            io::stdin()
                .lock()
                .read_to_end(&mut bytes)
                .map_err(|cause| unreadable("-", cause))?;
            Ok(Some(bytes.into()))
        }
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|cause| unreadable(path, cause))?;
            Ok(Some(bytes.into()))
        }
    }
}

fn with_headers(mut request: RequestBuilder, lines: &[String]) -> Result<RequestBuilder, Failure> {
    for line in lines {
        // The line is not quoted: it may hold a key that was pasted in the wrong place.
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Failure::usage("-H takes a header like 'name: value'"))?;
        request = request.header(name.trim(), value.trim());
    }
    Ok(request)
}

async fn print(mut response: Response, include: bool) -> Result<(), Failure> {
    let mut out = io::stdout();
    if include {
        writeln!(out, "{:?} {}", response.version(), response.status())?;
        for (name, value) in response.headers() {
            write!(out, "{name}: ")?;
            out.write_all(value.as_bytes())?;
            writeln!(out)?;
        }
        writeln!(out)?;
    }
    while let Some(chunk) = response.chunk().await? {
        out.write_all(&chunk)?;
        out.flush()?;
    }
    Ok(())
}

fn advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => {
            "a redirect that would take the body or the credential elsewhere is not followed"
        }
        401 => "the credential was refused, check it where it comes from",
        403 => "the credential was refused or has no right to this, ask the deployment's owner",
        404 => "check url, base_url and the path",
        429 => "too many calls, wait a while",
        500.. => "the deployment failed, ask its operator if this lasts",
        _ => "the body above may say why",
    }
}
