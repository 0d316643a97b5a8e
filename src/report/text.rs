//! Colour, and text that fits a number of terminal columns.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Styles for one stream: real ones where it shows colour, else ones that print nothing. A style is
/// never the only sign of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colour, or none.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether there is colour.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.on
    }

    /// For what went wrong.
    #[must_use]
    pub fn error(self) -> Style {
        self.style(AnsiColor::Red.on_default().bold())
    }

    /// For what deserves a look.
    #[must_use]
    pub fn warning(self) -> Style {
        self.style(AnsiColor::Yellow.on_default().bold())
    }

    /// For what is added.
    #[must_use]
    pub fn added(self) -> Style {
        self.style(AnsiColor::Green.on_default())
    }

    /// For what is exchanged.
    #[must_use]
    pub fn changed(self) -> Style {
        self.style(AnsiColor::Yellow.on_default())
    }

    /// For what is asked about, and for hints.
    #[must_use]
    pub fn note(self) -> Style {
        self.style(AnsiColor::Cyan.on_default())
    }

    /// For what goes on behind.
    #[must_use]
    pub fn dim(self) -> Style {
        self.style(Style::new().dimmed())
    }

    /// For headings.
    #[must_use]
    pub fn bold(self) -> Style {
        self.style(Style::new().bold())
    }

    fn style(self, style: Style) -> Style {
        if self.on { style } else { Style::new() }
    }
}

/// How many terminal columns a text takes.
#[must_use]
pub fn width_of(text: &str) -> usize {
    text.width()
}

/// The text in at most `width` columns: what does not fit is cut out of its middle, where `…` stands
/// then. The end of a path tells more than its middle, so the tail keeps the larger part.
#[must_use]
pub fn fit(text: &str, width: usize) -> Cow<'_, str> {
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

/// The text with a new line after a comma wherever a line would be longer than `width`; lines after
/// the first are indented.
#[must_use]
pub fn wrap(text: &str, width: Option<usize>) -> String {
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

/// The text with a new line at a blank wherever a line would be longer than `width`; `before` columns stand before the
/// first, and `indent` before the others. A word is never cut, so that URLs can be copied.
#[must_use]
pub fn wrap_words(text: &str, width: Option<usize>, before: usize, indent: usize) -> String {
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

/// Bytes of the longest beginning that takes at most `width` columns.
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

/// Bytes of the longest end that takes at most `width` columns.
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
    fn what_fits_stays_whole() {
        assert_eq!(fit("0817wallpaper.jpg", 17), "0817wallpaper.jpg");
    }

    #[test]
    fn the_middle_gives_way() {
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
