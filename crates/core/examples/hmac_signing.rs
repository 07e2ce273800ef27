//! A signing method of your own: HMAC-SHA256 over method, path and body digest, under the tag
//! `hmac`, selected from a config file. Nothing in core knows about it.
//!
//! `cargo run -p gatepass-core --example hmac_signing`

use std::sync::Arc;

use async_trait::async_trait;
use gatepass_config::Config;
use gatepass_core::{
    AuthError, BodyNeed, BodyView, BuildContext, ErrorKind, KeyKind, KeySpec, MethodFactory, Now,
    Registry, RequestView, Secret, SettingProblem, Settings, SharedMethod, SharedSource, Signer,
    SigningMethod, SystemClock, header,
};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderName;
use sha2::{Digest, Sha256};

/// Step 1: how to sign. The key is fetched once, `sign` runs on every request.
#[derive(Debug)]
struct HmacSigner {
    key_id: String,
    key: SharedSource,
}

const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

#[async_trait]
impl Signer for HmacSigner {
    type Key = Secret;

    fn needs(&self) -> BodyNeed {
        BodyNeed::Sha256
    }

    async fn key(&self) -> Result<Secret, AuthError> {
        let loaded = self.key.load().await;
        loaded.map_err(|cause| AuthError::new(ErrorKind::SecretMissing, format!("key: {cause}")))
    }

    fn sign(
        &self,
        key: &Secret,
        request: &mut RequestView<'_>,
        _now: Now,
    ) -> Result<(), AuthError> {
        let wrong = |what: &str| AuthError::new(ErrorKind::SecretInvalid, what.to_owned());
        let digest: [u8; 32] = match request.body() {
            BodyView::Empty => Sha256::digest(b"").into(),
            BodyView::Bytes(bytes) => Sha256::digest(bytes).into(),
            BodyView::Sha256(digest) => digest,
            _ => return Err(AuthError::new(ErrorKind::Body, "the body cannot be seen")),
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
            .map_err(|_| wrong("key does not fit HMAC"))?;
        mac.update(request.method().as_str().as_bytes());
        mac.update(b"\n");
        mac.update(request.path().as_bytes());
        mac.update(b"\n");
        mac.update(&digest);
        let tag = mac.finalize().into_bytes();
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let value =
            header::sensitive(format!("{}:{hex}", self.key_id).into_bytes()).map_err(wrong)?;
        request.set_header(SIGNATURE, value);
        Ok(())
    }
}

/// Step 2: the factory, with its tag and its keys. Names, kinds and presence are checked by these.
#[derive(Debug)]
struct HmacFactory;

const KEYS: &[KeySpec] = &[
    KeySpec::new(
        "key_id",
        KeyKind::Text,
        "the name of the key at the deployment",
    )
    .required(),
    KeySpec::new(
        "key",
        KeyKind::Secret,
        "the key that requests are signed with",
    )
    .required(),
];

impl MethodFactory for HmacFactory {
    fn tag(&self) -> &'static str {
        "hmac"
    }

    fn about(&self) -> &'static str {
        "an HMAC over method, path and body digest"
    }

    fn keys(&self) -> &'static [KeySpec] {
        KEYS
    }

    fn build(
        &self,
        settings: &Settings,
        _: &BuildContext<'_>,
    ) -> Result<SharedMethod, Vec<SettingProblem>> {
        let key_id = settings.text("key_id").map(str::to_owned);
        let (key_id, key) = SettingProblem::both(key_id, settings.source("key"))?;
        Ok(Arc::new(SigningMethod::new(
            vec![SIGNATURE],
            HmacSigner { key_id, key },
        )))
    }
}

const DEFINITION: &str = r#"
[deployments.partner]
base_url       = "https://models.partner.example"
authentication = "hmac"
key_id         = "k1"
key            = "an example key, written down here for once"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signature = check()?;
    #[expect(clippy::print_stdout, reason = "an example shows something")]
    {
        println!("POST /predict carries x-signature: {}...", &signature[..11]);
    }
    Ok(())
}

/// Step 3: register it, and select it from a file.
pub(crate) fn check() -> Result<String, Box<dyn std::error::Error>> {
    let registry = Registry::builtin().with(HmacFactory);
    let config = Config::from_toml(DEFINITION, "example.toml".as_ref(), &registry)?;
    let partner = config.deployment("partner")?;

    let body = b"{\"inputs\":[1,2,3]}";
    let mut request = http::Request::post(partner.target("/predict")?.as_str()).body(())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(partner.authorize(&mut request, BodyView::Bytes(body), &SystemClock))?;

    let signature = request.headers()[SIGNATURE].to_str()?;
    // What `openssl dgst -sha256 -hmac KEY` says to the same bytes.
    let expected = "k1:c45769c3620dae62eb48adb31af0e9c75cbe5374519ab905f79cd34d8c3811f5";
    if signature != expected {
        return Err(format!("signed {signature}, expected {expected}").into());
    }
    Ok(signature.to_owned())
}
