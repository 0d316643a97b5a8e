//! Writes the YAML text of a manifest in the style of a person: few quotes, short lists on one
//! line.

use std::fmt::Write as _;

use super::escape::escaped;
use super::pattern::Value;
use super::{Files, Frame, Given, Source, Values};

/// Writes values on one line: at most `most` of them, then the number of the rest.
pub(super) fn values(values: &Values, most: usize) -> String {
    // If one value needs quotes, quote all, for a uniform look.
    let quoted =
        values.iter().any(|one| matches!(one, Value::Text(text) if scalar(text, true) != *text));
    let told: Vec<_> = values.iter().take(most).map(|one| value(one, quoted)).collect();
    let more = match values.len().saturating_sub(most) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    match (&told[..], more.is_empty()) {
        ([only], true) => only.clone(),
        _ => format!("[{}{more}]", told.join(", ")),
    }
}

/// Stands for a path made of the numbers of source and entry; [`path_for`] replaces it.
pub(super) const NUMBERED: &str = "source/{index}";

/// Adapts a path template to a URL: `{dir}/` is removed if the URL has no folder.
fn path_for(path: &str, url: &str, number: usize) -> String {
    if path == NUMBERED {
        return format!("source-{number}/{{index}}");
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let has_folder = 2 <= rest.matches('/').count();
    if has_folder { path.to_owned() } else { path.replace("{dir}/", "") }
}

/// Writes a manifest. `path` is a template for all sources.
pub(super) fn write(
    frame: &Frame,
    sources: &[Source],
    path: Option<&str>,
    portable: bool,
) -> String {
    let mut text = String::from(
        "# Made by `natsync init`. `natsync plan` shows what would be fetched, `natsync apply` fetches it.\nversion: 1\n",
    );
    if let Some(name) = &frame.name {
        let _ = writeln!(text, "name: {}", scalar(name, false));
    }
    let _ = writeln!(text, "dest: {}", scalar(&frame.dest, false));
    if !portable {
        text.push_str("portable: false\n");
    }
    text.push_str("sources:\n");
    for (number, source) in sources.iter().enumerate() {
        let mut first = "  - ";
        let mut line = |text: &mut String, key: &str, value: &str| {
            let _ = writeln!(text, "{}{key}: {value}", std::mem::replace(&mut first, "    "));
        };
        if 1 < sources.len() {
            line(&mut text, "name", &format!("source-{}", number + 1));
        }
        let mirrors: Vec<_> = source.mirrors.iter().map(|mirror| scalar(mirror, true)).collect();
        let mirrors = (!mirrors.is_empty()).then(|| format!("[{}]", mirrors.join(", ")));
        match &source.files {
            Files::Pattern(pattern) => {
                line(&mut text, "url", &scalar(&pattern.template(), false));
                if let Some(mirrors) = mirrors {
                    line(&mut text, "mirrors", &mirrors);
                }
                if !pattern.variables.is_empty() {
                    text.push_str("    vars:\n");
                }
                for (name, all) in &pattern.variables {
                    let _ = writeln!(text, "      {name}: {}", values(all, usize::MAX));
                }
                if let Some(path) = path {
                    let path = path_for(path, &pattern.template(), number + 1);
                    line(&mut text, "path", &scalar(&path, false));
                }
            }
            Files::Listed(files) => {
                // Write the longest path template once for the source; a file with another one
                // states its own.
                let paths: Vec<_> = files
                    .iter()
                    .map(|given| path.map(|path| path_for(path, &given.url, number + 1)))
                    .collect();
                let common = paths.iter().max_by_key(|path| path.as_ref().map(String::len));
                let common = common.and_then(Option::as_ref);
                if let Some(path) = common {
                    line(&mut text, "path", &scalar(path, false));
                }
                if let Some(mirrors) = mirrors {
                    line(&mut text, "mirrors", &mirrors);
                }
                let _ = writeln!(text, "{}files:", std::mem::replace(&mut first, "    "));
                for (given, path) in files.iter().zip(&paths) {
                    let own = path.as_ref().filter(|path| Some(*path) != common);
                    write_file(&mut text, given, own.map(String::as_str), common.is_none());
                }
            }
        }
    }
    text
}

/// `path` is the template of its path, if it is not that of the source. `is_usual`: without a path
/// of its own, the file has that of its URL.
fn write_file(text: &mut String, given: &Given, path: Option<&str>, is_usual: bool) {
    let _ = writeln!(text, "      - url: {}", scalar(&escaped(&given.url), false));
    let stated = given.path.as_ref().filter(|stated| !(is_usual && **stated == given.filename()));
    if let Some(path) = stated.map(|stated| escaped(stated)).or(path.map(str::to_owned)) {
        let _ = writeln!(text, "        path: {}", scalar(&path, false));
    }
    if let Some(size) = given.size {
        let _ = writeln!(text, "        size: {size}");
    }
    for checksum in &given.checksums {
        let _ =
            writeln!(text, "        {}: {}", checksum.algorithm(), scalar(&checksum.hex(), false));
    }
}

fn value(value: &Value, quoted: bool) -> String {
    match value {
        Value::Range(text) => text.clone(),
        Value::Text(text) if text.contains("..") => format!("{{value: {}}}", scalar(text, true)),
        Value::Text(text) if quoted => serde_json::Value::from(text.as_str()).to_string(),
        Value::Text(text) => scalar(text, true),
    }
}

/// Writes a scalar, with quotes if YAML would otherwise read another value. `in_flow` is for
/// scalars inside `[]` or `{}`.
fn scalar(text: &str, in_flow: bool) -> String {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/+%=&?@,:{}|*!'()".contains(&byte);
    let begins_well =
        text.starts_with(|first: char| first.is_ascii_alphanumeric() || "./~_".contains(first));
    let has_marks = in_flow && text.contains([',', '{', '}', '[', ']', ':']);
    let needs_quotes = !begins_well
        || !text.bytes().all(is_plain)
        || text.ends_with(':')
        || has_marks
        || is_ambiguous(text);
    if needs_quotes { serde_json::Value::from(text).to_string() } else { text.to_owned() }
}

/// True if YAML would read the text as a boolean, null, or a number with another canonical form.
fn is_ambiguous(text: &str) -> bool {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~", ".inf", ".nan"];
    let has_digits_alone = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = text.trim_start_matches('.').parse::<f64>().is_ok();
    words.contains(&text.to_ascii_lowercase().as_str())
        || (has_digits_alone && 1 < text.len() && text.starts_with('0'))
        || (is_number && !has_digits_alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ambiguous_scalars_are_quoted() {
        for text in ["mirror", "../mirror/a", "http://h/img{n}.jpg?a=b", "5", "1.2.3"] {
            assert_eq!(scalar(text, false), text);
        }
        for text in [
            "",
            "no",
            "007",
            "1.10",
            "1e5",
            "{filename}",
            "a b",
            "- a",
            "a: b",
            "#a",
            "é",
            "a:",
            "~",
        ] {
            assert!(scalar(text, false).starts_with('"'), "{text}");
        }
        assert_eq!(scalar("a,b", true), "\"a,b\"");
    }
}
