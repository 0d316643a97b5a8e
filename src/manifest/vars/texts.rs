//! A list of short strings in one buffer, without an allocation for each.

/// A list of strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    joined: String,
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &str) {
        self.joined.push_str(text);
        self.ends.push(self.joined.len());
    }

    pub(crate) fn append(&mut self, other: &Self) {
        for text in other.iter() {
            self.push(text);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Panics if `index` is not below [`Self::len`].
    pub(crate) fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.joined[start..self.ends[index]]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl<'a, T: IntoIterator<Item = &'a str>> From<T> for Texts {
    fn from(texts: T) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}
