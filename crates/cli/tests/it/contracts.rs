//! What scripts rely on: exit codes, exact output, where options may stand.

use std::net::TcpListener;

use gatepass_testkit::{Access, Model, Reply, TokenServer};

use crate::command::Gatepass;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn header_prints_exactly_the_designed_lines() {
    let gatepass = Gatepass::new(
        r#"
        [deployments.basic]
        url = "https://models.test/v1"
        authentication = "basic"
        username = "apiuser"
        password = "secret123"
        [deployments.custom]
        url = "https://models.test/v1"
        authentication = "custom"
        header = "X-Api-Key"
        value = "abcd1234"
        "#,
    );
    let check = |name: &str, want: &str| {
        let outcome = gatepass.run(&["header", name, "--reveal"]);
        outcome.check(0, &[]);
        assert_eq!(outcome.stdout, want);
        assert_eq!(outcome.stderr, "");
    };
    check("basic", "Authorization: Basic YXBpdXNlcjpzZWNyZXQxMjM=\n");
    check("custom", "X-Api-Key: abcd1234\n");
    // Masked text in a pipe would become a baffling 401.
    for command in ["header", "token"] {
        let outcome = gatepass.run(&[command, "basic"]);
        outcome.check(2, &["add --reveal"]);
        assert_eq!(outcome.stdout, "");
    }
    gatepass
        .run(&["token", "basic", "--reveal"])
        .check(2, &["sends no bearer token"]);
    gatepass
        .run(&["header", "bassic", "--reveal"])
        .check(2, &["did you mean \"basic\"?"]);
}

#[test]
fn options_stand_on_either_side_but_not_on_both() {
    let gatepass = Gatepass::new("");
    let other = gatepass.file(
        "other.toml",
        "[deployments.a]\nurl = \"https://h.test\"\nauthentication = \"bearer\"\ntoken = \"t\"\n",
    );
    let other = other.to_str().unwrap();
    gatepass
        .run(&["--config", other, "header", "a", "--reveal"])
        .check(0, &["Bearer t"]);
    gatepass
        .run(&["header", "a", "--reveal", "--config", other])
        .check(0, &["Bearer t"]);
    let json = gatepass.run(&[
        "--format", "json", "header", "a", "--reveal", "--config", other,
    ]);
    json.check(
        0,
        &["{\"headers\":[{\"name\":\"Authorization\",\"value\":\"Bearer t\"}]}"],
    );
    let twice = [
        "--config", other, "header", "a", "--reveal", "--config", other,
    ];
    gatepass
        .run(&twice)
        .check(2, &["--config stands before and after"]);
    gatepass.run(&["header"]).check(2, &["NAME"]);
    gatepass.run(&["--help"]).check(0, &["Exit codes"]);
}

#[test]
fn the_working_directory_is_never_searched() {
    let gatepass =
        Gatepass::new("[deployments.a]\nurl = \"https://h.test\"\nauthentication = \"none\"\n");
    let outcome = gatepass.run_with(
        &["header", "a", "--reveal"],
        &[("GATEPASS_CONFIG", ""), ("HOME", "/nonexistent")],
        "",
    );
    outcome.check(2, &["the working directory is never searched"]);
}

