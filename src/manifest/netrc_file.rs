//! The `.netrc` file format of ftp and curl: users and passwords by host.
//!
//! Tokens are parsed as curl parses them. Input that curl ignores silently is an error here. No
//! error quotes the file, since any word could be a password.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::secret::Secret;

/// Largest accepted file, in bytes.
pub(crate) const LARGEST: u64 = 1024 * 1024;

/// A netrc file that was read, with its path.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) netrc: Arc<Netrc>,
    pub(super) file: PathBuf,
    /// Whether users other than its owner can read it.
    pub(super) is_open: bool,
    /// Hosts that may get credentials after a redirect.
    pub(crate) hosts: Vec<LoginHost>,
}

impl Credentials {
    /// Whether a host may get credentials after a redirect.
    pub(crate) fn is_login(&self, host: &str, port: u16) -> bool {
        let host = plain(host);
        self.hosts
            .iter()
            .any(|login| login.host == host && login.port.is_none_or(|own| own == port))
    }
}

/// A host where one logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginHost {
    /// In lower case, without the brackets of an IPv6 address.
    host: String,
    /// Any port if none.
    port: Option<u16>,
}

impl LoginHost {
    /// Parses `host` or `host:port`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok().filter(|&port| port != 0)?))
            }
            _ => (text, None),
        };
        let is_bare = host.contains(':') && !host.starts_with('[');
        let bracketed = if is_bare { format!("[{host}]") } else { host.to_owned() };
        let host = url::Host::parse(&bracketed).ok()?.to_string();
        Some(Self { host: plain(&host), port })
    }
}

/// The entries of a file, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Netrc {
    entries: Vec<Entry>,
}

/// The credentials for one host, or for all other hosts (`default`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// In lower case, without the brackets of an IPv6 address. `None` stands for `default`.
    host: Option<String>,
    login: Option<String>,
    password: Option<Secret>,
}

/// A syntax error in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetrcError {
    /// From 1.
    pub(crate) line: usize,
    /// What is wrong. It never quotes the file.
    pub(crate) problem: &'static str,
}

impl fmt::Display for NetrcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl Netrc {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// When a word is not a keyword, a keyword has no value or occurs twice in an entry, or a
    /// quoted string is not closed.
    pub(crate) fn parse(text: &str) -> Result<Self, NetrcError> {
        let mut words = Words { text, at: 0, line: 1 };
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(word) = words.keyword()? {
            let line = words.line;
            let fail = |problem| Err(NetrcError { line, problem });
            match word.as_str() {
                "machine" => {
                    let host = words.value("`machine` names no host")?;
                    entries.push(Entry { host: Some(plain(&host)), ..Entry::default() });
                }
                "default" => entries.push(Entry::default()),
                "macdef" => {
                    words.value("`macdef` has no name")?;
                    words.skip_macro();
                }
                "login" | "password" | "account" => {
                    let value = words.value("a keyword has no value")?;
                    let Some(entry) = entries.last_mut() else {
                        return fail("this is before the first `machine`");
                    };
                    let again = match word.as_str() {
                        "login" => entry.login.replace(value).is_some(),
                        "password" => entry.password.replace(Secret::new(value)).is_some(),
                        _ => false,
                    };
                    if again {
                        return fail("an entry has this keyword twice");
                    }
                }
                _ => return fail("this word is not a keyword"),
            }
        }
        Ok(Self { entries })
    }

    /// User and password for a host: those of its first entry, or else those of `default`.
    pub(crate) fn credentials(&self, host: &str) -> Option<(String, Secret)> {
        let host = plain(host);
        let named = |entry: &&Entry| entry.host.as_ref() == Some(&host);
        let found = self.entries.iter().find(named);
        let entry = found.or_else(|| self.entries.iter().find(|entry| entry.host.is_none()))?;
        if entry.login.is_none() && entry.password.is_none() {
            return None;
        }
        let password = entry.password.clone().unwrap_or_else(|| Secret::new(String::new()));
        Some((entry.login.clone().unwrap_or_default(), password))
    }
}

