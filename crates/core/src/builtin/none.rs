//! `none`: calls that need no credential.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Now;
use crate::error::AuthError;
use crate::lease::Lease;
use crate::method::{
    Applied, AuthMethod, BodyNeed, Holding, NotApplied, Owned, Ready, ResponseView, SharedMethod,
    Stage, Verdict, Why,
};
use crate::request::RequestView;
use crate::settings::{BuildContext, KeySpec, MethodFactory, SettingProblem, Settings};

/// Adds nothing.
///
/// ```
/// use gatepass_core::{AuthMethod, NoAuth};
/// assert!(NoAuth::default().owned().headers.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct NoAuth(Owned);

#[async_trait]
impl AuthMethod for NoAuth {
    fn owned(&self) -> &Owned {
        &self.0
    }

    fn needs(&self) -> BodyNeed {
        BodyNeed::Nothing
    }

    fn stage(&self) -> Stage {
        Stage::Header
    }

    fn apply(
        &self,
        _: &mut RequestView<'_>,
        _: Option<&Ready>,
        _: Now,
    ) -> Result<Applied, NotApplied> {
        Ok(Applied::NOTHING)
    }

    async fn prepare(&self, _: Why) -> Result<Ready, AuthError> {
        Ok(Ready::new(Arc::new(Lease::headers(Vec::new()))))
    }

    fn observe(&self, _: &Applied, _: &ResponseView<'_>) -> Verdict {
        Verdict::Accepted
    }

    fn held(&self) -> Holding {
        Holding::NOT_NEEDED
    }
}

/// Makes [`NoAuth`] from a definition.
///
/// ```
/// use gatepass_core::{MethodFactory, NoneFactory};
/// assert_eq!(NoneFactory.tag(), "none");
/// ```
#[derive(Debug)]
pub struct NoneFactory;

impl MethodFactory for NoneFactory {
    fn tag(&self) -> &'static str {
        "none"
    }

    fn about(&self) -> &'static str {
        "nothing: the deployment wants no credential"
    }

    fn keys(&self) -> &'static [KeySpec] {
        &[]
    }

    fn build(
        &self,
        _: &Settings,
        _: &BuildContext<'_>,
    ) -> Result<SharedMethod, Vec<SettingProblem>> {
        Ok(Arc::new(NoAuth::default()))
    }
}
