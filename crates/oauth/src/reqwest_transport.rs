//! Token requests through reqwest.

use std::sync::OnceLock;

use async_trait::async_trait;
use bytes::Bytes;
use gatepass_core::TransportSettings;
use gatepass_transport::{Connector, Trouble};
use http::Request;
use reqwest::Client;
use zeroize::Zeroizing;

use crate::transport::{TokenReply, TokenTransport, TransportFailure};

/// Sends token requests by a deployment's transport settings.
///
/// ```
/// use gatepass_core::TransportSettings;
/// let transport = gatepass_oauth::ReqwestTransport::new(TransportSettings::default(), Default::default());
/// # drop(transport);
/// ```
#[derive(Debug)]
pub struct ReqwestTransport {
    settings: TransportSettings,
    connector: Connector,
    /// Made on first use: certificate files are read then, not at load.
    client: OnceLock<Client>,
}

impl ReqwestTransport {
    /// A transport by these settings.
    #[must_use]
    pub fn new(settings: TransportSettings, connector: Connector) -> Self {
        Self {
            settings,
            connector,
            client: OnceLock::new(),
        }
    }

    fn client(&self, tls: bool) -> Result<&Client, TransportFailure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self
            .connector
            .connect(&self.settings, tls)
            .map_err(|cause| TransportFailure::Connect(cause.to_string()))?;
        Ok(self.client.get_or_init(|| client))
    }
}

#[async_trait]
impl TokenTransport for ReqwestTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<TokenReply, TransportFailure> {
        let client = self.client(request.uri().scheme_str() == Some("https"))?;
        let (parts, body) = request.into_parts();
        let mut request = client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .body(body)
            .build()
            .map_err(failure)?;
        // A fresh connection each time: exchanges are rare, and an idle one may be dead by then.
        request.headers_mut().insert(
            http::header::CONNECTION,
            http::HeaderValue::from_static("close"),
        );
        let mut response = client.execute(request).await.map_err(failure)?;
        // Sized once: growing would leave unwiped copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(limit));
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > limit {
                return Err(TransportFailure::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(TokenReply {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

fn failure(error: reqwest::Error) -> TransportFailure {
    if error.is_timeout() && !error.is_connect() {
        return TransportFailure::Timeout;
    }
    let trouble = Trouble::of(&error);
    if error.is_connect() || error.is_builder() {
        TransportFailure::Connect(format!("{}: {}", trouble.cause, trouble.fix))
    } else {
        TransportFailure::Torn(trouble.cause)
    }
}