/// Normalizes a host for comparison.
fn plain(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

struct Words<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Words<'_> {
    /// The next word at the position of a keyword, the only one where `#` begins a comment.
    fn keyword(&mut self) -> Result<Option<String>, NetrcError> {
        loop {
            self.skip_space();
            if !self.rest().starts_with('#') {
                return self.word();
            }
            self.skip_line();
        }
    }

    fn value(&mut self, lacking: &'static str) -> Result<String, NetrcError> {
        let line = self.line;
        self.skip_space();
        self.word()?.ok_or(NetrcError { line, problem: lacking })
    }

    fn word(&mut self) -> Result<Option<String>, NetrcError> {
        let rest = self.rest();
        if rest.is_empty() {
            return Ok(None);
        }
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(is_space).unwrap_or(rest.len());
            let word = rest[..end].to_owned();
            self.at += end;
            return Ok(Some(word));
        };
        let mut word = String::new();
        let mut characters = quoted.char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += 1 + place + 1;
                    return Ok(Some(word));
                }
                '\n' => break,
                '\\' => match characters.next() {
                    Some((_, 'n')) => word.push('\n'),
                    Some((_, 'r')) => word.push('\r'),
                    Some((_, 't')) => word.push('\t'),
                    Some((_, escaped)) if escaped != '\n' => word.push(escaped),
                    _ => break,
                },
                character => word.push(character),
            }
        }
        Err(NetrcError { line: self.line, problem: "a quoted string is not closed on its line" })
    }

    /// A macro ends at the next empty line.
    fn skip_macro(&mut self) {
        self.skip_line();
        while !self.rest().is_empty() {
            let line = self.rest().split('\n').next().unwrap_or_default();
            let empty = line.trim_matches([' ', '\t', '\r']).is_empty();
            self.skip_line();
            if empty {
                return;
            }
        }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        let end = rest.find(|character| !is_space(character)).unwrap_or(rest.len());
        self.line += rest[..end].matches('\n').count();
        self.at += end;
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        match rest.find('\n') {
            Some(end) => {
                self.line += 1;
                self.at += end + 1;
            }
            None => self.at = self.text.len(),
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }
}

fn is_space(character: char) -> bool {
    character.is_ascii_whitespace() || character == '\u{b}'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn found(text: &str, host: &str) -> Option<(String, String)> {
        let netrc = Netrc::parse(text).unwrap();
        netrc.credentials(host).map(|(login, password)| (login, password.expose().to_owned()))
    }

    #[track_caller]
    fn wrong(text: &str, line: usize, part: &str) {
        let error = Netrc::parse(text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.problem.contains(part), "{error}");
    }

    fn pair(login: &str, password: &str) -> (String, String) {
        (login.to_owned(), password.to_owned())
    }

    #[test]
    fn credentials_are_found_by_host() {
        let text = "machine a.example login me password one\n\
                    machine B.example\n\tlogin you\n\taccount x\n\tpassword two\n";
        assert_eq!(found(text, "a.example"), Some(pair("me", "one")));
        assert_eq!(found(text, "b.EXAMPLE"), Some(pair("you", "two")));
        assert_eq!(found(text, "example"), None);
        assert_eq!(found("machine ::1 login me password one", "[::1]"), Some(pair("me", "one")));
        assert_eq!(found("machine h login a\nmachine h login b", "h"), Some(pair("a", "")));
    }

    #[test]
    fn default_is_for_all_other_hosts_wherever_it_is() {
        let text = "default login any password d\nmachine h login me password one";
        assert_eq!(found(text, "h"), Some(pair("me", "one")));
        assert_eq!(found(text, "x"), Some(pair("any", "d")));
        assert_eq!(found("machine h\ndefault login any", "h"), None);
    }

    #[test]
    fn words_may_be_quoted() {
        let text = r#"machine h login "my name" password "a\"b\\c\td#""#;
        assert_eq!(found(text, "h"), Some(pair("my name", "a\"b\\c\td#")));
        assert_eq!(found(r#"machine h login a"b password """#, "h"), Some(pair("a\"b", "")));
    }

    #[test]
    fn comments_and_macros_are_ignored() {
        let text = "# machine h login no\nmachine h # login no\n login me password #1\n\
                    macdef init\nmachine h login no\ncd /\n\nmachine i login you password two";
        assert_eq!(found(text, "h"), Some(pair("me", "#1")));
        assert_eq!(found(text, "i"), Some(pair("you", "two")));
        assert_eq!(found("macdef init\nmachine h login no", "h"), None);
        assert_eq!(found("", "h"), None);
    }

    #[test]
    fn errors_have_a_line_and_do_not_quote_the_file() {
        wrong("machine h\nlogin me password hunter two\n", 2, "not a keyword");
        wrong("\n\nlogin me", 3, "before the first");
        wrong("machine h\npassword", 2, "no value");
        wrong("machine", 1, "names no host");
        wrong("machine h password \"hunter\nmachine i", 1, "not closed");
        wrong("machine h password \"hunter\\", 1, "not closed");
        wrong("machine h\npassword a\npassword b", 3, "twice");
        wrong("macdef", 1, "no name");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in r#"(machine|login|password|default|macdef|["\\#é\n\r ]|[a-z]){0,40}"#, host in ".{0,8}") {
            if let Ok(netrc) = Netrc::parse(&text) {
                let _ = netrc.credentials(&host);
            }
        }

        #[test]
        fn any_password_can_be_quoted(password in "[^\u{0}]{0,20}") {
            let mut quoted = String::new();
            for character in password.chars() {
                match character {
                    '\n' => quoted.push_str("\\n"),
                    '"' | '\\' => quoted.extend(['\\', character]),
                    character => quoted.push(character),
                }
            }
            let text = format!("machine h login me password \"{quoted}\"");
            prop_assert_eq!(found(&text, "h"), Some(pair("me", &password)));
        }
    }
}
