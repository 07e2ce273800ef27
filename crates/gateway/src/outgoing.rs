//! A request head on its way to a deployment.

use std::rc::Rc;

use bytes::Bytes;
use gatepass_core::{BodyView, Destination, Outbound, RequestView};
use http::header::HOST;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};

use crate::body::RequestBody;
use crate::problem::{Part, Problem};
use crate::routes::Route;

/// A request head on its way to a deployment, as a method sees it.
pub(crate) struct Outgoing {
    pub(crate) route: Rc<Route>,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
}

impl Outbound for Outgoing {
    fn lend<R>(&mut self, body: BodyView<'_>, call: impl FnOnce(&mut RequestView<'_>) -> R) -> R {
        let origin = self.route.deployment.origin();
        let to = Destination {
            scheme: origin.scheme(),
            host: origin.host(),
            port: Some(origin.port()),
            path: self.target.path(),
            query: self.target.query().unwrap_or(""),
        };
        let mut view = RequestView::new(&self.method, to, &mut self.headers, body);
        let result = call(&mut view);
        if let Some(query) = view.into_changed_query() {
            let path = self.target.path();
            let changed = if query.is_empty() {
                path.to_owned()
            } else {
                format!("{path}?{query}")
            };
            // What a method writes into a query is encoded.
            if let Ok(changed) = parsed(changed) {
                self.target = changed;
            }
        }
        result
    }
}

impl Outgoing {
    /// Whether it may be processed twice (RFC 9110 s9.2.2): it reads only, or says how it is told apart.
    pub(crate) fn is_harmless(&self) -> bool {
        self.method.is_safe() || self.headers.contains_key("idempotency-key")
    }

    /// The request for HTTP/2, which says scheme and authority in the request line's stead.
    pub(crate) fn request(&self, to: &Uri, body: RequestBody) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.version_mut() = Version::HTTP_2;
        let mut parts = self.target.clone().into_parts();
        parts.scheme = to.scheme().cloned();
        parts.authority = to.authority().cloned();
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().remove(HOST);
        request
    }
}

/// Path and query of a request.
pub(crate) fn parsed(target: String) -> Result<Uri, Problem> {
    Uri::from_maybe_shared(Bytes::from(target)).map_err(|_| {
        let detail = "the path does not make a request: percent-encode it";
        Problem::new(StatusCode::BAD_REQUEST, Part::Gateway, detail)
    })
}
