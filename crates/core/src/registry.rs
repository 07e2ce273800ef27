//! Which methods there are: an explicit list, open to everybody's own.

use std::sync::Arc;

use crate::builtin::{BasicFactory, BearerFactory, CustomFactory, NoneFactory};
use crate::settings::MethodFactory;

/// The methods a program knows, by tag.
///
/// ```
/// let registry = gatepass_core::Registry::builtin();
/// assert!(registry.factory("basic").is_some());
/// assert_eq!(registry.tags().collect::<Vec<_>>(), ["none", "basic", "bearer", "custom"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry(Vec<Arc<dyn MethodFactory>>);

impl Registry {
    /// The methods of this crate: `none`, `basic`, `bearer`, `custom`.
    #[must_use]
    pub fn builtin() -> Self {
        Self::default()
            .with(NoneFactory)
            .with(BasicFactory)
            .with(BearerFactory)
            .with(CustomFactory)
    }

    /// The same with one more; a tag that is known already is replaced.
    #[must_use]
    pub fn with(mut self, factory: impl MethodFactory) -> Self {
        self.0.retain(|known| known.tag() != factory.tag());
        self.0.push(Arc::new(factory));
        self
    }

    /// The factory for a tag.
    #[must_use]
    pub fn factory(&self, tag: &str) -> Option<&dyn MethodFactory> {
        self.factories().find(|factory| factory.tag() == tag)
    }

    /// All factories, in order of registration.
    pub fn factories(&self) -> impl Iterator<Item = &dyn MethodFactory> {
        self.0.iter().map(|factory| &**factory)
    }

    /// All tags, in order of registration.
    pub fn tags(&self) -> impl Iterator<Item = &'static str> {
        self.factories().map(MethodFactory::tag)
    }
}
