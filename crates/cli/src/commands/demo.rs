//! `gatepass demo`: every method at work against endpoints that this command starts itself. They
//! truly verify: the same calls with a wrong credential are refused.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use gatepass_client::{Caller, Client};
use gatepass_config::Config;
use gatepass_testkit::{Access, Model, Reply, TokenServer};
use serde::Serialize;
use serde_json::json;

use crate::args::{Format, Globals};
use crate::exit::{Failure, OK, OTHER};
use crate::output::{self, Colour};
use crate::registry::registry;

/// The lifetime of the demo's tokens: short enough to watch one expire.
const TOKEN_LIFETIME: Duration = Duration::from_secs(2);

/// One call and what came of it.
#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    authentication: &'static str,
    sent: String,
    status: Option<u16>,
    expected: Option<u16>,
    ok: bool,
}

pub(crate) async fn run(globals: &Globals) -> Result<u8, Failure> {
    let demo = Demo::start().await?;
    let rows = demo.rows(globals).await?;
    let ok = rows.iter().all(|row| row.ok);
    let mut out = io::stdout().lock();
    match globals.format {
        Format::Json => writeln!(out, "{}", json!({ "ok": ok, "rows": rows }))?,
        Format::Text => print(&mut out, &rows, ok)?,
    }
    Ok(if ok { OK } else { OTHER })
}

/// The endpoints, and a client for them.
struct Demo {
    tokens: TokenServer,
    guarded: Model,
    basic: Model,
    elsewhere: Model,
    client: Client,
    /// Keep their ports for as long as the demo runs.
    _others: [Model; 3],
}

impl Demo {
    async fn start() -> Result<Self, Failure> {
        let start = |access| async {
            Model::start(access).await.map_err(|cause| {
                Failure::other(format!("no loopback port is to be had ({})", cause.kind()))
            })
        };
        let tokens = TokenServer::start().await;
        let tokens = tokens
            .map_err(|cause| {
                Failure::other(format!("no loopback port is to be had ({})", cause.kind()))
            })?
            .client("client_12345", "demo+secret%")
            .expires_in(TOKEN_LIFETIME);
        let header = |name: &str, value: &str| Access::Header(name.into(), value.into());
        let open = start(Access::Open).await?;
        let basic = start(header("authorization", "Basic YXBpdXNlcjpzZWNyZXQxMjM=")).await?;
        let bearer = start(header("authorization", "Bearer tok-static")).await?;
        let custom = start(header("api-key", "abcd1234")).await?;
        let guarded = start(Access::Token(tokens.clone())).await?;
        let elsewhere = start(Access::Open).await?;
        let definitions = format!(
            r#"
            [deployments.open]
            url = "{open}"
            authentication = "none"

            [deployments.basic]
            url = "{basic}"
            authentication = "basic"
            username = "apiuser"
            password = "secret123"

            [deployments.bearer]
            url = "{bearer}"
            authentication = "bearer"
            token = "tok-static"

            [deployments.custom]
            url = "{custom}"
            authentication = "custom"
            header = "api-key"
            value = "abcd1234"

            [deployments.oauth]
            url = "{guarded}"
            authentication = "oauth"
            client_id = "client_12345"
            client_secret = "demo+secret%"
            token_url = "{tokens}"

            [deployments.wrong-basic]
            url = "{basic}"
            authentication = "basic"
            username = "apiuser"
            password = "secret124"

            [deployments.wrong-custom]
            url = "{custom}"
            authentication = "custom"
            header = "api-key"
            value = "abcd1235"

            [deployments.wrong-oauth]
            url = "{guarded}"
            authentication = "oauth"
            client_id = "client_12345"
            client_secret = "wrong"
            token_url = "{tokens}"
            "#,
            open = open.url("/predict"),
            basic = basic.url("/predict"),
            bearer = bearer.url("/predict"),
            custom = custom.url("/predict"),
            guarded = guarded.url("/predict"),
            tokens = tokens.url(),
        );
        let config = Config::from_toml(&definitions, "demo.toml".as_ref(), &registry())?;
        let client = Client::new(config);
        Ok(Self {
            tokens,
            guarded,
            basic,
            elsewhere,
            client,
            _others: [open, bearer, custom],
        })
    }

    async fn rows(&self, globals: &Globals) -> Result<Vec<Row>, Failure> {
        let call = |name| self.client.deployment(name);
        let mut rows = vec![
            row("no credential", "none", &call("open")?, Some(200)).await,
            row("user and password", "basic", &call("basic")?, Some(200)).await,
            row("token handed out", "bearer", &call("bearer")?, Some(200)).await,
            row("header of its own", "custom", &call("custom")?, Some(200)).await,
            row("token obtained", "oauth", &call("oauth")?, Some(200)).await,
        ];
        rows.push(self.cached().await?);
        rows.push(row("wrong password", "basic", &call("wrong-basic")?, Some(401)).await);
        rows.push(
            row(
                "wrong header value",
                "custom",
                &call("wrong-custom")?,
                Some(401),
            )
            .await,
        );
        rows.push(row("wrong client secret", "oauth", &call("wrong-oauth")?, None).await);
        rows.push(self.redirected().await?);
        rows.push(self.renewed(globals).await?);
        rows.push(self.revoked().await?);
        Ok(rows)
    }

