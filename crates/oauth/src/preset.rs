//! Providers as data: what people hold (host, tenant, resource, realm) fills in the rest.
//!
//! A preset only fills defaults: whatever a definition sets wins.

/// What a provider's definitions have in common.
///
/// `{host}`, `{tenant}`, `{realm}`, `{resource}` and `{account_id}` stand for the keys of those
/// names.
///
/// ```
/// let entra = gatepass_oauth::preset("entra").unwrap();
/// assert_eq!(entra.scope, Some("{resource}/.default"));
/// assert!(entra.source.starts_with("https://"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preset {
    /// The value of `provider`.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// Where tokens are handed out.
    pub token_url: &'static str,
    /// The scope asked for: `None` leaves it to the definition, empty sends none.
    pub scope: Option<&'static str>,
    /// How the client proves itself.
    pub client_auth: &'static str,
    /// More form pairs of the token request.
    pub params: &'static [(&'static str, &'static str)],
    /// Which answers of the upstream reject a token, beside 401.
    pub rejected_when: &'static [&'static str],
    /// How many seconds before its end a token is used no more, where the provider is strict.
    pub margin: Option<u64>,
    /// Where this is documented.
    pub source: &'static str,
}

/// Keys whose text goes into a preset's templates, with what they mean.
#[cfg(any(test, feature = "reqwest"))]
pub(crate) const HELD: [&str; 5] = ["host", "tenant", "realm", "resource", "account_id"];

const COGNITIVE: &str = "https://cognitiveservices.azure.com/.default";

/// Every provider known here.
///
/// ```
/// assert!(gatepass_oauth::PRESETS.iter().any(|preset| preset.name == "okta"));
/// ```
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "databricks",
        about: "a Databricks workspace, by service principal",
        token_url: "https://{host}/oidc/v1/token",
        scope: Some("all-apis"),
        client_auth: "basic",
        params: &[],
        // Tokens with less than 30 s left are refused, with 403 as often as with 401.
        rejected_when: &[
            "403 token is expir",
            "403 token has expired",
            "400 expiredjwtexception",
        ],
        margin: Some(40),
        source: "https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m",
    },
    Preset {
        name: "databricks-account",
        about: "a Databricks account, by service principal",
        token_url: "https://accounts.cloud.databricks.com/oidc/accounts/{account_id}/v1/token",
        scope: Some("all-apis"),
        client_auth: "basic",
        params: &[],
        rejected_when: &["403 token is expir", "403 token has expired"],
        margin: Some(40),
        source: "https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m",
    },
    Preset {
        name: "entra",
        about: "Microsoft Entra ID, for a resource of your own",
        token_url: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        scope: Some("{resource}/.default"),
        client_auth: "post",
        params: &[],
        rejected_when: &[],
        margin: None,
        source: "https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow",
    },
    Preset {
        name: "azure-openai",
        about: "Azure OpenAI, by an app registration of Entra ID",
        token_url: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        scope: Some(COGNITIVE),
        client_auth: "post",
        params: &[],
        rejected_when: &[],
        margin: None,
        source: "https://learn.microsoft.com/azure/ai-services/openai/how-to/managed-identity",
    },
    Preset {
        name: "okta",
        about: "Okta, by an authorization server",
        token_url: "https://{host}/oauth2/{realm}/v1/token",
        scope: None,
        client_auth: "basic",
        params: &[],
        rejected_when: &[],
        margin: None,
        source: "https://developer.okta.com/docs/guides/implement-grant-type/clientcreds/main/",
    },
    Preset {
        name: "auth0",
        about: "Auth0, for an API of your own",
        token_url: "https://{host}/oauth/token",
        scope: Some(""),
        client_auth: "post",
        params: &[("audience", "{resource}")],
        rejected_when: &[],
        margin: None,
        source: "https://auth0.com/docs/get-started/authentication-and-authorization-flow/client-credentials-flow/call-your-api-using-the-client-credentials-flow",
    },
    Preset {
        name: "keycloak",
        about: "Keycloak, by a client with a service account",
        token_url: "https://{host}/realms/{realm}/protocol/openid-connect/token",
        scope: Some(""),
        client_auth: "basic",
        params: &[],
        rejected_when: &[],
        margin: None,
        source: "https://www.keycloak.org/docs/latest/server_admin/#_service_accounts",
    },
];

/// The preset of this name.
///
/// ```
/// assert!(gatepass_oauth::preset("nobody").is_none());
/// ```
#[must_use]
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// A template with the held texts in place; the error is the key that is missing.
#[cfg(any(test, feature = "reqwest"))]
pub(crate) fn fill<'a>(
    template: &'static str,
    held: impl Fn(&'static str) -> Option<&'a str>,
) -> Result<String, &'static str> {
    let mut text = template.to_owned();
    for key in HELD {
        let place = format!("{{{key}}}");
        if text.contains(&place) {
            text = text.replace(&place, held(key).ok_or(key)?);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_is_whole() {
        for preset in PRESETS {
            let held = |_: &str| Some("held.example.com");
            let url = fill(preset.token_url, held).unwrap();
            assert!(url.parse::<url::Url>().is_ok(), "{url}");
            assert!(!url.contains('{'), "{url}");
            assert!(crate::client_auth(preset.client_auth).is_some());
            for matcher in preset.rejected_when {
                matcher.parse::<crate::Matcher>().unwrap();
            }
            assert!(preset.source.starts_with("https://"));
        }
        assert_eq!(
            fill("https://{host}/{realm}", |key| (key == "host")
                .then_some("h")),
            Err("realm")
        );
    }
}
