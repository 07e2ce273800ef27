//! Gatepass itself by the same rules, so that all are measured alike.

use gatepass_core::{BodyView, Deployment, ResponseView, SystemClock};
use gatepass_oauth::{OAuth, Scope, TokenCache};
use http::{HeaderMap, Request, StatusCode};

use super::super::world::CANARY;
use super::Answer;
use super::endpoint::Endpoint;

pub(super) fn version() -> String {
    format!("Gatepass {}, defaults", env!("CARGO_PKG_VERSION"))
}

pub(super) struct Gatepass(Deployment);

impl Gatepass {
    pub(super) fn start(endpoint: &Endpoint) -> Result<Self, String> {
        let url = format!("http://{}/token", endpoint.token_address);
        let url = url.parse().map_err(|_| "the token URL does not parse")?;
        let method = OAuth::builder(url, "id", CANARY)
            .scope(Scope::None)
            .cache(TokenCache::new())
            .build_with_reqwest(Default::default());
        let models = gatepass_core::Endpoint::parse(Some("http://models.test/"), None, true);
        let models = models.map_err(|_| "the endpoint does not parse")?;
        let deployment = Deployment::new("x", models, vec![method]);
        Ok(Self(deployment.map_err(|error| error.to_string())?))
    }

    /// A call, sent again once where its token was rejected.
    pub(super) async fn call(&self, endpoint: &Endpoint) -> Answer {
        let request = || {
            let mut request = Request::new(());
            *request.uri_mut() = http::Uri::from_static("http://models.test/");
            request
        };
        let takes = |request: &Request<()>| {
            let value = request.headers().get(http::header::AUTHORIZATION);
            let token = value.and_then(|value| value.to_str().ok()).unwrap_or("");
            token
                .strip_prefix("Bearer ")
                .is_some_and(|token| endpoint.takes(token))
        };
        let failed =
            |error: gatepass_core::AuthError| Answer::Failed(format!("{:?}", error.kind()));
        let mut first = request();
        let applied = self
            .0
            .authorize(&mut first, BodyView::Empty, &SystemClock)
            .await;
        let applied = match applied {
            Ok(_) if takes(&first) => return Answer::Served,
            Ok(applied) => applied,
            Err(error) => return failed(error),
        };
        let headers = HeaderMap::new();
        let answer = ResponseView::head(StatusCode::UNAUTHORIZED, &headers);
        let Some(attempt) = self.0.reconsider(&applied, &answer, true).await else {
            return Answer::Failed("401".to_owned());
        };
        let mut second = request();
        let again = self
            .0
            .authorize_with(&mut second, BodyView::Empty, &SystemClock, attempt)
            .await;
        match again {
            Ok(_) if takes(&second) => Answer::Served,
            Ok(_) => Answer::Failed("401".to_owned()),
            Err(error) => failed(error),
        }
    }
}
