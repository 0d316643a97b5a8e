//! Finds secrets in URLs: a manifest is usually public.

use percent_encoding::percent_decode_str;

/// Words of a parameter's name that tell a secret.
const WORDS: [&str; 18] = [
    "token",
    "sig",
    "signature",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "key",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "bearer",
    "jwt",
    "hmac",
    "hdnea",
    "hdnts",
];
/// Ends of names that are written as one word.
const ENDS: [&str; 10] = [
    "token",
    "signature",
    "password",
    "secret",
    "apikey",
    "accesskey",
    "accesskeyid",
    "authkey",
    "sessionid",
    "sessid",
];

/// The name of the first parameter in the query whose value is a secret.
pub(super) fn secret_parameter(url: &str) -> Option<String> {
    let url = url.split('#').next().unwrap_or(url);
    let (_, query) = url.split_once('?')?;
    query.split(['&', ';', '?']).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        (!value.is_empty() && is_secretive(&name)).then_some(name)
    })
}

fn is_secretive(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    words(name).iter().any(|word| WORDS.contains(&word.as_str()))
        || ENDS.iter().any(|end| lower.ends_with(end))
}

/// The words of `X-Amz-Signature`, `api_key` and `accessToken` in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for character in name.chars() {
        let begins = character.is_ascii_uppercase() && before.is_ascii_lowercase();
        if begins || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && let Some(last) = words.last_mut()
        {
            last.push(character.to_ascii_lowercase());
        }
        before = character;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_the_names_of_parameters() {
        for (query, secret) in [
            ("token=a", Some("token")),
            ("a=1&access_token=b", Some("access_token")),
            ("authToken=b", Some("authToken")),
            ("apikey=b", Some("apikey")),
            ("X-Amz-Date=1&X-Amz-Signature=b", Some("X-Amz-Signature")),
            ("X-Amz-Security-Token=b", Some("X-Amz-Security-Token")),
            ("X-Goog-Signature=b", Some("X-Goog-Signature")),
            ("AWSAccessKeyId=b", Some("AWSAccessKeyId")),
            ("sv=2020&sig=b", Some("sig")),
            ("Key-Pair-Id=b", Some("Key-Pair-Id")),
            ("key=b", Some("key")),
            ("PASSWORD=b", Some("PASSWORD")),
            ("%74oken=b", Some("token")),
            ("a=1;token=b", Some("token")),
            ("token=", None),
            ("token", None),
            ("keyword=b&monkey=c&design=d&file=token", None),
            ("page=1&format=sig", None),
        ] {
            assert_eq!(
                secret_parameter(&format!("http://h/?{query}")).as_deref(),
                secret,
                "{query}"
            );
        }
        assert_eq!(secret_parameter("http://h/token=a"), None);
        assert_eq!(secret_parameter("http://h/#?token=a"), None);
    }
}
