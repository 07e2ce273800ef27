//! The token request: pure, so that it can be tested byte for byte.

use bytes::Bytes;
use gatepass_core::header;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use zeroize::Zeroizing;

use crate::client_auth::TokenRequest;
use crate::credential::ClientCredentials;

/// The token request for client credentials (RFC 6749 s4.4.2); the token URL's own query is kept.
///
/// # Errors
/// Says what is wrong with id or secret, never quoting them.
///
/// ```
/// use gatepass_core::Secret;
/// use gatepass_oauth::{ClientCredentials, encode};
/// let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// let request = encode(&ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s")))?;
/// assert_eq!(request.body(), "grant_type=client_credentials&scope=all-apis");
/// # Ok::<(), &'static str>(())
/// ```
pub fn encode(credential: &ClientCredentials) -> Result<Request<Bytes>, &'static str> {
    let mut form = TokenRequest::default();
    form.pair("grant_type", "client_credentials");
    if let Some(scope) = credential.scope.sent() {
        form.pair("scope", scope);
    }
    for (name, value) in &credential.params {
        form.pair(name, value.expose());
    }
    credential.client_auth.prove(credential, &mut form)?;
    let body = Zeroizing::new(std::mem::take(&mut *form.form).into_bytes());
    let mut request = Request::new(Bytes::from_owner(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = credential
        .token_url
        .as_str()
        .parse::<Uri>()
        .map_err(|_| "token_url does not fit a request")?;
    let headers = request.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in &credential.headers {
        let value = header::sensitive(value.expose().as_bytes().to_vec())?;
        headers.insert(name.clone(), value);
    }
    if let Some(value) = form.authorization {
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::client_auth;
    use crate::credential::Scope;
    use gatepass_core::Secret;

    const ODD: &str = "a+b%c d&e=ü:";

    fn check(auth: &str, scope: Option<&str>, authorization: Option<&str>, body: &str) {
        let token_url = "https://auth.test/token?tenant=7".parse().unwrap();
        let mut credential =
            ClientCredentials::new(token_url, Secret::new("client"), Secret::new(ODD));
        credential.client_auth = client_auth(auth).unwrap();
        credential.scope = Scope::of(scope);
        let request = encode(&credential).unwrap();
        assert_eq!(request.body(), body);
        let sent = request.headers().get(AUTHORIZATION);
        assert_eq!(sent.map(|value| value.to_str().unwrap()), authorization);
        assert_eq!(request.uri(), "https://auth.test/token?tenant=7");
    }

    #[test]
    fn basic_is_form_encoded_first() {
        // base64("client:a%2Bb%25c+d%26e%3D%C3%BC%3A")
        let header = "Basic Y2xpZW50OmElMkJiJTI1YytkJTI2ZSUzRCVDMyVCQyUzQQ==";
        check(
            "basic",
            None,
            Some(header),
            "grant_type=client_credentials&scope=all-apis",
        );
    }

    #[test]
    fn basic_raw_is_not() {
        // base64("client:a+b%c d&e=ü:")
        let header = "Basic Y2xpZW50OmErYiVjIGQmZT3DvDo=";
        check(
            "basic_raw",
            Some("ml"),
            Some(header),
            "grant_type=client_credentials&scope=ml",
        );
    }

    #[test]
    fn post_goes_into_the_body() {
        let body = "grant_type=client_credentials&client_id=client&client_secret=a%2Bb%25c+d%26e%3D%C3%BC%3A";
        check("post", Some(""), None, body);
    }
}
