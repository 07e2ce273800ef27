//! The method from a definition.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatepass_core::{
    BuildContext, KeyKind, KeySpec, MethodFactory, SettingProblem, Settings, SharedMethod,
};
use gatepass_oauth::{Engine, TokenMethod};

use crate::grant::Command;

/// Makes methods whose tokens a command prints.
///
/// ```
/// use gatepass_core::MethodFactory;
/// assert_eq!(gatepass_command::CommandFactory::default().tag(), "command");
/// ```
#[derive(Clone, Debug, Default)]
pub struct CommandFactory {
    engine: Engine,
}

impl CommandFactory {
    /// With an engine of your own: clock, cache, knobs.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

const KEYS: &[KeySpec] = &[
    KeySpec::new(
        "command",
        KeyKind::TextList,
        "the program that prints a token, and its arguments",
    )
    .required(),
    KeySpec::new(
        "default_lifetime",
        KeyKind::Seconds,
        "seconds a token lives whose expiry is nowhere to be read",
    )
    .default_is("300"),
];

impl MethodFactory for CommandFactory {
    fn tag(&self) -> &'static str {
        "command"
    }

    fn about(&self) -> &'static str {
        "a bearer token that a logged-in command prints (az, gcloud, databricks)"
    }

    fn keys(&self) -> &'static [KeySpec] {
        KEYS
    }

    fn build(
        &self,
        settings: &Settings,
        _: &BuildContext<'_>,
    ) -> Result<SharedMethod, Vec<SettingProblem>> {
        let argv = settings.text_list("command").to_vec();
        let wrong = |what: &str| vec![SettingProblem::new("command", what)];
        let Some(program) = argv.first().filter(|program| !program.is_empty()) else {
            return Err(wrong("names no program: write [\"PROGRAM\", ..]"));
        };
        let path = Path::new(program);
        if path.components().count() > 1 && !path.is_absolute() {
            return Err(wrong("must name its program by a bare name or a full path"));
        }
        if program.contains(' ') && argv.len() == 1 {
            return Err(wrong(
                "runs without a shell: write each argument as a text of its own",
            ));
        }
        let lifetime = settings.seconds("default_lifetime");
        let lifetime = lifetime.unwrap_or(Duration::from_secs(300));
        let command = Command::new(argv, lifetime);
        Ok(Arc::new(TokenMethod::bearer(command, self.engine.clone())))
    }
}
