//! Credentials proved before a changed configuration is taken over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use gatepass_core::{AuthError, Deployment, ErrorKind};

/// Credentials that are proved at once.
const AT_ONCE: usize = 16;
/// For all of them together.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a configuration is not taken over: a credential was refused, or its secret is missing.
///
/// ```
/// # let show = |error: gatepass_gateway::NotProved| {
/// println!("{error}");
/// let look_again_later = error.is_missing();
/// # };
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("{lines}")]
pub struct NotProved {
    lines: String,
    missing: bool,
}

impl NotProved {
    /// Whether only secrets are missing, which may yet come.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

/// Obtains the credential of each; returns what could not be proved now.
pub(crate) async fn all(deployments: Vec<Arc<Deployment>>) -> Result<Vec<String>, NotProved> {
    let end = tokio::time::Instant::now() + LIMIT;
    let each = deployments.into_iter().map(|deployment| async move {
        let credentials = deployment.credentials();
        let proved = tokio::time::timeout_at(end, credentials.prepare()).await;
        (Arc::clone(&deployment), proved)
    });
    let mut each = stream::iter(each).buffer_unordered(AT_ONCE);
    let (mut warnings, mut refused) = (Vec::new(), Vec::<(String, AuthError)>::new());
    while let Some((deployment, proved)) = each.next().await {
        match proved {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let error = error.for_deployment(deployment.name());
                if error.is_retryable() {
                    warnings.push(error.to_string());
                } else {
                    refused.push((error.to_string(), error));
                }
            }
            Err(_) => warnings.push(format!(
                "deployment \"{}\": no credential came within {} s",
                deployment.name(),
                LIMIT.as_secs()
            )),
        }
    }
    warnings.sort_unstable();
    if refused.is_empty() {
        return Ok(warnings);
    }
    refused.sort_by(|(left, _), (right, _)| left.cmp(right));
    let missing = |(_, error): &(String, AuthError)| error.kind() == ErrorKind::SecretMissing;
    Err(NotProved {
        missing: refused.iter().all(missing),
        lines: refused
            .into_iter()
            .map(|(line, _)| line)
            .collect::<Vec<_>>()
            .join("\n"),
    })
}
