//! Templates of URLs and paths: parsed once, rendered many times into the caller's buffer.
//!
//! `{name}` inserts a value. In a URL the value is percent-encoded as in RFC 6570, section 3.2;
//! `{+name}` keeps reserved characters. In a path the value is inserted unchanged.

mod builtin;
mod encode;
mod exceptions;
mod forms;
mod parse;
mod space;

pub(crate) use builtin::{Builtin, UrlParts};
pub(crate) use encode::{encode_literal, remove_user};
pub(crate) use exceptions::{Condition, Effect, Effects, Exceptions, MOST_STEPS};
pub(crate) use forms::Forms;
pub(crate) use parse::{Insert, Piece, SyntaxError, is_name, parse};
pub(crate) use space::{Space, Variable};

use std::sync::Arc;

use encode::{encode, mask_password};

use crate::manifest::vars::{Texts, Value, is_impossible_date};

/// What ends the path of a URL.
const QUERY: [char; 2] = ['?', '#'];

/// Where a template is used, which determines the encoding of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// The declared URL, or an alternate. `index` is the only built-in here: the others are parts
    /// of the URL.
    Url,
    /// A mirror or a checksum list, whose built-ins are parts of the declared URL.
    Mirror,
    /// A path.
    Path,
}

/// The form of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it may be printed and stored: a value from the environment is shown as `${NAME}`, a
    /// password as `***`.
    Shown,
    /// As it is requested, with all secrets.
    Sent,
    /// What two URLs of the same file have in common: as it is requested, but without a user and a
    /// password, and with `${NAME}` for each value from the environment that stands in the query,
    /// where it is a credential. It may hold secrets, so it is compared and never printed or stored.
    Identity,
}

/// A template that is bound to the variables of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    parts: Vec<Part>,
    /// Whether a rendered URL may contain a user or a password.
    may_hold_user: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Text { sent: String, shown: Option<String> },
    Value(Inserted),
    Rendered { variable: usize, texts: Arc<Texts> },
    Builtin { builtin: Builtin, how: How },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Inserted {
    variable: usize,
    format: Format,
    how: How,
}

/// How a text is changed before it is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct How {
    case: Case,
    encoding: Encoding,
}

/// The part of an insertion after the colon.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// The value's own form.
    Plain,
    /// A number, padded with zeros to at least this many digits.
    Pad(usize),
    /// A date in a strftime format.
    Date(String),
}

/// The part of an insertion after the bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Case {
    Kept,
    Lower,
    Upper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Encoding {
    /// Unchanged.
    None,
    /// All characters except unreserved ones (RFC 3986, section 2.3) are encoded.
    Simple,
    /// As `Simple`, but slashes are kept.
    Slashes,
    /// Reserved characters (RFC 3986, section 2.2) are kept, too.
    Reserved,
}

/// Why a value cannot be inserted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    /// The value is to be padded, but is not a number.
    #[error("`{0}` is not a whole number, so it cannot be padded")]
    NoNumber(String),
    /// The value has a date format, but is not a date.
    #[error("`{0}` is not a date")]
    NoDate(String),
    /// The value has a date format, and is written like a date.
    #[error("the date `{0}` does not exist")]
    ImpossibleDate(String),
    /// The date format is invalid, or needs more than a date and a time of day.
    #[error("`{0}` is not a date format that can be used here")]
    BadFormat(String),
    /// The value would add a folder to the path.
    #[error("`{0}` has a slash")]
    Slash(String),
}

impl Template {
    /// Adds a constant text. `shown` replaces it in [`Form::Shown`].
    pub(crate) fn push_text(&mut self, sent: &str, shown: Option<&str>) {
        self.may_hold_user |= sent.contains('@') || shown.is_some();
        if let (Some(Part::Text { sent: before, shown: None }), None) =
            (self.parts.last_mut(), shown)
        {
            before.push_str(sent);
            return;
        }
        self.parts.push(Part::Text { sent: sent.to_owned(), shown: shown.map(str::to_owned) });
    }

    /// Adds the value of a variable.
    ///
    /// # Errors
    /// When one of its values cannot be formatted as `insert` says: the index of the value, and why.
    pub(crate) fn push_value(
        &mut self,
        space: &Space,
        variable: usize,
        insert: &Insert,
        place: Use,
        forms: &mut Forms,
    ) -> Result<(), (u64, FormatError)> {
        let encoding = match place {
            Use::Path => Encoding::None,
            _ if insert.reserved => Encoding::Reserved,
            _ if matches!(insert.format, Format::Date(_)) => Encoding::Slashes,
            _ => Encoding::Simple,
        };
        let how = How { case: insert.case, encoding };
        let inserted = Inserted { variable, format: insert.format.clone(), how };
        let may_have_slash =
            place != Use::Path || insert.reserved || matches!(insert.format, Format::Date(_));
        let values = &space.variable(variable).values;
        let texts = forms.check(&inserted, values, may_have_slash)?;
        self.parts.push(match texts {
            Some(texts) => Part::Rendered { variable, texts },
            None => Part::Value(inserted),
        });
        Ok(())
    }

