//! The page of `natsync report --html`: one HTML file that needs nothing else.
//!
//! An [`Overview`] becomes a view (plain texts and numbers), and a template with automatic escaping makes the
//! page of it. The page is also well-formed XML. Its style and script are part of it, and its policy
//! allows these two alone, by their digests, and pictures from where the page itself is.

mod charts;
mod coverage;
mod links;
mod runs;
mod view;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;

pub(crate) use links::Links;
use view::View;
pub(crate) use view::verdict;

use crate::digest::Digest;
use crate::ops::overview::Overview;
use crate::report::Untrusted;

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// The ending turns automatic escaping on.
const NAME: &str = "report.html";

/// The page of an overview. `links` lead to the files; without them the page names files and shows no picture.
/// `command` is what one runs to fetch files.
///
/// # Errors
/// When the template cannot be carried out, which is a bug.
pub(crate) fn render(
    overview: &Overview,
    links: Option<&Links>,
    command: &str,
) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template(NAME, TEMPLATE)?;
    let policy = format!(
        "default-src 'none'; img-src 'self' file: data:; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash_of(STYLE),
        hash_of(SCRIPT)
    );
    let view = View::new(overview, links, command);
    environment.get_template(NAME)?.render(minijinja::context! {
        policy,
        style => STYLE,
        script => SCRIPT,
        version => env!("CARGO_PKG_VERSION"),
        page => Serde(view),
    })
}

/// How a policy names an inline style or script (CSP Level 2, section 4.2.5).
fn hash_of(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Digest::of(text.as_bytes()).as_bytes()))
}

/// A text from outside as it may be shown.
fn text(text: &str) -> String {
    Untrusted(text).to_string()
}

/// An instant to the minute, as people read it everywhere.
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests;
