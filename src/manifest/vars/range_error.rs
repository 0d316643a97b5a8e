//! What is wrong with a range.

/// Why a text is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RangeError {
    /// The ends are not two of a kind.
    #[error("it is no range: its ends are not two numbers, two dates, or letters of one case")]
    Ends,
    /// An end is wanting.
    #[error("it is no range: an end is wanting")]
    Open,
    /// More than START..END..STEP.
    #[error("it is no range: it has more than a start, an end and a step")]
    Parts,
    /// The step is no number.
    #[error("the step is no whole number")]
    Step,
    /// The step of dates has no unit.
    #[error(
        "the step of dates is a number with `d`, `w`, `mo` or `y`, for times also `h` or `min`"
    )]
    DateStep,
    /// Hours between dates without a time.
    #[error("a step of hours or minutes needs a time at an end, such as 2024-02-28T22:00")]
    TimeStep,
    /// It would never end.
    #[error("the step is 0")]
    ZeroStep,
    /// It leads away from the end.
    #[error("the step leads away from the end")]
    WrongWay,
    /// The ends want different numbers of digits.
    #[error("its ends are padded to different widths")]
    Padding,
    /// It cannot be counted.
    #[error("it has too many values to count")]
    TooLong,
}
