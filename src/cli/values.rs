//! Words of the command line for types of other rooms, which know nothing of clap.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::ops::init::Format;
use crate::report::When;

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Urls, Self::Aria2, Self::Metalink, Self::Sums, Self::Pooch]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Urls => PossibleValue::new("urls").help("One URL per line"),
            Self::Aria2 => PossibleValue::new("aria2").help("An input file of aria2c"),
            Self::Metalink => PossibleValue::new("metalink").help("A Metalink document (RFC 5854)"),
            Self::Sums => PossibleValue::new("sums").help("A checksum list, such as SHA256SUMS"),
            Self::Pooch => PossibleValue::new("pooch").help("A registry of pooch"),
        })
    }
}

impl ValueEnum for When {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Always, Self::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Auto => PossibleValue::new("auto").help("Only on a terminal"),
            Self::Always => PossibleValue::new("always").help("Also without a terminal"),
            Self::Never => PossibleValue::new("never").help("Never"),
        })
    }
}
