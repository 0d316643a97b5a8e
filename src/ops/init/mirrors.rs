//! Finds templates for mirrors, and groups files by them: a manifest states mirrors for a source.

use std::collections::HashMap;

use super::Given;
use super::escape::escaped;

/// Files whose mirrors follow from the same templates. The files themselves have none any more.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) mirrors: Vec<String>,
    pub(super) files: Vec<Given>,
}

/// Groups files by their mirrors, in the order of their first files. If `literal`, each mirror is
/// its own template.
pub(super) fn grouped(files: &[Given], literal: bool) -> Vec<Group> {
    let literally =
        |given: &Given| given.mirrors.iter().map(|mirror| escaped(mirror)).collect::<Vec<_>>();
    let mut places: HashMap<Vec<String>, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    // The literal mirrors of the first file of each group.
    let mut firsts: Vec<Vec<String>> = Vec::new();
    for given in files {
        let templates = if literal {
            literally(given)
        } else {
            given.mirrors.iter().map(|mirror| template(&given.url, mirror)).collect()
        };
        let place = *places.entry(templates).or_insert_with_key(|templates| {
            firsts.push(literally(given));
            groups.push(Group { mirrors: templates.clone(), files: Vec::new() });
            groups.len() - 1
        });
        groups[place].files.push(Given { mirrors: Vec::new(), ..given.clone() });
    }
    // A template for a single file says less than the URL itself.
    for (group, first) in groups.iter_mut().zip(firsts).filter(|(group, _)| group.files.len() == 1)
    {
        group.mirrors = first;
    }
    groups
}

/// The most general template that gives this mirror of a URL.
fn template(url: &str, mirror: &str) -> String {
    general(url, mirror).unwrap_or_else(|| escaped(mirror))
}

fn general(url: &str, mirror: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if !path.bytes().all(is_plain) {
        return None;
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let base = mirror.strip_suffix(name)?;
    if name.is_empty() || base.contains(['{', '}', '$']) || !base.ends_with('/') {
        return None;
    }
    if let Some(above) = base.strip_suffix(&url[..url.len() - name.len()]) {
        return Some(format!("{above}{{+url}}"));
    }
    match base.strip_suffix('/')?.strip_suffix(folder) {
        Some(above) if !folder.is_empty() && above.ends_with('/') => {
            Some(format!("{above}{{+dir}}/{{filename}}"))
        }
        _ => Some(format!("{base}{{filename}}")),
    }
}
