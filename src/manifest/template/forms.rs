//! The formatted values of a source's variables, shared by all its templates.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Format, FormatError, Inserted};
use crate::manifest::vars::{Texts, Values};

/// If a variable has at most this many values, they are formatted when the template is made. That
/// saves time, since formatting dates is slow.
const RENDERED: u64 = 1 << 16;
/// Values that are formatted in advance for one source. Beyond that, they are formatted on demand:
/// thousands of overrides may have a template each.
const MOST_RENDERED: u64 = 1 << 20;

/// The formatted values of a source's variables, and what is known of the values.
#[derive(Debug)]
pub(crate) struct Forms {
    today: jiff::civil::Date,
    rendered: HashMap<Inserted, Arc<Texts>>,
    /// The number of values in `rendered`.
    count: u64,
    /// The first value of a variable without a property.
    first_without: HashMap<(usize, Property), Option<u64>>,
}

/// What a format requires of each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Property {
    IsNumber,
    IsDate,
    HasNoSlash,
}

impl Forms {
    pub(crate) fn new(today: jiff::civil::Date) -> Self {
        let (rendered, first_without) = (HashMap::new(), HashMap::new());
        Self { today, rendered, count: 0, first_without }
    }

    /// Checks that all values can be inserted. Returns them formatted, unless there are too many.
    ///
    /// # Errors
    /// The index of the first value that cannot be inserted, and why.
    pub(super) fn check(
        &mut self,
        inserted: &Inserted,
        values: &Values,
        may_have_slash: bool,
    ) -> Result<Option<Arc<Texts>>, (u64, FormatError)> {
        let variable = inserted.variable;
        let property = match inserted.format {
            Format::Plain => None,
            Format::Pad(_) => Some(Property::IsNumber),
            Format::Date(_) => Some(Property::IsDate),
        };
        let mut scratch = String::new();
        if let Some(property) = property {
            let wrong = self.first_without(variable, property, values);
            // The format itself is tested with the first value.
            let tested = wrong.unwrap_or(0);
            inserted
                .write(values.get(tested), self.today, &mut scratch)
                .map_err(|error| (tested, error))?;
        }
        if !may_have_slash
            && let Some(wrong) = self.first_without(variable, Property::HasNoSlash, values)
        {
            values.get(wrong).write(&mut scratch);
            return Err((wrong, FormatError::Slash(scratch)));
        }
        if let Some(texts) = self.rendered.get(inserted) {
            return Ok(Some(Arc::clone(texts)));
        }
        if RENDERED < values.len() || MOST_RENDERED < self.count + values.len() {
            return Ok(None);
        }
        let mut texts = Texts::default();
        for (value, index) in values.iter().zip(0..) {
            scratch.clear();
            inserted.write(value, self.today, &mut scratch).map_err(|error| (index, error))?;
            texts.push(&scratch);
        }
        self.count += values.len();
        let texts = Arc::new(texts);
        self.rendered.insert(inserted.clone(), Arc::clone(&texts));
        Ok(Some(texts))
    }

    fn first_without(
        &mut self,
        variable: usize,
        property: Property,
        values: &Values,
    ) -> Option<u64> {
        let today = self.today;
        let find = || {
            // All values of a range have one type: if the first has a property, all have it.
            let count = if values.has_texts() { values.len() } else { values.len().min(1) };
            let mut text = String::new();
            (0..count).find(|&index| {
                let value = values.get(index);
                match property {
                    Property::IsNumber => value.as_number().is_none(),
                    Property::IsDate => value.as_moment(today).is_none(),
                    Property::HasNoSlash => {
                        text.clear();
                        value.write(&mut text);
                        text.contains('/')
                    }
                }
            })
        };
        *self.first_without.entry((variable, property)).or_insert_with(find)
    }
}
