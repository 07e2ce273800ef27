//! Tokens kept between runs, for `token --cache` alone: one file for each credential in the user's
//! cache directory, which nobody else may enter.

use std::any::Any;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use gatepass_config::environment;
use gatepass_core::{Clock, SystemClock};
use gatepass_oauth::{CredentialKey, StoredToken, TokenStore};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::files;

/// How long somebody else's exchange is waited for; it takes 10 s at most.
const PATIENCE: Duration = Duration::from_secs(12);
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(crate) struct TokenFiles(PathBuf);

/// A file's content; times in seconds since the Unix epoch.
#[derive(Deserialize, Serialize)]
struct Content {
    token: Zeroizing<String>,
    stored: f64,
    soft: f64,
    hard: f64,
    facts: Vec<(String, String)>,
}

impl TokenFiles {
    pub(crate) fn of_this_user() -> Result<Self, Failure> {
        let directory = environment::user_cache_directory();
        let directory = directory
            .ok_or_else(|| Failure::usage("this user has no cache directory: leave --cache out"))?
            .join("tokens");
        files::private_directory(&directory)?;
        Ok(Self(directory))
    }

    fn path(&self, key: &CredentialKey) -> PathBuf {
        self.0.join(format!("{key}.json"))
    }

    fn read(path: &Path) -> Option<Content> {
        let bytes = Zeroizing::new(fs::read(path).ok()?);
        serde_json::from_slice(&bytes).ok()
    }

    /// Files whose token is dead, with their locks.
    fn sweep(&self) {
        let now = SystemClock.now().wall().as_secs_f64();
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let ends = path.extension().and_then(|end| end.to_str());
            if ends == Some("json") && Self::read(&path).is_none_or(|kept| kept.hard <= now) {
                // Somebody else may have been faster.
                let _gone_already = fs::remove_file(&path);
            }
        }
    }
}

#[async_trait]
impl TokenStore for TokenFiles {
    async fn load(&self, key: &CredentialKey) -> Option<StoredToken> {
        let kept = Self::read(&self.path(key))?;
        let time = |seconds| Duration::try_from_secs_f64(seconds).ok();
        let text = kept.token.as_str();
        let mut token =
            StoredToken::new(text, time(kept.stored)?, time(kept.soft)?, time(kept.hard)?);
        token.facts = kept.facts;
        Some(token)
    }

    async fn lock(&self, key: &CredentialKey) -> Box<dyn Any + Send> {
        let path = self.0.join(format!("{key}.lock"));
        let Ok(file) = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
        else {
            return Box::new(());
        };
        let waiting = async {
            while let Err(TryLockError::WouldBlock) = file.try_lock() {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        };
        // Whoever holds it for longer has wedged; two exchanges are better than none.
        let _out_of_patience = tokio::time::timeout(PATIENCE, waiting).await;
        Box::new(file)
    }

    async fn save(&self, key: &CredentialKey, token: &StoredToken) {
        self.sweep();
        let content = Content {
            token: Zeroizing::new(token.token.expose().to_owned()),
            stored: token.stored.as_secs_f64(),
            soft: token.soft.as_secs_f64(),
            hard: token.hard.as_secs_f64(),
            facts: token.facts.clone(),
        };
        if let Ok(bytes) = serde_json::to_vec(&content).map(Zeroizing::new) {
            // What cannot be kept is asked for again.
            let _asked_again = files::replace(&self.path(key), &bytes);
        }
    }
}
