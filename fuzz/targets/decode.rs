//! Any reply of a token endpoint: the first two bytes choose the status, the rest is the body.

#![no_main]

use std::time::Duration;

use gatepass_core::{Now, Secret};
use gatepass_oauth::{ClientCredentials, TokenReply, decode};
use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "c4nary-that-must-not-show";

fuzz_target!(|data: &[u8]| {
    let Some((status, body)) = data.split_first_chunk::<2>() else {
        return;
    };
    let status = 100 + u16::from_be_bytes(*status) % 500;
    let token_url = "https://auth.example.com/token".parse().expect("a URL");
    let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new(SECRET));
    credential.assume_bearer = status % 2 == 0;
    let reply = TokenReply {
        status: StatusCode::from_u16(status).expect("100 to 599"),
        headers: HeaderMap::new(),
        body: body.to_vec().into(),
    };
    let now = Now::new(Duration::from_secs(1), Duration::from_secs(1_800_000_000));
    match decode(&credential, &reply, now) {
        Ok(granted) => {
            assert!(granted.lifetime <= Duration::from_secs(24 * 3600));
            assert!(granted.header.is_sensitive());
            assert!(
                granted
                    .header
                    .as_bytes()
                    .iter()
                    .all(|byte| (0x20..0x7f).contains(byte))
            );
        }
        Err(error) => {
            assert!(!error.to_string().contains(SECRET));
            assert!(!error.to_string().contains(char::is_control));
        }
    }
});
