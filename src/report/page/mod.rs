//! The page of `natsync report --html`: one HTML file that contains its style and script.
//!
//! [`View`] turns an [`Overview`] into plain texts and numbers, and a template with automatic
//! escaping turns these into the page, which is also well-formed XML. The page's Content Security
//! Policy allows only this style and this script, by their digests, and pictures from the place of
//! the page itself.

mod charts;
mod coverage;
mod format;
mod links;
mod runs;
mod shards;
mod view;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;

pub(crate) use links::Links;
use view::View;
pub(crate) use view::verdict;

use crate::digest::Digest;
use crate::ops::overview::Overview;

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// The template's name. Its extension turns automatic escaping on.
const NAME: &str = "report.html";

/// Renders the page of an overview. Without `links`, the page names the files but links none of
/// them and shows no pictures. `command` is the command that fetches the files.
///
/// # Errors
/// When the template fails, which is a bug.
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

/// The source expression for an inline style or script (CSP Level 2, section 4.2.5).
fn hash_of(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Digest::of(text.as_bytes()).as_bytes()))
}

#[cfg(test)]
mod tests;
