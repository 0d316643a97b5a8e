//! Colour, and text that is cut or wrapped to a number of terminal columns.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Styles for one stream. Without colour, they print nothing. Meaning must never depend on colour
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Styles with colour, or without.
    #[must_use]
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether the stream gets colour.
    #[must_use]
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// Errors and deletions.
    #[must_use]
    pub(crate) fn error(self) -> Style {
        self.style(AnsiColor::Red.on_default().bold())
    }

    /// Warnings.
    #[must_use]
    pub(crate) fn warning(self) -> Style {
        self.style(AnsiColor::Yellow.on_default().bold())
    }

    /// New files.
    #[must_use]
    pub(crate) fn added(self) -> Style {
        self.style(AnsiColor::Green.on_default())
    }

    /// Replaced files.
    #[must_use]
    pub(crate) fn changed(self) -> Style {
        self.style(AnsiColor::Yellow.on_default())
    }

    /// Notes, hints and revalidations.
    #[must_use]
    pub(crate) fn note(self) -> Style {
        self.style(AnsiColor::Cyan.on_default())
    }

    /// Secondary text.
    #[must_use]
    pub(crate) fn dim(self) -> Style {
        self.style(Style::new().dimmed())
    }

    /// Headings.
    #[must_use]
    pub(crate) fn bold(self) -> Style {
        self.style(Style::new().bold())
    }

    fn style(self, style: Style) -> Style {
        if self.on { style } else { Style::new() }
    }
}

/// The number of terminal columns of a text.
#[must_use]
pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// Shortens a text to `width` columns by replacing its middle with `…`. The tail keeps the larger
/// part, because the end of a path says more than its middle.
#[must_use]
pub(crate) fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let room = width.saturating_sub(1);
    let head = prefix_within(text, room / 2);
    let tail_start = text.len() - suffix_within(text, room - text[..head].width());
    Cow::Owned(if width == 0 {
        String::new()
    } else {
        format!("{}…{}", &text[..head], &text[tail_start..])
    })
}

/// Breaks a text after commas into lines of at most `width` columns, where possible. Lines after
/// the first are indented.
#[must_use]
pub(super) fn wrap(text: &str, width: Option<usize>) -> String {
    const INDENT: &str = "    ";
    let Some(width) = width.filter(|&width| width < text.width()) else {
        return text.to_owned();
    };
    let mut wrapped = String::new();
    let mut used = 0;
    for piece in text.split_inclusive(", ") {
        if used != 0 && width < used + piece.trim_end().width() {
            wrapped.truncate(wrapped.trim_end().len());
            wrapped.push('\n');
            wrapped.push_str(INDENT);
            used = INDENT.len();
        }
        wrapped.push_str(piece);
        used += piece.width();
    }
    wrapped
}

/// Breaks a text at blanks into lines of at most `width` columns. The first line starts at column
/// `before`, the others at `indent`. A word is never broken, so that URLs can be copied.
#[must_use]
pub(super) fn wrap_words(text: &str, width: Option<usize>, before: usize, indent: usize) -> String {
    let Some(width) = width.filter(|&width| width < before + text.width()) else {
        return text.to_owned();
    };
    let mut wrapped = String::new();
    let mut used = before;
    for word in text.split(' ') {
        let begins = wrapped.is_empty();
        if !begins && width < used + 1 + word.width() {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            used = indent;
        } else if !begins {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += word.width();
    }
    wrapped
}

/// Length in bytes of the longest prefix of at most `width` columns.
fn prefix_within(text: &str, width: usize) -> usize {
    let mut used = 0;
    let mut bytes = 0;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if width < used {
            break;
        }
        bytes += character.len_utf8();
    }
    bytes
}

/// Length in bytes of the longest suffix of at most `width` columns.
fn suffix_within(text: &str, width: usize) -> usize {
    let mut used = 0;
    let mut bytes = 0;
    for character in text.chars().rev() {
        used += character.width().unwrap_or(0);
        if width < used {
            break;
        }
        bytes += character.len_utf8();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_not_cut() {
        assert_eq!(fit("0817wallpaper.jpg", 17), "0817wallpaper.jpg");
    }

    #[test]
    fn the_middle_is_cut_out() {
        assert_eq!(fit("0817wallpaper-1_1600.jpg", 13), "0817wa…00.jpg");
        assert_eq!(fit("0817wallpaper-1_1600.jpg", 1), "…");
        assert_eq!(fit("0817wallpaper-1_1600.jpg", 0), "");
    }

    #[test]
    fn long_lines_break_after_commas() {
        assert_eq!(wrap("1 one, 2 two, 3 three", None), "1 one, 2 two, 3 three");
        assert_eq!(wrap("1 one, 2 two, 3 three", Some(13)), "1 one, 2 two,\n    3 three");
        assert_eq!(wrap("1 one, 2 two", Some(4)), "1 one,\n    2 two");
    }

    #[test]
    fn long_sentences_break_at_blanks() {
        assert_eq!(wrap_words("one two three", None, 0, 4), "one two three");
        assert_eq!(wrap_words("one two three", Some(13), 0, 4), "one two three");
        assert_eq!(wrap_words("one two three", Some(13), 1, 4), "one two\n    three");
        assert_eq!(
            wrap_words("one http://h/very/long two", Some(12), 0, 4),
            "one\n    http://h/very/long\n    two"
        );
    }

    #[test]
    fn wide_characters_count_twice() {
        let cut = fit("写真写真写真.jpg", 10);
        assert_eq!(cut, "写真….jpg");
        for width in 0..20 {
            assert!(width_of(&fit("写真写真a写真.jpg", width)) <= width);
        }
    }
}
