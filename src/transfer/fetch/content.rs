//! Compares the bytes of a file with what the manifest expects of them.

use super::files::Fetch;
use crate::dest::{Dest, Stat};
use crate::failure::{ErrorKind, Failure};
use crate::http::{Headers, Length, Target, check_label, check_length, is_html};
use crate::manifest::EDGE;
use crate::manifest::entry::Entry;
use crate::transfer::attempt::Attempt;
use crate::transfer::want::Want;

impl Fetch<'_> {
    /// As [`is_expected`], for the entry of an attempt.
    pub(super) fn is_expected(
        &self,
        attempt: &Attempt<'_, '_, '_>,
        local: &Stat,
        headers: &Headers,
        is_witnessed: bool,
    ) -> bool {
        is_expected(self.files.dest, attempt, (local, headers), is_witnessed)
    }
}

/// Whether the local file meets what a fetched one would have to meet, as far as the fields of the
/// response tell that confirmed it. A file that cannot be read does not. `is_witnessed`: upstream
/// served these bytes, so that they were compared with the type that it stated.
pub(in crate::transfer) fn is_expected(
    dest: &Dest,
    attempt: &Attempt<'_, '_, '_>,
    (local, headers): (&Stat, &Headers),
    is_witnessed: bool,
) -> bool {
    let (entry, want, target) = (&attempt.entry, attempt.want, &attempt.job.target);
    let expect = &entry.source().expect;
    let types = expect.content_type.as_ref().zip(headers.content_type());
    if check_length(local.size, expect, want.length()).is_err()
        || types.is_some_and(|(expected, stated)| !expected.matches(stated))
    {
        return false;
    }
    // A web page under another name is what a server sends instead of a file.
    let path = entry.path();
    let no_page = !is_witnessed && expect.content_type.is_none() && is_no_page(path.file_name());
    if expect.kind.is_none() && !no_page && !says_html(headers) {
        return true;
    }
    let edges = dest.read(&path).and_then(|file| file.edges(EDGE));
    edges.is_ok_and(|(beginning, end)| {
        check_content(entry, target, want, headers, &beginning, &end).is_ok()
            && !(no_page && is_html(&beginning))
    })
}

fn says_html(headers: &Headers) -> bool {
    let declared = headers.content_type().unwrap_or_default();
    declared.trim_start().to_ascii_lowercase().starts_with("text/html")
}

/// Compares the bytes of a file with what the manifest expects of them.
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
    let is_proven = matches!(want.length(), Length::Pinned(_));
    if !is_proven {
        let (path, name) = (entry.path(), target.file_name());
        check_label(headers, &[path.file_name(), &name], beginning)?;
    }
    if expect.content_type.is_none()
        && !is_proven
        && says_html(headers)
        && is_html(beginning)
        && is_no_page(entry.path().file_name())
    {
        let failure = Failure::new(ErrorKind::UnexpectedContent, "the server sent a web page instead of the file")
            .with_hint("if that is what it should be, say so: `expect: {content_type: text/html}`; if it means that there is no file, `missing_when: {content_type: text/html}`");
        return Err(failure);
    }
    Ok(())
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
