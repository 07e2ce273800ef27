//! How a deployment is reached, and within which limits: the shared keys that are no URL.

use std::time::Duration;

use gatepass_core::{Limits, Secret, SettingProblem, Settings, TransportSettings, Value};

use crate::definition::Definition;
use crate::keys::SHARED_KEYS;
use crate::problem::Problem;

impl Definition<'_> {
    pub(crate) fn transport(
        &self,
        shared: &Settings,
        problems: &mut Vec<Problem>,
    ) -> TransportSettings {
        let mut transport = TransportSettings::default();
        let path = |key| {
            shared
                .optional_text(key)
                .map(|path| self.directory().join(path))
        };
        transport.ca_file = path("ca_file");
        transport.client_cert = path("client_cert");
        transport.client_key = path("client_key");
        transport.allow_insecure_http = shared.boolean("allow_insecure_http").unwrap_or(false);
        let seconds = |key| match shared.value(key) {
            Some(Value::Seconds(seconds)) => Duration::try_from_secs_f64(*seconds).ok(),
            _ => None,
        };
        let set = |limit: &mut Duration, key| *limit = seconds(key).unwrap_or(*limit);
        set(&mut transport.connect_timeout, "connect_timeout");
        set(&mut transport.first_byte_timeout, "first_byte_timeout");
        set(&mut transport.idle_timeout, "idle_timeout");
        transport.total_timeout = seconds("total_timeout");
        if let Some(Value::Bytes(limit)) = shared.value("replay_body_limit") {
            transport.replay_body_limit = *limit;
        }
        let mut wrong = |key, what: &str| {
            let found = vec![SettingProblem::new(key, what)];
            problems.extend(self.explain(self.table, SHARED_KEYS, found));
        };
        if transport.client_cert.is_some() != transport.client_key.is_some() {
            wrong(
                "client_cert",
                "and `client_key` belong together: give both or neither",
            );
        }
        if let Ok(source) = shared.source("proxy") {
            match source.literal().map(|literal| (literal, is_proxy(literal))) {
                Some((literal, true)) => transport.proxy = Some(literal.clone()),
                Some(_) => wrong("proxy", "must be a URL like http://host:port"),
                None => wrong("proxy", "must be written here: it takes no reference"),
            }
        }
        transport
    }
}

/// What the gateway may pass on at most.
pub(crate) fn limits(shared: &Settings) -> Limits {
    let mut limits = Limits::default();
    if let Some(Value::Count(most)) = shared.value("in_flight_limit") {
        limits.in_flight = Some(*most);
    }
    if let Some(Value::Bytes(most)) = shared.value("request_body_limit") {
        limits.request_body = Some(*most);
    }
    limits
}

fn is_proxy(url: &Secret) -> bool {
    url::Url::parse(url.expose())
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
