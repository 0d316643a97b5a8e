//! Compares the bytes of a file with what the manifest expects of them.

use super::files::Fetch;
use crate::dest::Stat;
use crate::dest::state::Answered;
use crate::failure::{ErrorKind, Failure};
use crate::http::{Headers, Length, Target, check_label, check_length, is_html};
use crate::manifest::entry::Entry;
use crate::transfer::attempt::Attempt;
use crate::transfer::sink::EDGE;
use crate::transfer::want::Want;

pub(super) fn check_content(
    entry: &Entry<'_>,
    target: &Target,
    want: &Want,
    headers: &Headers,
    beginning: &[u8],
    end: &[u8],
) -> Result<(), Failure> {
    let expect = &entry.source().expect;
    let looks_like = if is_html(beginning) { "; it looks like HTML" } else { "" };
    if let Some(kind) = &expect.kind
        && !kind.matches(beginning, end)
    {
        let message = format!("the file is no `{kind}`{looks_like}");
        return Err(Failure::new(ErrorKind::UnexpectedContent, message));
    }
    // An error page with the status of success: the server and the bytes say HTML, the name does
    // not.
    let declared = headers.content_type().unwrap_or_default();
    let says_html = declared.trim_start().to_ascii_lowercase().starts_with("text/html");
    let is_proven = matches!(want.length(), Length::Pinned(_));
    if !is_proven {
        let (path, name) = (entry.path(), target.file_name());
        check_label(headers, &[path.file_name(), &name], beginning)?;
    }
    if expect.content_type.is_none()
        && !is_proven
        && says_html
        && is_html(beginning)
        && is_no_page(entry.path().file_name())
    {
        let failure = Failure::new(ErrorKind::UnexpectedContent, "the server sent a web page instead of the file")
            .with_hint("if that is what it should be, say so: `expect: {content_type: text/html}`; if it means that there is no file, `missing_when: {content_type: text/html}`");
        return Err(failure);
    }
    Ok(())
}

impl Fetch<'_> {
    /// Whether a local file is what the manifest expects, as far as that can be told without the
    /// response that brought it. A file that is kept has to meet what a new one has to.
    pub(super) fn is_as_expected(
        &self,
        attempt: &Attempt<'_, '_, '_>,
        local: &Stat,
        held: Option<&Answered>,
    ) -> bool {
        let (entry, want) = (&attempt.entry, attempt.want);
        let expect = &entry.source().expect;
        if check_length(local.size, expect, want.length()).is_err() {
            return false;
        }
        // What natsync downloaded was compared with the response, but perhaps under another manifest.
        let was_compared = held.is_some_and(|held| held.provenance.is_downloaded());
        if want.is_pinned() || (was_compared && expect.kind.is_none()) {
            return true;
        }
        let Ok((beginning, end)) = self.files.dest.edges(&entry.path(), EDGE) else { return false };
        let is_page = is_html(&beginning)
            && expect.content_type.is_none()
            && expect.kind.is_none()
            && is_no_page(entry.path().file_name());
        !is_page && expect.kind.is_none_or(|kind| kind.matches(&beginning, &end))
    }
}

/// Whether a name has an extension, and not one of a web page.
fn is_no_page(name: &str) -> bool {
    const PAGES: [&str; 10] =
        ["html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "cgi", "mhtml"];
    match name.rsplit_once('.') {
        Some((stem, ending)) => {
            !stem.is_empty() && !PAGES.iter().any(|page| ending.eq_ignore_ascii_case(page))
        }
        None => false,
    }
}
