//! The demo, as people and as programs see it.

use serde_json::Value;

use crate::command::Gatepass;

#[test]
fn every_row_of_the_demo_is_ok() {
    let outcome = Gatepass::new("").run(&["demo", "--format", "json"]);
    outcome.check(0, &[]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    let rows = report["rows"].as_array().unwrap();
    for row in rows {
        assert_eq!(row["ok"], true, "{row}");
        assert_eq!(row["status"], row["expected"], "{row}");
        let keys: Vec<_> = row
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            ["authentication", "case", "expected", "ok", "sent", "status"]
        );
    }
    for method in ["none", "basic", "bearer", "custom", "oauth"] {
        assert!(
            rows.iter()
                .any(|row| row["authentication"] == method && row["status"] == 200)
        );
    }
    assert!(
        rows.iter().any(|row| row["status"] == 401),
        "a wrong credential is refused"
    );
}

#[test]
fn the_table_fits_a_terminal_and_shows_no_secret() {
    let outcome = Gatepass::new("").run(&["demo"]);
    outcome.check(0, &["Every method works here."]);
    assert!(
        outcome
            .stdout
            .lines()
            .all(|line| line.chars().count() <= 90),
        "{}",
        outcome.stdout
    );
    for secret in [
        "secret12",
        "YXBpdX",
        "abcd123",
        "tok-",
        "demo+secret",
        "\u{1b}[",
    ] {
        assert!(
            !outcome.stdout.contains(secret),
            "{secret} in {}",
            outcome.stdout
        );
    }
}
