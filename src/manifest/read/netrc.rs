//! The key `netrc` of a source, and reading the file that it names.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fields::Fields;
use super::node::{Kind, Node};
use super::reader::Reader;
use crate::manifest::netrc_file::{Credentials, LARGEST, LoginHost, Netrc};
use crate::manifest::tables::NETRC;

impl Reader<'_> {
    /// A file, or a mapping that also names login hosts.
    pub(super) fn netrc(&mut self, node: &Node) -> Option<Credentials> {
        if !matches!(node.kind, Kind::Mapping(_)) {
            return self.netrc_of(node);
        }
        let fields = Fields::open(self, node, NETRC, "`netrc`")?;
        let users = Node { at: node.at, kind: Kind::Scalar("true".to_owned()) };
        let credentials = self.netrc_of(fields.get("file").unwrap_or(&users));
        let hosts = fields.get("hosts").map(|hosts| self.login_hosts(hosts)).unwrap_or_default();
        Some(Credentials { hosts, ..credentials? })
    }

    fn login_hosts(&mut self, node: &Node) -> Vec<LoginHost> {
        let what = "the name of a host such as `login.example.org`, or `HOST:PORT`";
        node.items()
            .iter()
            .filter_map(|item| self.parsed(item, "hosts", what, LoginHost::parse))
            .collect()
    }

    /// `true` stands for the user's own netrc file, `false` for none, and any other text is a path.
    fn netrc_of(&mut self, node: &Node) -> Option<Credentials> {
        let file = match self.text(node, "netrc")? {
            "false" => return None,
            "true" => self.users_netrc(node)?,
            text if text.is_empty() || text.contains('\0') => {
                let hint = "it is `true`, or the path of a file";
                self.problem(node.at, "`netrc` names no file", Some(hint.to_owned()));
                return None;
            }
            text => self.path_of(node, text)?,
        };
        let shown = file.display();
        let (text, is_open) = match read(&file) {
            Ok(read) => read,
            Err(why) => {
                let hint = "`netrc: true` reads the file that `NETRC` names, or else `~/.netrc`; \
                            other paths are relative to the manifest";
                let message = format!("cannot read the netrc file `{shown}`: {why}");
                self.problem(node.at, message, Some(hint.to_owned()));
                return None;
            }
        };
        match Netrc::parse(&text) {
            Ok(netrc) => {
                Some(Credentials { netrc: Arc::new(netrc), file, is_open, hosts: Vec::new() })
            }
            Err(error) => {
                let message = format!("the netrc file `{shown}` has an error on {error}");
                self.problem(node.at, message, None);
                None
            }
        }
    }

    /// The file that `NETRC` names, or `.netrc` in the home directory.
    fn users_netrc(&mut self, node: &Node) -> Option<PathBuf> {
        let named = |name| (self.options.env)(name).filter(|value| !value.is_empty());
        if let Some(file) = named("NETRC") {
            return Some(PathBuf::from(file));
        }
        let home = named("HOME").or_else(|| named("USERPROFILE"));
        if home.is_none() {
            let hint = "set `NETRC`, or give the path of a file";
            let message = "`netrc: true`, but neither `NETRC` nor `HOME` is set";
            self.problem(node.at, message, Some(hint.to_owned()));
        }
        Some(PathBuf::from(home?).join(".netrc"))
    }
}

fn read(file: &Path) -> Result<(String, bool), String> {
    let metadata = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if LARGEST < bytes.len() as u64 {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    Ok((text, is_open(&metadata)))
}

#[cfg(unix)]
fn is_open(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o044 != 0
}

#[cfg(not(unix))]
fn is_open(_: &std::fs::Metadata) -> bool {
    false
}
