//! The syntax of templates. It knows no variables: whether a name is declared is checked later.

use super::{Case, Format};

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Constant text, with doubled braces replaced by single ones.
    Text(String),
    /// `${NAME}` or `${NAME:-default}`.
    Environment { name: String, default: Option<String>, at: usize, len: usize },
    /// `{name}`, with all its options.
    Insert(Insert),
}

/// An insertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insert {
    /// The name of a variable or a built-in.
    pub(crate) name: String,
    /// Whether reserved characters are kept (`{+name}`).
    pub(crate) reserved: bool,
    pub(crate) format: Format,
    pub(crate) case: Case,
    /// The byte offset of the opening brace in the template.
    pub(crate) at: usize,
    /// The length in bytes, including the braces.
    pub(crate) len: usize,
}

/// A syntax error; `at` and `len` are its place in the template, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) at: usize,
    pub(crate) len: usize,
}

/// The largest width for padding.
const WIDEST: usize = 64;

/// Parses a template. `${NAME}` is a reference to the environment only if `environment` is true.
pub(crate) fn parse(text: &str, environment: bool) -> Result<Vec<Piece>, SyntaxError> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = 0;
    let fail = |at: usize, len: usize, message: &str, hint: &str| {
        Err(SyntaxError { message: message.to_owned(), hint: Some(hint.to_owned()), at, len })
    };
    while let Some(character) = text[rest..].chars().next() {
        let after = &text[rest..];
        if environment && after.starts_with("${") {
            let Some(end) = after.find('}') else {
                return fail(rest, 2, "`${` is never closed", "write `${NAME}`");
            };
            let inner = &after[2..end];
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default.to_owned())),
                None => (inner, None),
            };
            if !is_name(name) {
                return fail(
                    rest,
                    end + 1,
                    "this is not a valid environment variable name",
                    "write `${NAME}` or `${NAME:-default}`",
                );
            }
            flush(&mut pieces, &mut plain);
            pieces.push(Piece::Environment {
                name: name.to_owned(),
                default,
                at: rest,
                len: end + 1,
            });
            rest += end + 1;
        } else if after.starts_with("{{") || after.starts_with("}}") {
            plain.push(character);
            rest += 2;
        } else if character == '}' {
            return fail(rest, 1, "`}` closes nothing", "a brace itself is written twice: `}}`");
        } else if character == '{' {
            let end = match after[1..].find(['{', '}']).map(|end| end + 1) {
                Some(end) if after.as_bytes()[end] == b'}' => end,
                Some(end) => {
                    return fail(
                        rest,
                        end,
                        "`{` within `{`",
                        "a brace itself is written twice: `{{`",
                    );
                }
                None => {
                    return fail(
                        rest,
                        1,
                        "`{` is never closed",
                        "a brace itself is written twice: `{{`",
                    );
                }
            };
            flush(&mut pieces, &mut plain);
            pieces.push(Piece::Insert(insert(&after[1..end], rest, end + 1)?));
            rest += end + 1;
        } else {
            plain.push(character);
            rest += character.len_utf8();
        }
    }
    flush(&mut pieces, &mut plain);
    Ok(pieces)
}

fn flush(pieces: &mut Vec<Piece>, plain: &mut String) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain)));
    }
}

fn insert(inner: &str, at: usize, len: usize) -> Result<Insert, SyntaxError> {
    let error =
        |message: String, hint: &str| SyntaxError { message, hint: Some(hint.to_owned()), at, len };
    let (reserved, inner) = match inner.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, inner),
    };
    let (inner, case) = match inner.rsplit_once('|') {
        None => (inner, Case::Kept),
        Some((inner, "lower")) => (inner, Case::Lower),
        Some((inner, "upper")) => (inner, Case::Upper),
        Some((_, other)) => {
            return Err(error(
                format!("unknown filter `{other}`"),
                "there are `|lower` and `|upper`",
            ));
        }
    };
    let (name, format) = match inner.split_once(':') {
        None => (inner, Format::Plain),
        Some((name, format)) if format.contains('%') => (name, Format::Date(format.to_owned())),
        Some((name, format)) => {
            let width = format.strip_prefix('0').filter(|digits| {
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
            match width.and_then(|digits| digits.parse().ok()) {
                Some(width) if width <= WIDEST => (name, Format::Pad(width)),
                _ => {
                    return Err(error(
                        format!("unknown format `{format}`"),
                        "`{name:03}` pads a number, `{name:%Y-%m}` formats a date",
                    ));
                }
            }
        }
    };
    if name.is_empty() {
        return Err(error(
            "there is no name between the braces".to_owned(),
            "a brace itself is written twice: `{{`",
        ));
    }
    if inner.contains(',') {
        return Err(error(
            format!("`{{{inner}}}` is not a list here"),
            "declare a variable, `vars: {x: [a, b]}`, and write `{x}`; a brace itself is written \
             twice: `{{`",
        ));
    }
    if inner.contains("..") {
        return Err(error(
            format!("`{{{inner}}}` is not a range here"),
            "declare a variable, `vars: {n: 1..26}`, and write `{n}`; a brace itself is written \
             twice: `{{`",
        ));
    }
    if !is_name(name) {
        return Err(error(
            format!("`{name}` is not a valid variable name"),
            "names have letters, digits, `_` and `-`, and begin with a letter or `_`",
        ));
    }
    Ok(Insert { name: name.to_owned(), reserved, format, case, at, len })
}

/// Whether a text is a valid variable name.
pub(crate) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| {
            character.is_ascii_alphanumeric() || character == '_' || character == '-'
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn insert_of(text: &str) -> Insert {
        match parse(text, true).unwrap().into_iter().next() {
            Some(Piece::Insert(insert)) => insert,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_form_is_parsed() {
        let insert = insert_of("{week:%m%d|upper}");
        assert_eq!(
            (insert.name.as_str(), insert.format, insert.case),
            ("week", Format::Date("%m%d".to_owned()), Case::Upper)
        );
        assert_eq!(insert_of("{n:03}").format, Format::Pad(3));
        assert!(insert_of("{+url}").reserved);
        assert_eq!(parse("a{{b}}c", true).unwrap(), [Piece::Text("a{b}c".to_owned())]);
        assert!(
            matches!(&parse("${A:-b/c}", true).unwrap()[..], [Piece::Environment { name, default: Some(default), .. }] if name == "A" && default == "b/c")
        );
        assert!(matches!(&parse("$${A}", false).unwrap()[..], [Piece::Text(_), Piece::Insert(_)]));
    }

    #[test]
    fn errors_have_their_place() {
        for (text, at) in [
            ("a{", 1),
            ("a}", 1),
            ("a{b{c}}", 1),
            ("x{}", 1),
            ("{n:3}", 0),
            ("{n|trim}", 0),
            ("{1n}", 0),
            ("ab${", 2),
            ("${1}", 0),
            ("{a b}", 0),
        ] {
            assert_eq!(parse(text, true).unwrap_err().at, at, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[{}$+:%|0-9a-z/\u{e4}-]{0,24}") {
            let _ = parse(&text, true);
            let _ = parse(&text, false);
        }

        #[test]
        fn doubled_braces_stand_for_single_ones(text in "[{}$a-z/]{0,24}") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            let pieces = parse(&doubled, false).unwrap();
            let joined: String = pieces.iter().map(|piece| match piece { Piece::Text(text) => text.as_str(), _ => "?" }).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
