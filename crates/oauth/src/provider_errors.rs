//! What providers mean by their refusals: known by code or wording, told in our own words. The
//! provider's own text is never shown: it may quote what was sent.

/// A refusal that is known: a text in `error_description`, the cause, the fix.
struct Known {
    text: &'static str,
    cause: &'static str,
    fix: &'static str,
}

/// Entra's codes are documented at
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>; Auth0's and Okta's
/// wordings are those of their replies.
const KNOWN: &[Known] = &[
    Known {
        text: "AADSTS7000215",
        cause: "the client secret is not the one of this app (AADSTS7000215)",
        fix: "use the secret's value, not its id, and check that it belongs to client_id",
    },
    Known {
        text: "AADSTS7000222",
        cause: "the client secret has expired (AADSTS7000222)",
        fix: "make a new one in the app registration",
    },
    Known {
        text: "AADSTS700016",
        cause: "this tenant has no app with that client_id (AADSTS700016)",
        fix: "check client_id and tenant",
    },
    Known {
        text: "AADSTS90002",
        cause: "there is no such tenant (AADSTS90002)",
        fix: "check tenant: the directory id, or a domain of it",
    },
    Known {
        text: "AADSTS900023",
        cause: "that is no name of a tenant (AADSTS900023)",
        fix: "check tenant: the directory id, or a domain of it",
    },
    Known {
        text: "AADSTS500011",
        cause: "the tenant does not know the resource (AADSTS500011)",
        fix: "check resource, and that its app is installed in this tenant",
    },
    Known {
        text: "AADSTS1002012",
        cause: "the scope must be a resource with /.default (AADSTS1002012)",
        fix: "set scope = \"RESOURCE/.default\" alone",
    },
    Known {
        text: "AADSTS70011",
        cause: "the scope is not valid (AADSTS70011)",
        fix: "set scope = \"RESOURCE/.default\" alone",
    },
    Known {
        text: "AADSTS7000112",
        cause: "the app is disabled (AADSTS7000112)",
        fix: "have it enabled in the tenant",
    },
    Known {
        text: "AADSTS53003",
        cause: "a conditional access policy blocks the app (AADSTS53003)",
        fix: "ask the tenant's administrator",
    },
    Known {
        text: "is not authorized to access resource server",
        cause: "the client may not call that API (Auth0)",
        fix: "authorize it for the API, under machine to machine applications",
    },
    Known {
        text: "Service not enabled within domain",
        cause: "there is no API of that audience (Auth0)",
        fix: "check resource: it is the API's identifier, exactly",
    },
    Known {
        text: "Grant type 'client_credentials' not allowed",
        cause: "client credentials are not allowed for this client (Auth0)",
        fix: "allow the grant in its advanced settings",
    },
    Known {
        text: "One or more scopes are not configured for the authorization server",
        cause: "the authorization server has no such scope (Okta)",
        fix: "check scope and realm, the authorization server's id",
    },
    Known {
        text: "Policy evaluation failed",
        cause: "no access policy of the authorization server allows this client that scope (Okta)",
        fix: "add a policy and a rule for client credentials",
    },
    Known {
        text: "Client not enabled to retrieve service account",
        cause: "the client has no service account (Keycloak)",
        fix: "switch service accounts on for it",
    },
    Known {
        text: "Invalid client or Invalid client credentials",
        cause: "client_id or client_secret is wrong (Keycloak)",
        fix: "check both, and realm",
    },
    Known {
        text: "Realm does not exist",
        cause: "there is no such realm (Keycloak)",
        fix: "check realm and host",
    },
];

/// Cause and fix of a refusal whose description is known.
pub(crate) fn explain(description: &str) -> Option<(&'static str, &'static str)> {
    let after = |known: &Known| {
        let at = description.find(known.text)? + known.text.len();
        // AADSTS70011 is not AADSTS7001112.
        let next = description[at..].chars().next();
        let longer = known.text.starts_with("AADSTS") && next.is_some_and(|c| c.is_ascii_digit());
        (!longer).then_some((known.cause, known.fix))
    };
    KNOWN.iter().find_map(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        let cause = |text| explain(text).map(|(cause, _)| cause);
        assert!(cause("AADSTS70011: x").unwrap().contains("scope"));
        assert!(cause("AADSTS7000112: x").unwrap().contains("disabled"));
        assert!(cause("AADSTS7000215: x").unwrap().contains("secret"));
        assert!(cause("AADSTS700219: x").is_none());
        assert!(cause("something else").is_none());
    }
}
