//! Canaries, and every log of every crate at trace level searched for them.

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use gatepass_testkit::{Access, Model, TokenServer};

const CANARY: &str = "c4nary-4711";

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_log_debug_or_panic_shows_a_secret() {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: a subscriber of one thread misses what other threads saw first.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut said = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for auth in ["basic", "basic_raw", "post"] {
            let tokens = TokenServer::start().await.unwrap().client("id", CANARY);
            let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
            let caller = gatepass_client::oauth(&format!("{}?key={CANARY}", tokens.url()))
                .client_auth(auth)
                .client("id", CANARY)
                .header("x-extra", CANARY)
                .url(&model.url(&format!("/?key={CANARY}")))
                .build()
                .unwrap();
            assert_eq!(caller.get("").send().await.unwrap().status(), 200);
            tokens.revoke_all();
            let response = caller.get("").send().await.unwrap();
            said.push_str(&format!(
                "{caller:?}{response:?}{:?}",
                caller.get("").header("x", "y")
            ));
            let headers = caller.header().await.unwrap();
            said.push_str(&format!("{headers:?}"));
            // Tokens are secrets as well.
            let token = headers["authorization"]
                .to_str()
                .unwrap()
                .trim_start_matches("Bearer ");
            let logs = String::from_utf8_lossy(&sink.0.lock().unwrap()).into_owned();
            assert!(!logs.contains(token) && !said.contains(token));
        }
        let basic = gatepass_client::basic("user", CANARY)
            .url("http://127.0.0.1:1/")
            .build()
            .unwrap();
        let error = basic.get("").send().await.unwrap_err();
        said.push_str(&format!("{basic:?}{error:?}{error}"));
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| panic!("{basic:?}"))).unwrap_err();
        said.push_str(panic.downcast_ref::<String>().unwrap());
    });
    let logs = String::from_utf8_lossy(&sink.0.lock().unwrap()).into_owned();
    assert!(
        logs.contains("gatepass_oauth"),
        "the logs are really caught"
    );
    for encoded in [CANARY, "aWQ6YzRuYXJ5", "dXNlcjpjNG5hcnk"] {
        assert!(!logs.contains(encoded), "{encoded} in the logs");
        assert!(!said.contains(encoded), "{encoded} in {said}");
    }
}
