//! How a client proves itself to the token endpoint (RFC 6749 s2.3). Set, never probed: probing
//! would send the secret twice.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gatepass_core::header;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::credential::ClientCredentials;

/// A token request in the making: form pairs, and perhaps an `Authorization` header.
///
/// ```
/// use gatepass_oauth::{ClientAuth, ClientCredentials, TokenRequest};
///
/// /// A client that names itself and proves nothing.
/// #[derive(Debug)]
/// struct Nothing;
///
/// impl ClientAuth for Nothing {
///     fn name(&self) -> &'static str {
///         "nothing"
///     }
///     fn prove(&self, credential: &ClientCredentials, request: &mut TokenRequest) -> Result<(), &'static str> {
///         request.pair("client_id", credential.client_id.expose());
///         Ok(())
///     }
/// }
/// ```
#[derive(Default)]
pub struct TokenRequest {
    pub(crate) form: Zeroizing<String>,
    pub(crate) authorization: Option<HeaderValue>,
}

impl TokenRequest {
    /// Adds a form pair.
    pub fn pair(&mut self, name: &str, value: &str) {
        // Sized before it grows: growing would leave unwiped copies behind.
        let mut longer = Zeroizing::new(String::with_capacity(
            self.form.len() + 3 * (name.len() + value.len()) + 2,
        ));
        longer.push_str(&self.form);
        if !longer.is_empty() {
            longer.push('&');
        }
        longer.extend(form_urlencoded::byte_serialize(name.as_bytes()));
        longer.push('=');
        longer.extend(form_urlencoded::byte_serialize(value.as_bytes()));
        self.form = longer;
    }

    /// Sets the `Authorization` header.
    pub fn authorization(&mut self, value: HeaderValue) {
        self.authorization = Some(value);
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest").finish_non_exhaustive()
    }
}

/// One way to prove ourselves to the token endpoint.
///
/// ```
/// use gatepass_oauth::{Basic, ClientAuth, Post};
/// assert_eq!((Basic.name(), Post.name()), ("basic", "post"));
/// ```
pub trait ClientAuth: fmt::Debug + Send + Sync + 'static {
    /// Its name in definitions; part of what tells credentials apart.
    fn name(&self) -> &'static str;

    /// Adds the proof to a token request.
    ///
    /// # Errors
    /// Says what is wrong with id or secret, never quoting them.
    fn prove(
        &self,
        credential: &ClientCredentials,
        request: &mut TokenRequest,
    ) -> Result<(), &'static str>;
}

/// The client authentication of this name: `basic`, `basic_raw`, `post` or `none`.
///
/// ```
/// assert_eq!(gatepass_oauth::client_auth("post").unwrap().name(), "post");
/// assert!(gatepass_oauth::client_auth("digest").is_none());
/// ```
#[must_use]
pub fn client_auth(name: &str) -> Option<Arc<dyn ClientAuth>> {
    match name {
        "basic" => Some(Arc::new(Basic)),
        "basic_raw" => Some(Arc::new(BasicRaw)),
        "post" => Some(Arc::new(Post)),
        "none" => Some(Arc::new(Public)),
        _ => None,
    }
}

/// `basic`: id and secret form-encoded, then HTTP Basic (RFC 6749 s2.3.1). The default.
///
/// ```
/// use std::sync::Arc;
/// use gatepass_core::Secret;
/// use gatepass_oauth::{Basic, ClientCredentials, Scope};
/// let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s3cr3t"));
/// credential.client_auth = Arc::new(Basic);
/// credential.scope = Scope::None;
/// let request = gatepass_oauth::encode(&credential)?;
/// assert_eq!(request.headers()["authorization"], "Basic aWQ6czNjcjN0");
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Basic;

impl ClientAuth for Basic {
    fn name(&self) -> &'static str {
        "basic"
    }

    fn prove(
        &self,
        credential: &ClientCredentials,
        request: &mut TokenRequest,
    ) -> Result<(), &'static str> {
        let encode = |text: &str| {
            let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
            encoded.extend(form_urlencoded::byte_serialize(text.as_bytes()));
            encoded
        };
        let id = encode(credential.client_id.expose());
        let secret = encode(credential.client_secret.expose());
        request.authorization(basic_header(&id, &secret)?);
        Ok(())
    }
}

/// `basic_raw`: id and secret as they are, then HTTP Basic. Against the RFC, but some servers want it.
///
/// ```
/// use std::sync::Arc;
/// use gatepass_core::Secret;
/// use gatepass_oauth::{BasicRaw, ClientCredentials, Scope};
/// let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s3cr3t"));
/// credential.client_auth = Arc::new(BasicRaw);
/// credential.scope = Scope::None;
/// let request = gatepass_oauth::encode(&credential)?;
/// assert_eq!(request.headers()["authorization"], "Basic aWQ6czNjcjN0");
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BasicRaw;

impl ClientAuth for BasicRaw {
    fn name(&self) -> &'static str {
        "basic_raw"
    }

    fn prove(
        &self,
        credential: &ClientCredentials,
        request: &mut TokenRequest,
    ) -> Result<(), &'static str> {
        let id = credential.client_id.expose();
        if id.contains(':') {
            return Err(
                "client_id holds a `:`, which basic_raw cannot carry: use client_auth = \"basic\"",
            );
        }
        request.authorization(basic_header(id, credential.client_secret.expose())?);
        Ok(())
    }
}

fn basic_header(id: &str, secret: &str) -> Result<HeaderValue, &'static str> {
    let pair = Zeroizing::new(format!("{id}:{secret}").into_bytes());
    let mut text = Zeroizing::new(String::with_capacity(6 + pair.len().div_ceil(3) * 4));
    text.push_str("Basic ");
    STANDARD.encode_string(&*pair, &mut text);
    header::sensitive(std::mem::take(&mut *text).into_bytes())
}

/// `post`: id and secret in the request body (RFC 6749 s2.3.1).
///
/// ```
/// use std::sync::Arc;
/// use gatepass_core::Secret;
/// use gatepass_oauth::{Post, ClientCredentials, Scope};
/// let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s3cr3t"));
/// credential.client_auth = Arc::new(Post);
/// credential.scope = Scope::None;
/// let request = gatepass_oauth::encode(&credential)?;
/// assert!(request.body().ends_with(b"client_id=id&client_secret=s3cr3t"));
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Post;

impl ClientAuth for Post {
    fn name(&self) -> &'static str {
        "post"
    }

    fn prove(
        &self,
        credential: &ClientCredentials,
        request: &mut TokenRequest,
    ) -> Result<(), &'static str> {
        request.pair("client_id", credential.client_id.expose());
        request.pair("client_secret", credential.client_secret.expose());
        Ok(())
    }
}

/// `none`: the client names itself and proves nothing (RFC 6749 s3.2.1), or proves itself by its TLS
/// certificate alone.
///
/// ```
/// use gatepass_oauth::{ClientAuth, Public};
/// assert_eq!(Public.name(), "none");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Public;

impl ClientAuth for Public {
    fn name(&self) -> &'static str {
        "none"
    }

    fn prove(
        &self,
        credential: &ClientCredentials,
        request: &mut TokenRequest,
    ) -> Result<(), &'static str> {
        request.pair("client_id", credential.client_id.expose());
        Ok(())
    }
}
