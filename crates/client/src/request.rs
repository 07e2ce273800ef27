//! A call being put together, in reqwest's habits.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;

use crate::caller::Caller;
use crate::error::{Error, ErrorKind};
use crate::outgoing::{Outgoing, Payload};
use crate::response::Response;
use crate::send;

/// A call being put together; what is wrong with it is said by [`RequestBuilder::send`].
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// # let model = gatepass_testkit::Model::start(gatepass_testkit::Access::Open).await.unwrap();
/// let churn = gatepass_client::bearer("abc").base_url(&model.url("/v1")).build()?;
/// let request = churn.post("/predict").query("debug", "1").header("x-trace", "7").json(&[1, 2, 3]);
/// request.timeout(std::time::Duration::from_secs(5)).send().await?;
/// assert_eq!(model.seen()[0].target, "/v1/predict?debug=1");
/// # Ok::<(), gatepass_client::Error>(()) }).unwrap();
/// ```
#[must_use]
#[derive(Debug)]
pub struct RequestBuilder {
    caller: Caller,
    outgoing: Result<Outgoing, Error>,
}

impl RequestBuilder {
    pub(crate) fn new(caller: Caller, method: Method, path: &str) -> Self {
        let target = caller.deployment().target(path);
        let outgoing = target
            .map(|url| Outgoing::new(method, url))
            .map_err(|error| Error::of_auth(error, caller.name()));
        Self { caller, outgoing }
    }

    fn with(mut self, change: impl FnOnce(&mut Outgoing) -> Result<(), String>) -> Self {
        if let Ok(outgoing) = &mut self.outgoing
            && let Err(what) = change(outgoing)
        {
            self.outgoing = Err(Error::new(ErrorKind::Request, self.caller.name(), what));
        }
        self
    }

    /// Sets a header; one that belongs to the credential is refused.
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        let owned = self
            .caller
            .deployment()
            .credentials()
            .owned()
            .has_header(name.as_ref());
        self.with(|outgoing| {
            let text = name.as_ref();
            if owned {
                return Err(format!(
                    "header {text:?} belongs to the credential: leave it out"
                ));
            }
            let name = HeaderName::from_bytes(text.as_bytes())
                .map_err(|_| format!("{text:?} is not a header name"))?;
            let value = HeaderValue::from_bytes(value.as_ref())
                .map_err(|_| format!("the value of header {name} holds a control character"))?;
            outgoing.headers.insert(name, value);
            Ok(())
        })
    }

    /// Sets several headers; those that belong to the credential are refused.
    pub fn headers(self, headers: HeaderMap) -> Self {
        headers
            .iter()
            .fold(self, |builder, (name, value)| builder.header(name, value))
    }

    /// Adds a query pair; a configured one of the same name wins.
    pub fn query(self, name: &str, value: &str) -> Self {
        let taken = self.configured_query(name);
        self.with(|outgoing| {
            if !taken {
                outgoing.url.query_pairs_mut().append_pair(name, value);
            }
            Ok(())
        })
    }

    fn configured_query(&self, name: &str) -> bool {
        let base = self.caller.deployment().target("");
        base.is_ok_and(|url| url.query_pairs().any(|(own, _)| own == name))
    }

    /// A JSON body, with `content-type: application/json` unless one is set.
    pub fn json(self, body: &impl Serialize) -> Self {
        self.with(|outgoing| {
            let bytes =
                serde_json::to_vec(body).map_err(|_| "the body does not become JSON".to_owned())?;
            outgoing.payload = Payload::Bytes(bytes.into());
            let json = HeaderValue::from_static("application/json");
            outgoing.headers.entry(CONTENT_TYPE).or_insert(json);
            Ok(())
        })
    }

    /// A body of bytes; it can be sent again after a 401.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.with(|outgoing| {
            outgoing.payload = Payload::Bytes(body.into());
            Ok(())
        })
    }

    /// A body that streams; it is sent once, so a 401 goes to the caller.
    pub fn stream(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|outgoing| {
            outgoing.payload = Payload::Stream(Some(body.into()));
            Ok(())
        })
    }

    /// A limit for this whole call, its body included.
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|outgoing| {
            outgoing.total_timeout = Some(limit);
            Ok(())
        })
    }

    /// Makes the call. Any status is a response; see [`Response::error_for_status`].
    ///
    /// # Errors
    /// When the credential is not to be had, the call cannot be made, or no response came.
    pub async fn send(self) -> Result<Response, Error> {
        send::send(&self.caller, self.outgoing?).await
    }
}
