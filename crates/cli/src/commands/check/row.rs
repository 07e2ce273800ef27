//! What was found out about one deployment.

use std::time::Duration;

/// The outcome, in the words of the command's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The credential was accepted.
    Accepted,
    /// The deployment answered, and its answer says nothing about the credential.
    NotProved,
    /// The deployment refused the credential.
    Refused,
    /// There is no credential to be had: a secret is missing, or the token endpoint gave none.
    NoCredential,
    /// The deployment was not reached.
    NotReached,
    /// Only the definition was looked at.
    Defined,
}

impl Verdict {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::NotProved => "reached, not proved",
            Self::Refused => "refused",
            Self::NoCredential => "no credential",
            Self::NotReached => "not reached",
            Self::Defined => "defined",
        }
    }

    pub(super) fn is_ok(self) -> bool {
        matches!(self, Self::Accepted | Self::NotProved | Self::Defined)
    }
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) verdict: Verdict,
    pub(super) status: Option<u16>,
    pub(super) cause: Option<String>,
    pub(super) fix: Option<String>,
    /// Which kinds of credential are held.
    pub(super) credential: Vec<String>,
    /// How long the held token may still be used.
    pub(super) usable: Option<Duration>,
    /// Granted and asked scope.
    pub(super) scope: Option<String>,
    /// What is doubtful although it works.
    pub(super) notes: Vec<String>,
}

impl Row {
    pub(super) fn defined(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            verdict: Verdict::Defined,
            status: None,
            cause: None,
            fix: None,
            credential: Vec::new(),
            usable: None,
            scope: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn fail(&mut self, verdict: Verdict, cause: &str, fix: Option<&str>) {
        self.verdict = verdict;
        self.cause = Some(cause.to_owned());
        self.fix = fix.map(str::to_owned);
    }
}
