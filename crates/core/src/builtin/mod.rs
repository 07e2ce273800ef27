//! The methods that need nothing but the wire: `none`, `basic`, `bearer`, `custom`, and the extra
//! headers any deployment may have.

mod basic;
mod bearer;
mod custom;
mod extra_headers;
mod none;

pub use basic::{Basic, BasicFactory};
pub use bearer::{Bearer, BearerFactory};
pub use custom::{Custom, CustomFactory};
pub use extra_headers::ExtraHeaders;
pub use none::{NoAuth, NoneFactory};

use crate::error::{AuthError, ErrorKind};
use crate::secret::{Secret, SharedSource};

/// Loads a secret, naming the key it is for.
async fn load(key: &str, source: &SharedSource) -> Result<Secret, AuthError> {
    source.load().await.map_err(|cause| {
        AuthError::new(ErrorKind::SecretMissing, format!("{key}: {cause}"))
            .with_source(std::sync::Arc::new(cause))
    })
}

fn invalid(key: &str, what: &str) -> AuthError {
    AuthError::new(ErrorKind::SecretInvalid, format!("{key} {what}"))
}