#[test]
fn call_has_curls_habits() {
    let runtime = runtime();
    let model = runtime
        .block_on(Model::start(Access::Header("x-key".into(), "k".into())))
        .unwrap();
    let gatepass = Gatepass::new(&format!(
        "[deployments.m]\nurl = \"{}\"\nbase_url = \"{}\"\nauthentication = \"custom\"\nheader = \"x-key\"\nvalue = \"k\"\n",
        model.url("/single"),
        model.url("/v1?api-version=7"),
    ));
    let file = gatepass.file("body.bin", b"\x00\xff line\n");
    let at_file = format!("@{}", file.display());
    let last =
        |outcome: crate::command::Outcome, method: &str, target: &str, kind: &str, body: &[u8]| {
            outcome.check(0, &[]);
            let seen = model.seen().pop().unwrap();
            assert_eq!(
                (seen.method.as_str(), seen.target.as_str(), &seen.body[..]),
                (method, target, body)
            );
            let got = seen
                .headers
                .get("content-type")
                .map_or("", |value| value.to_str().unwrap());
            assert_eq!(got, kind);
        };
    last(gatepass.run(&["call", "m"]), "GET", "/single", "", b"");
    last(
        gatepass.run(&["call", "m", "/p?api-version=9&q=1"]),
        "GET",
        "/v1/p?api-version=7&q=1",
        "",
        b"",
    );
    last(
        gatepass.run(&["call", "m", "--json", "{\"a\":1}"]),
        "POST",
        "/single",
        "application/json",
        b"{\"a\":1}",
    );
    last(
        gatepass.run(&["call", "m", "-d", &at_file, "-H", "content-type: x/y"]),
        "POST",
        "/single",
        "x/y",
        b"\x00\xff line\n",
    );
    last(
        gatepass.run_with(&["call", "m", "-d", "@-", "-X", "PUT"], &[], "piped\n"),
        "PUT",
        "/single",
        "application/json",
        b"piped\n",
    );

    let outcome = gatepass.run(&["call", "m", "-i"]);
    assert!(
        outcome.stdout.starts_with("HTTP/1.1 200 OK\n"),
        "{outcome:#?}"
    );
    assert!(
        outcome.stdout.contains("content-type: application/json\n"),
        "{outcome:#?}"
    );

    gatepass
        .run(&["call", "m", "-H", "X_Key: mine"])
        .check(2, &["belongs to the credential"]);
    gatepass
        .run(&["call", "m", "-H", "no colon"])
        .check(2, &["-H takes a header"]);
    gatepass
        .run(&["call", "m", "/a/../b"])
        .check(2, &["could leave the base URL"]);
    gatepass
        .run(&["call", "m", "-d", "@/nonexistent"])
        .check(2, &["cannot be read"]);
    gatepass
        .run(&["call", "m", "--timeout", "-1"])
        .check(2, &[]);

    model.next(Reply::status(503).body("busy, sorry"));
    let outcome = gatepass.run(&["call", "m"]);
    outcome.check(22, &["answered 503"]);
    assert_eq!(
        outcome.stdout, "busy, sorry",
        "the body is shown whatever the status"
    );
    model.next(Reply::silence());
    gatepass
        .run(&["call", "m", "--timeout", "0.3"])
        .check(28, &["no answer in time"]);
}

#[test]
fn each_kind_of_trouble_has_its_exit_code() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let runtime = runtime();
    let tokens = runtime.block_on(TokenServer::start()).unwrap();
    tokens.always(Reply::status(200).body("<html>"));
    let gatepass = Gatepass::new(&format!(
        r#"
        [deployments.nobody]
        url = "{nobody}"
        authentication = "none"
        [deployments.no-secret]
        url = "{nobody}"
        authentication = "bearer"
        token = {{ env = "SURELY_NOT_SET" }}
        [deployments.no-endpoint]
        url = "https://models.test"
        authentication = "oauth"
        client_id = "id"
        client_secret = "s"
        token_url = "{nobody}/token"
        [deployments.html]
        url = "https://models.test"
        authentication = "oauth"
        client_id = "id"
        client_secret = "s"
        token_url = "{}"
        [deployments.tls]
        url = "{}"
        authentication = "none"
        "#,
        tokens.url(),
        tokens.url().replace("http://", "https://"),
    ));
    gatepass
        .run(&["call", "nobody"])
        .check(7, &["cannot be reached"]);
    gatepass
        .run(&["call", "tls"])
        .check(7, &["cannot be reached"]);
    gatepass
        .run(&["call", "no-secret"])
        .check(3, &["SURELY_NOT_SET is not set"]);
    gatepass
        .run(&["call", "no-endpoint"])
        .check(3, &["token endpoint", "cannot be reached"]);
    gatepass.run(&["call", "html"]).check(3, &["an HTML page"]);
    gatepass
        .run(&["call", "missing"])
        .check(2, &["no deployment is named"]);
}

/// The proxy of the environment is for https only, by CONNECT, and never for this machine.
#[test]
fn the_environments_proxy_sees_no_credential() {
    use std::io::{BufRead, BufReader, Write};
    let runtime = runtime();
    let model = runtime.block_on(Model::start(Access::Open)).unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<_> = lines
            .map(|line| line.unwrap())
            .take_while(|line| !line.is_empty())
            .collect();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
        head
    });
    let gatepass = Gatepass::new(&format!(
        r#"
        [deployments.far]
        url = "https://models.test/v1"
        authentication = "bearer"
        token = "tok-static"
        [deployments.near]
        url = "{}"
        authentication = "bearer"
        token = "tok-static"
        "#,
        model.url("/"),
    ));
    let variables = [
        ("HTTPS_PROXY", proxy_url.as_str()),
        ("HTTP_PROXY", proxy_url.as_str()),
    ];
    gatepass
        .run_with(&["call", "near"], &variables, "")
        .check(0, &["prediction"]);
    gatepass
        .run_with(&["call", "far"], &variables, "")
        .check(7, &["cannot be reached"]);
    let head = heard.join().unwrap();
    assert_eq!(head[0], "CONNECT models.test:443 HTTP/1.1");
    assert!(!head.concat().contains("tok-static"), "{head:?}");
}
