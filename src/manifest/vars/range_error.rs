//! What is wrong with a range.

/// Why a text or a mapping is not a valid range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RangeError {
    /// The ends have different types.
    #[error("it is not a range: its ends are not two numbers, two dates, or letters of one case")]
    Ends,
    /// An end or the step is empty.
    #[error("it is not a range: an end is missing")]
    Open,
    /// There is more than START..END..STEP.
    #[error("it is not a range: it has more than a start, an end and a step")]
    Parts,
    /// The step is not a number.
    #[error("the step is not a whole number")]
    Step,
    /// The step of a range of dates is not a number with a unit.
    #[error(
        "the step of dates is a number with `d`, `w`, `mo` or `y`, for times also `h` or `min`"
    )]
    DateStep,
    /// The step has hours or minutes, but no end has a time of day.
    #[error("a step of hours or minutes needs a time at an end, such as 2024-02-28T22:00")]
    TimeStep,
    /// The range would never end.
    #[error("the step is 0")]
    ZeroStep,
    /// The sign of the step contradicts the direction of the ends.
    #[error("the step leads away from the end")]
    WrongWay,
    /// The ends have leading zeros and different numbers of digits.
    #[error("its ends are padded to different widths")]
    Padding,
    /// A number of the range, or the number of its values, does not fit into 64 bits.
    #[error("it has too many values to count")]
    TooLong,
}
