//! Laws of texts that people write: manifests, templates, ranges, URLs, inputs of `init`.

use std::fmt::Write as _;
use std::path::Path;

use jiff::civil::date;

use super::text;
use crate::http::Target;
use crate::manifest::entry::Form;
use crate::manifest::read::scalars;
use crate::manifest::vars::parse_range;
use crate::manifest::{LoadOptions, Manifest, template};
use crate::rel_path::RelPath;

fn manifest(text: &str) -> Option<Manifest> {
    let options = LoadOptions {
        today: date(2026, 1, 1),
        set: &[],
        env: &|name| (name.len() < 9).then(|| format!("value of {name}")),
        dest: None,
    };
    Manifest::parse(Path::new("/nowhere/natsync.yaml"), text, &options).ok()
}

/// Every entry has a path below the destination and an `http` or `https` URL.
fn entries_are_sound(manifest: &Manifest) {
    // A large manifest takes long and tests nothing more.
    if 10_000 < manifest.entries().bound() || manifest.check().is_err() {
        return;
    }
    for entry in manifest.entries().iter().take(50) {
        let path = entry.path();
        assert!(RelPath::parse(path.as_str()).is_ok(), "{path:?}");
        let url = entry.url(Form::Sent);
        let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
        assert!(url.contains("://") && ["http", "https"].contains(&scheme.as_str()), "{url}");
        assert!(!url.contains(['\n', '\r', ' ']), "{url:?}");
    }
}

pub(super) fn manifests(input: &[u8]) {
    if let Some(manifest) = manifest(&text(input)) {
        entries_are_sound(&manifest);
    }
}

pub(super) fn templates(input: &[u8]) {
    let text = text(input);
    for environment in [false, true] {
        let _ = template::parse(&text, environment);
    }
    let mut quoted = String::from("version: 1\ndest: out\nsources: [{url: ");
    let _ = write!(
        quoted,
        "{}, vars: {{a: 1, b: x, n: 1..3}}}}]",
        serde_json::json!(format!("http://h/{text}"))
    );
    if let Some(manifest) = manifest(&quoted) {
        entries_are_sound(&manifest);
    }
}

pub(super) fn ranges(input: &[u8]) {
    let text = text(input);
    let _ = parse_range(&text, date(2026, 1, 1));
    let quoted = format!(
        "version: 1\ndest: out\nsources: [{{url: \"http://h/{{n}}\", vars: {{n: {}}}}}]",
        serde_json::json!(text)
    );
    if let Some(manifest) = manifest(&quoted) {
        entries_are_sound(&manifest);
    }
}

pub(super) fn quantities(input: &[u8]) {
    let text = text(input);
    let _ = scalars::parse_size(&text);
    let _ = scalars::parse_duration(&text);
}

pub(super) fn urls(input: &[u8]) {
    let text = text(input);
    if let Ok(target) = Target::parse(&text) {
        let _ = target.join(&text);
        let _ = target.join("../x?y");
    }
    let quoted =
        format!("version: 1\ndest: out\nsources: [{{files: [{}]}}]", serde_json::json!(text));
    if let Some(manifest) = manifest(&quoted) {
        entries_are_sound(&manifest);
    }
}

#[cfg(feature = "cli")]
pub(super) fn init_inputs(input: &[u8]) {
    use crate::ops::init::{Format, Frame, make, read_arguments, read_list};
    let frame = Frame { name: None, dest: "d".to_owned() };
    let formats = [Format::Urls, Format::Aria2, Format::Metalink, Format::Sums, Format::Pooch];
    for format in formats.map(Some).into_iter().chain([None]) {
        if let Ok(list) = read_list(input, "", format, Some("http://h.example/")) {
            // `make` itself compares its result with the input.
            let _ = make(list, &frame, Path::new("m.yaml"));
        }
    }
    let _ = read_arguments(&[text(input).into_owned()]);
}

#[cfg(not(feature = "cli"))]
pub(super) fn init_inputs(_: &[u8]) {}