    /// A second call sends the same token: the token endpoint is not asked again.
    async fn cached(&self) -> Result<Row, Failure> {
        let asked = self.tokens.requests();
        let mut row = row(
            "same token again",
            "oauth",
            &self.client.deployment("oauth")?,
            Some(200),
        )
        .await;
        row.ok &= self.tokens.requests() == asked;
        Ok(row)
    }

    /// A redirect to another origin is followed without the credential.
    async fn redirected(&self) -> Result<Row, Failure> {
        self.basic
            .next(Reply::status(302).header("location", &self.elsewhere.url("/elsewhere")));
        let name = "redirect elsewhere, bare";
        let mut row = row(name, "basic", &self.client.deployment("basic")?, Some(200)).await;
        let seen = self.elsewhere.seen();
        row.ok &= seen.len() == 1 && !seen[0].headers.contains_key("authorization");
        Ok(row)
    }

    /// A token that the deployment does not take any more, because its time is over, is replaced.
    async fn renewed(&self, globals: &Globals) -> Result<Row, Failure> {
        let caller = self.client.deployment("oauth")?;
        let old = bearer(&caller).await;
        if !globals.quiet && io::stderr().is_terminal() {
            output::note("waiting 2 s for a token to expire ...");
        }
        let patience = TOKEN_LIFETIME * 3;
        #[expect(clippy::disallowed_methods, reason = "bounds a wait for a real server")]
        let start = Instant::now();
        while self.tokens.accepts(&old) && start.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut row = row("token expired, renewed", "oauth", &caller, Some(200)).await;
        row.ok &= !self.tokens.accepts(&old) && bearer(&caller).await != old;
        Ok(row)
    }

    /// A token that is revoked early gets a 401, and the call is replayed once with a new one.
    async fn revoked(&self) -> Result<Row, Failure> {
        let caller = self.client.deployment("oauth")?;
        let _held = bearer(&caller).await;
        self.tokens.revoke_all();
        let before = self.guarded.seen().len();
        let mut row = row("token revoked, replayed", "oauth", &caller, Some(200)).await;
        row.ok &= self.guarded.seen().len() == before + 2;
        Ok(row)
    }
}

async fn bearer(caller: &Caller) -> String {
    let headers = caller.header().await.unwrap_or_default();
    let value = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    value
        .and_then(|text| text.strip_prefix("Bearer "))
        .unwrap_or_default()
        .to_owned()
}

async fn row(
    case: &'static str,
    authentication: &'static str,
    caller: &Caller,
    expected: Option<u16>,
) -> Row {
    let response = caller
        .post("")
        .json(&json!({ "inputs": [1, 2, 3] }))
        .send()
        .await;
    let status = response.ok().map(|response| response.status().as_u16());
    let ok = status == expected;
    Row {
        case,
        authentication,
        sent: sent(caller).await,
        status,
        expected,
        ok,
    }
}

/// What a call puts on the wire, masked.
async fn sent(caller: &Caller) -> String {
    let Ok(headers) = caller.header().await else {
        return "nothing: no token was given".to_owned();
    };
    let owned = caller.deployment().credentials().owned();
    let lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| (owned.spelling(name), value))
        .map(|(name, value)| format!("{name}: {}", output::masked(name, value)))
        .collect();
    if lines.is_empty() {
        "nothing".to_owned()
    } else {
        lines.join(", ")
    }
}

fn print(out: &mut impl Write, rows: &[Row], ok: bool) -> io::Result<()> {
    let colour = Colour::for_stdout();
    let shown = |status: Option<u16>| status.map_or("-".to_owned(), |status| status.to_string());
    let cells = |row: &Row| {
        vec![
            row.case.to_owned(),
            row.authentication.to_owned(),
            row.sent.clone(),
            shown(row.status),
            if row.ok {
                colour.green("ok")
            } else {
                format!("{}, expected {}", colour.red("FAIL"), shown(row.expected))
            },
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    writeln!(
        out,
        "{}",
        output::table(&["CASE", "METHOD", "SENT", "STATUS", ""], &rows)
    )?;
    let verdict = if ok {
        "Every method works here."
    } else {
        "Something is wrong: see FAIL above."
    };
    writeln!(
        out,
        "\n{verdict}\nThe endpoints ran in this process and verified each credential."
    )
}
