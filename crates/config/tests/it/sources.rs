//! Secrets by reference: resolved on first use, trimmed by one line break, named in errors.

use gatepass_config::{CommandSource, EnvSource, FileSource};
use gatepass_core::{ErrorKind, SharedSource, SystemClock};

use crate::bad_configs::registry;

async fn check(source: SharedSource, want: Result<&str, &str>) {
    let got = source.load().await;
    match (got, want) {
        (Ok(secret), Ok(want)) => assert_eq!(secret.expose(), want),
        (Err(error), Err(needle)) => assert!(error.to_string().contains(needle), "{error}"),
        (got, want) => panic!("{got:?} instead of {want:?}"),
    }
}

#[tokio::test]
async fn files_lose_one_line_break() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        FileSource::shared(path)
    };
    check(file("unix", b"s3cret\n"), Ok("s3cret")).await;
    check(file("windows", b"s3cret\r\n"), Ok("s3cret")).await;
    check(file("bare", b"s3cret"), Ok("s3cret")).await;
    check(file("two", b"s3cret\n\n"), Ok("s3cret\n")).await;
    check(file("empty", b"\n"), Err("gives nothing")).await;
    check(file("latin", b"p\xe4ss"), Err("not valid UTF-8")).await;
    check(file("huge", &[b'a'; 70_000]), Err("more than 65536 bytes")).await;
    check(
        FileSource::shared("/nonexistent/secret"),
        Err("/nonexistent/secret cannot be read"),
    )
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn commands_run_without_a_shell() {
    let command = |argv: &[&str]| {
        CommandSource::shared(argv.iter().map(|text| (*text).to_owned()).collect(), "/")
    };
    check(command(&["printf", "%s\\n", "$HOME *"]), Ok("$HOME *")).await;
    check(command(&["sh", "-c", "exit 7"]), Err("failed")).await;
    check(command(&["surely-no-such-program"]), Err("does not start")).await;
    check(command(&["true"]), Err("gives nothing")).await;
    let endless = command(&["sh", "-c", "yes secret"]);
    check(endless, Err("more than 65536 bytes")).await;
}

#[tokio::test]
async fn a_missing_secret_fails_only_its_own_deployment() {
    check(
        EnvSource::shared("SURELY_NOT_SET"),
        Err("SURELY_NOT_SET is not set"),
    )
    .await;
    check(EnvSource::shared("A=B"), Err("is not set")).await;
    let toml = r#"
        [deployments.broken]
        url = "https://h.test"
        authentication = "bearer"
        token = { env = "SURELY_NOT_SET" }
        [deployments.fine]
        url = "https://h.test"
        authentication = "bearer"
        token = "t"
    "#;
    let config = gatepass_config::Config::from_toml(toml, "x.toml".as_ref(), &registry()).unwrap();
    assert!(
        config
            .deployment("fine")
            .unwrap()
            .headers(&SystemClock)
            .await
            .is_ok()
    );
    let error = config
        .deployment("broken")
        .unwrap()
        .headers(&SystemClock)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SecretMissing);
    assert!(
        error.to_string().starts_with("deployment \"broken\": "),
        "{error}"
    );
}
