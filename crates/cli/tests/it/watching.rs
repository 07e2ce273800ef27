//! A gateway that is watched while it serves: its status, its certificate, changes it does not take over.

use gatepass_testkit::Reply;

use crate::command::Gatepass;
use crate::serving::{CANARY, Serving, World, get};

#[test]
fn status_tells_how_deployments_fare_and_what_to_do() {
    let world = World::new();
    let gone = "[deployments.gone]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"none\"\nin_flight_limit = 4\n";
    let gatepass = Gatepass::new(&format!("{}{gone}", world.deployment("churn")));
    let mut serving = Serving::start(&gatepass, &[]);
    let url = serving.line("listening on ");
    let admin = serving.line("admin on ");
    let key = serving.line("GATEPASS_KEY=");
    assert_eq!(get(&format!("{url}/churn/x"), &key).0, 200);
    assert_eq!(get(&format!("{url}/gone"), &key).0, 502);

    let told = gatepass.run(&["status", "--admin", &admin]);
    told.check(
        0,
        &[
            "DEPLOYMENT",
            "churn       oauth   live, 5",
            "0 of 4",
            "upstream 1",
            "check host and port of the URL",
        ],
    );
    let program = gatepass.run(&["status", "--admin", &admin, "--format", "json"]);
    program.check(0, &[]);
    let report: serde_json::Value = serde_json::from_str(&program.stdout).unwrap();
    assert_eq!(report["deployments"][0]["requests"], 1);
    assert_eq!(report["deployments"][1]["last_failure"]["part"], "upstream");
    assert_eq!(report["tokens"][0]["obtained"], 1);
    for text in [&told.stdout, &program.stdout] {
        assert!(!text.contains(CANARY) && !text.contains(&key) && !text.contains("tok-"));
    }

    serving.signal("TERM");
    assert_eq!(serving.ends_with(), Some(0));
    gatepass
        .run(&["status", "--admin", &admin])
        .check(7, &["is not reached", "--admin"]);
    gatepass
        .run(&["status", "--admin", "example.com"])
        .check(2, &["admin is no place to listen"]);
}

#[test]
fn status_finds_the_admin_listener_of_the_configuration() {
    let world = World::new();
    let gatepass = Gatepass::new("");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let config = format!(
        "[gateway]\nadmin = \"unix:{}\"\n{}",
        socket.display(),
        world.deployment("churn")
    );
    gatepass.file("gatepass.toml", config);
    let mut child = gatepass
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("admin on unix:")));
    let told = gatepass.run(&["status"]);
    child.kill().unwrap();
    child.wait().unwrap();
    told.check(0, &["churn", "not obtained yet"]);
}

#[test]
fn a_change_is_proved_before_it_is_taken_over() {
    let world = World::new();
    let gatepass = Gatepass::new(&world.deployment("churn"));
    let mut serving = Serving::start(&gatepass, &[]);
    let url = serving.line("listening on ");
    let admin = serving.line("admin on ");
    let key = serving.line("GATEPASS_KEY=");
    assert_eq!(get(&format!("{url}/churn/x"), &key).0, 200);

    // Refused: the one before stays, and says why to those who watch.
    let wrong = world.deployment("wrong").replace(CANARY, "another");
    gatepass.file(
        "gatepass.toml",
        format!("{}{wrong}", world.deployment("churn")),
    );
    serving.line("was not taken over");
    serving.line("deployment \"wrong\": ");
    assert_eq!(get(&format!("{url}/wrong/x"), &key).0, 404);
    gatepass.run(&["status", "--admin", &admin]).check(
        0,
        &[
            "the last change of the configuration was not taken over",
            "check client_id",
        ],
    );

    // A fault that may pass: taken over with a warning.
    world.tokens.always(Reply::status(503));
    let down = world
        .deployment("down")
        .replace("scope = \"\"", "scope = \"down\"");
    gatepass.file(
        "gatepass.toml",
        format!("{}{down}", world.deployment("churn")),
    );
    serving.line("was read again");
    serving.line("taken over all the same: deployment \"down\": ");
    world.tokens.heal();
    assert_ne!(get(&format!("{url}/down/x"), &key).0, 404);

    // A secret that is not there yet: tried again until it is.
    let path = gatepass.file("elsewhere", "").with_file_name("late-secret");
    let late = format!(
        "[deployments.late]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"bearer\"\ntoken = {{ file = \"{}\" }}\n",
        path.display()
    );
    gatepass.file(
        "gatepass.toml",
        format!("{}{late}", world.deployment("churn")),
    );
    serving.line("was not taken over");
    serving.line("deployment \"late\": ");
    gatepass.file("late-secret", "a-token");
    serving.line("was read again");
    assert_eq!(
        get(&format!("{url}/late"), &key).0,
        502,
        "it is there, and not reached"
    );
    assert!(!serving.seen.join("\n").contains(CANARY));
}

#[test]
fn callers_are_spoken_to_over_tls_with_a_certificate_that_may_change() {
    let world = World::new();
    let gatepass = Gatepass::new("");
    let certificate = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        gatepass.file("tls.key", made.signing_key.serialize_pem());
        gatepass.file("tls.pem", made.cert.pem())
    };
    let ca = certificate();
    let config = format!(
        "[gateway]\ntls_cert = \"tls.pem\"\ntls_key = \"tls.key\"\n{}",
        world.deployment("churn")
    );
    gatepass.file("gatepass.toml", config);
    let mut serving = Serving::start(&gatepass, &[]);
    let url = serving.line("listening on ");
    let key = serving.line("GATEPASS_KEY=");
    let port = url.strip_prefix("https://127.0.0.1:").unwrap().to_owned();
    let call = || {
        let output = std::process::Command::new("curl")
            .args([
                "-s",
                "--noproxy",
                "*",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code} %{http_version}",
            ])
            .args(["--cacert", &ca.display().to_string()])
            .args(["-H", &format!("x-api-key: {key}")])
            .arg(format!("https://localhost:{port}/churn/x"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(call(), "200 2");
    // Renewed where it lies: noticed without a signal.
    certificate();
    serving.line("was read again");
    assert_eq!(call(), "200 2");

    gatepass.file("tls.key", "not a key");
    serving.line("was not taken over");
    serving.line("tls_key");
    assert_eq!(call(), "200 2", "the one before stays");
    gatepass
        .run(&["serve", "--tls-cert", "x.pem"])
        .check(2, &["--tls-key"]);
}
