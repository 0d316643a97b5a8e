//! The types of which `tables` is made: keys, and the shapes that their values can have.
//!
//! The schema is generated from shapes; the reader has code for each key instead. The reader takes
//! a scalar as the text that was written, so a shape stands for every YAML type of such a text.

/// The smallest and the largest allowed number.
pub(super) type Bounds = (u64, u64);

/// The keys of a mapping.
pub(super) type Table = &'static [Field];

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// Its description, as a fragment. The schema makes a sentence of it.
    pub(super) about: &'static str,
    pub(super) shape: Shape,
    /// The value that applies if the key is absent, as it would be written in a manifest.
    pub(super) default: Option<&'static str>,
    /// A typical value, as it would be written in a manifest.
    pub(super) example: Option<&'static str>,
}

impl Field {
    pub(super) const fn new(name: &'static str, about: &'static str, shape: Shape) -> Self {
        Self { name, about, shape, default: None, example: None }
    }

    pub(super) const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn such_as(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Any scalar.
    Text,
    /// A path, which may have insertions such as `{n}`.
    Template,
    /// A URL, which may have insertions such as `{n}`.
    Url,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a digest algorithm.
    Algorithm,
    /// `true` or `false`.
    Flag,
    /// `true`, `false` or a path.
    FlagOrPath,
    /// The same, or a mapping with known keys.
    FlagOrPathOr(&'static Mapping),
    /// A whole number within bounds.
    Number(Bounds),
    /// A whole number within bounds, or a word.
    NumberOr(Bounds, &'static str),
    /// A number above 0.
    Rate,
    /// A duration, or one of these words.
    Duration(&'static [&'static str]),
    /// A number of bytes.
    Size,
    /// An absolute number, or a percentage.
    Quota,
    /// This number of hexadecimal digits.
    Digest(usize),
    /// A media type.
    MediaType,
    /// The name of a file format.
    Kind,
    /// One value of a shape, or a list of such values.
    OneOrMore(&'static Shape),
    /// A list that is not empty.
    List(&'static Shape),
    /// A mapping with known keys.
    Mapping(&'static Mapping),
    /// Header fields with their values.
    Headers,
    /// Variables with their values.
    Variables,
    /// A condition: variables with the values that match.
    Choice,
    /// A list of mappings of columns to cells, or a CSV file.
    Rows,
}

/// A mapping with known keys.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Its name in `$defs` of the schema.
    pub(super) name: &'static str,
    /// Its description in the schema, as a sentence.
    pub(super) about: &'static str,
    pub(super) table: Table,
    /// Keys that it must have.
    pub(super) required: &'static [&'static str],
    /// If not empty: exactly one of these keys must be present.
    pub(super) one_of: &'static [&'static str],
    /// Which keys require or exclude each other, as JSON Schema keywords with their values.
    pub(super) rules: &'static [(&'static str, &'static str)],
}
