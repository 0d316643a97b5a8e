//! Compares the bytes of a file with what the manifest expects of them.

use crate::failure::{ErrorKind, Failure};
use crate::http::{Headers, Length, Target, check_label, is_html};
use crate::manifest::entry::Entry;
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
