//! The shapes that values of a manifest have, for the schema that editors read.
//!
//! A value is read from its text as it was written, so that a shape allows every way in which YAML can write it.

/// The least and the most of a number.
pub(super) type Bounds = (u64, u64);

/// The keys of a mapping.
pub(super) type Table = &'static [Field];

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
    /// What its value looks like.
    pub(super) shape: Shape,
    /// What holds without it, as it would be written.
    pub(super) default: Option<&'static str>,
    /// A value as people write it.
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
    /// A single value, taken as it is written.
    Text,
    /// A path, maybe with insertions.
    Template,
    /// A URL, maybe with insertions.
    Url,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of an algorithm of digests.
    Algorithm,
    /// `true` or `false`.
    Flag,
    /// `true`, `false` or a path.
    FlagOrPath,
    /// A whole number within bounds.
    Number(Bounds),
    /// A whole number within bounds, or a word.
    NumberOr(Bounds, &'static str),
    /// A number above 0.
    Rate,
    /// A length of time, or one of these words.
    Duration(&'static [&'static str]),
    /// A number of bytes.
    Size,
    /// A number, or a share in percent.
    Quota,
    /// So many hexadecimal digits.
    Digest(usize),
    /// A media type.
    MediaType,
    /// A kind of content.
    Kind,
    /// One of a shape, or a list of them.
    OneOrMore(&'static Shape),
    /// A list of at least one.
    List(&'static Shape),
    /// A mapping with known keys.
    Mapping(&'static Mapping),
    /// Header fields with their values.
    Headers,
    /// Variables with their values.
    Variables,
    /// Variables with the values that are meant.
    Choice,
    /// A list of mappings of columns to cells, or a CSV file.
    Rows,
}

/// A mapping with known keys.
#[derive(Debug)]
pub(super) struct Mapping {
    /// What it is called in the schema.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
    /// Its keys.
    pub(super) table: Table,
    /// Keys that it must have.
    pub(super) required: &'static [&'static str],
    /// Keys of which it must have exactly one.
    pub(super) one_of: &'static [&'static str],
    /// Which keys go together, as keywords of JSON Schema.
    pub(super) rules: &'static [(&'static str, &'static str)],
}
