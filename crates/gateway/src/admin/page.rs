//! The status page: plain HTML that a browser loads again every few seconds. No script runs on it.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY};
use http::{HeaderValue, Response};
use sha2::{Digest, Sha256};

use super::report::{DeploymentReport, Report, TokenSource, span};
use super::typed;

/// What failed longer ago, in seconds, is shown as history.
const RECENT: u64 = 300;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --bad: #b3261e; --good: #1b7f3b; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7ddc9a; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 80rem; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
.facts { color: GrayText; font-size: .85rem; margin: .2rem 0 1.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .45rem .8rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; font-size: .85rem; color: GrayText; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tbody th { color: inherit; font-size: inherit; }
td small, th small { font-size: .85rem; font-weight: 400; color: GrayText; display: block; overflow-wrap: anywhere; }
.bad { color: var(--bad); } .good { color: var(--good); }
.failure td { padding-top: 0; color: var(--bad); } .failure.old td { color: GrayText; }
tr.failing > * { border-bottom: 0; }
.banner { border: 1px solid var(--bad); border-radius: .4rem; padding: .6rem .8rem; color: var(--bad); white-space: pre-line; }
";

pub(super) fn response(report: &Report) -> Response<Bytes> {
    let mut response = typed("text/html; charset=utf-8", html(report));
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

fn html(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Gatepass</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"5\">\
         <style>{STYLE}</style><h1>Gatepass</h1><p class=\"facts\">version {}, up {}, {} open, {}{}</p>",
        escape(&report.version),
        report.uptime(),
        plural(report.connections, "connection"),
        plural(report.generation, "reload"),
        if report.draining { ", draining" } else { "" },
    );
    if let Some(why) = &report.reload_failure {
        put(
            &mut out,
            format_args!(
                "<p class=\"banner\">The last change of the configuration was not taken over; the one before serves on.\n{}</p>",
                escape(why)
            ),
        );
    }
    out.push_str("<h2>Deployments</h2><div class=\"wide\"><table><thead><tr>");
    for (name, number) in [
        ("Name", false),
        ("Method", false),
        ("Credential", false),
        ("Requests/s", true),
        ("Requests", true),
        ("Under way", true),
        ("4xx", true),
        ("5xx", true),
        ("Errors of the gateway, by who failed", false),
    ] {
        let class = if number { " class=\"number\"" } else { "" };
        put(
            &mut out,
            format_args!("<th scope=\"col\"{class}>{name}</th>"),
        );
    }
    out.push_str("</tr></thead><tbody>");
    for deployment in &report.deployments {
        row(&mut out, deployment);
    }
    out.push_str("</tbody></table></div>");
    if !report.tokens.is_empty() {
        out.push_str(
            "<h2>Where tokens come from</h2><div class=\"wide\"><table><thead><tr><th scope=\"col\">Source</th>\
             <th scope=\"col\">Newest token</th><th scope=\"col\" class=\"number\">Obtained</th>\
             <th scope=\"col\" class=\"number\">Failed</th><th scope=\"col\" class=\"number\">Refused</th>\
             <th scope=\"col\" class=\"number\">Rejected by upstreams</th></tr></thead><tbody>",
        );
        for source in &report.tokens {
            token_row(&mut out, source);
        }
        out.push_str("</tbody></table></div>");
    }
    out.push_str("</html>\n");
    out
}

fn row(out: &mut String, deployment: &DeploymentReport) {
    let credential = &deployment.credential;
    let state = match credential.state.as_str() {
        "live" => "good",
        "expired" => "bad",
        _ => "",
    };
    let limit = deployment.in_flight_limit;
    let limit = limit
        .map(|limit| format!(" of {limit}"))
        .unwrap_or_default();
    let failing = deployment.last_failure.is_some();
    put(
        out,
        format_args!(
            "<tr{}><th scope=\"row\">{}<small>{}</small></th><td>{}</td><td class=\"{state}\">{}<small>{}</small></td>\
             <td class=\"number\">{:.1}</td><td class=\"number\">{}</td><td class=\"number\">{}{limit}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            if failing { " class=\"failing\"" } else { "" },
            escape(&deployment.name),
            escape(&deployment.origin),
            escape(&deployment.authentication),
            escape(&credential.words()),
            escape(credential.source.as_deref().unwrap_or_default()),
            deployment.requests_per_second,
            deployment.requests,
            deployment.in_flight,
            deployment.class(4),
            deployment.class(5),
            escape(&deployment.errors_in_words()),
        ),
    );
    if let Some(failure) = &deployment.last_failure {
        put(
            out,
            format_args!(
                "<tr class=\"failure{}\"><td colspan=\"9\">{} ago, {} ({}): {}</td></tr>",
                if failure.seconds_ago < RECENT {
                    ""
                } else {
                    " old"
                },
                failure.age(),
                failure.status,
                escape(&failure.part.replace('_', " ")),
                escape(&failure.message)
            ),
        );
    }
}

fn token_row(out: &mut String, source: &TokenSource) {
    let usable = source.usable_seconds.map(|seconds| match seconds {
        0 => "expired".to_owned(),
        seconds => format!("{} left", span(seconds)),
    });
    put(
        out,
        format_args!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            escape(&source.source),
            usable.unwrap_or_default(),
            source.obtained,
            source.failed,
            source.refused,
            source.rejections,
        ),
    );
    if let Some(why) = &source.last_failure {
        put(
            out,
            format_args!(
                "<tr class=\"failure\"><td colspan=\"6\">{}</td></tr>",
                escape(why)
            ),
        );
    }
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _into_memory = out.write_fmt(what);
}

fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Text within HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_is_text_on_the_page() {
        let report = Report {
            version: "0".to_owned(),
            generation: 0,
            uptime_seconds: 1,
            draining: false,
            connections: 1,
            reload_failure: Some("<script>alert(1)</script>".to_owned()),
            deployments: Vec::new(),
            tokens: Vec::new(),
        };
        let page = html(&report);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
        let response = response(&report);
        let policy = response.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    }
}