    pub(crate) fn push_builtin(&mut self, builtin: Builtin, insert: &Insert, place: Use) {
        let encoding = match place {
            Use::Path => Encoding::None,
            _ if insert.reserved => Encoding::Reserved,
            _ => Encoding::Simple,
        };
        self.parts.push(Part::Builtin { builtin, how: How { case: insert.case, encoding } });
    }

    /// Whether [`Self::render`] needs the entry's URL.
    pub(crate) fn needs_url(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Builtin { builtin, .. } if *builtin != Builtin::Index))
    }

    /// Whether it renders to the same text for every entry.
    pub(crate) fn is_constant(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text { .. }))
    }

    /// Whether it inserts the file name of the URL, or a part of that.
    pub(crate) fn uses_filename(&self) -> bool {
        let names = [Builtin::Filename, Builtin::Stem, Builtin::Ext];
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Builtin { builtin, .. } if names.contains(builtin)))
    }

    /// The constant text with which it begins, which may be empty.
    pub(crate) fn literal_start(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text { sent, .. }) => sent,
            _ => "",
        }
    }

    /// As [`Self::literal_start`], in the form that may be printed.
    pub(crate) fn shown_start(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text { sent, shown }) => shown.as_deref().unwrap_or(sent),
            _ => "",
        }
    }

    /// Whether its two forms may differ.
    pub(crate) fn has_secrets(&self) -> bool {
        self.may_hold_user
    }

    /// Appends the text for the entry at a position of the space. `url` is the entry's URL in the
    /// same form, required if [`Self::needs_url`].
    #[expect(clippy::cast_possible_truncation, reason = "rendered values are in memory")]
    pub(crate) fn render(
        &self,
        space: &Space,
        position: u64,
        form: Form,
        url: Option<&UrlParts<'_>>,
        today: jiff::civil::Date,
        into: &mut String,
    ) {
        let start = into.len();
        for part in &self.parts {
            match part {
                Part::Text { sent, shown } => into.push_str(match (form, shown) {
                    (Form::Shown, Some(shown)) => shown,
                    (Form::Identity, Some(shown))
                        if sent.starts_with(QUERY) || into[start..].contains(QUERY) =>
                    {
                        shown
                    }
                    _ => sent,
                }),
                Part::Rendered { variable, texts } => {
                    into.push_str(texts.get(space.index_of(*variable, position) as usize));
                }
                Part::Value(inserted) => {
                    let value = space.value(inserted.variable, position);
                    // `push_value` has checked that it can be formatted.
                    let _ = inserted.write(value, today, into);
                }
                Part::Builtin { builtin, how } => {
                    builtin.write(position, url, |text| how.write(text, into));
                }
            }
        }
        match form {
            Form::Shown if self.may_hold_user => mask_password(into, start),
            Form::Identity if self.may_hold_user => remove_user(into, start),
            _ => {}
        }
    }
}

impl Inserted {
    fn write(
        &self,
        value: Value<'_>,
        today: jiff::civil::Date,
        into: &mut String,
    ) -> Result<(), FormatError> {
        let text = |value: Value<'_>| {
            let mut text = String::new();
            value.write(&mut text);
            text
        };
        match &self.format {
            Format::Plain => match value {
                Value::Text(text) => self.how.write(text, into),
                // Digits and letters are never encoded.
                Value::Number { .. } => value.write(into),
                Value::Letters { .. } if self.how.case == Case::Kept => value.write(into),
                _ => self.how.write(&text(value), into),
            },
            Format::Pad(width) => {
                let number = value.as_number().ok_or_else(|| FormatError::NoNumber(text(value)))?;
                Value::Number { value: number, width: *width }.write(into);
            }
            Format::Date(format) => {
                let moment = value.as_moment(today).ok_or_else(|| match text(value) {
                    text if is_impossible_date(&text, today) => FormatError::ImpossibleDate(text),
                    text => FormatError::NoDate(text),
                })?;
                let formatted = jiff::fmt::strtime::format(format, moment.datetime())
                    .map_err(|_| FormatError::BadFormat(format.clone()))?;
                self.how.write(&formatted, into);
            }
        }
        Ok(())
    }
}

impl How {
    fn write(self, text: &str, into: &mut String) {
        match self.case {
            Case::Kept => encode(text, self.encoding, into),
            Case::Lower => encode(&text.to_lowercase(), self.encoding, into),
            Case::Upper => encode(&text.to_uppercase(), self.encoding, into),
        }
    }
}
