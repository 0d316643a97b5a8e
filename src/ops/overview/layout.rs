//! Lays out the entries of a source as a grid: pure arithmetic over its variables.
//!
//! One variable becomes a calendar if its values are suitable dates, otherwise a strip of wrapped
//! rows. Two variables become a table. Of more variables, the two longest are the axes of a table,
//! and each combination of the others is a table of its own, or all of them share one. The number
//! of cells is bounded: in a large source, each cell stands for several entries.

use jiff::civil::{Date, DateTime};

use crate::manifest::Source;
use crate::manifest::template::Space;
use crate::manifest::vars::{Value, Values};

/// The maximum number of columns of a table.
const COLUMNS: u64 = 60;
/// The maximum number of cells of a strip; more would be too small to see.
const STRIP: u64 = 2000;
/// Possible lengths of the rows of a strip, the preferred first.
const WIDTHS: [u64; 4] = [50, 40, 30, 25];
/// The maximum number of tables for one source.
const FACETS: u64 = 12;
/// A long variable gets a strip or calendar for each combination of the others, if there are at
/// most this many combinations.
const STACKED: u64 = 6;
/// The longest calendar with a cell for each day.
const CALENDAR_DAYS: i64 = 1100;
/// A calendar of days with more weeks than this gets one table for each year.
const WEEKS: i64 = 60;
/// The longest table of hours, in days.
const HOUR_DAYS: i64 = 120;
/// The longest table of months, in years.
const YEARS: i64 = 200;
/// A variable with more values is never a calendar, to bound the memory.
const LONGEST_CALENDAR: u64 = 1_000_000;

/// The place of each entry of a source in the grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The name of each table; a single table has the empty name.
    pub(crate) facets: Vec<String>,
    /// The label of each row.
    pub(crate) rows: Vec<String>,
    /// The label of each column; empty in a strip.
    pub(crate) columns: Vec<String>,
    /// The variables that change from row to row.
    pub(crate) row_name: String,
    /// The variables that change from column to column.
    pub(crate) column_name: String,
    /// True if the columns are weeks; the first week of a month is labelled with the month.
    pub(crate) by_week: bool,
    /// The maximum number of entries in one cell.
    pub(crate) block: u64,
    place: Place,
    parts: Vec<Along>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Table { rows: Along, columns: Along },
    Strip(Along),
    Calendar { along: Along, cells: Vec<u32> },
}

/// A dimension of the space, divided into parts of `block` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Along {
    dimension: usize,
    length: u64,
    stride: u64,
    block: u64,
}

impl Along {
    fn parts(self) -> u64 {
        self.length.div_ceil(self.block)
    }

    fn value(self, position: u64) -> u64 {
        position / self.stride % self.length
    }

    fn part(self, position: u64) -> u64 {
        self.value(position) / self.block
    }

    /// Divides the dimension into at most `most` parts.
    fn within(self, most: u64) -> Self {
        Self { block: round(self.length.div_ceil(most.max(1))), ..self }
    }
}

impl Layout {
    /// The layout of a source's entries in about `most` cells.
    pub(crate) fn of(source: &Source, most: u64) -> Self {
        let space = &source.space;
        let mut dimensions: Vec<Along> = space
            .dimensions()
            .iter()
            .enumerate()
            .map(|(dimension, &(length, stride))| Along { dimension, length, stride, block: 1 })
            .filter(|along| 1 < along.length)
            .collect();
        let longest = dimensions.iter().copied().max_by_key(|along| along.length);
        let Some(longest) = longest else {
            let along = Along { dimension: 0, length: 1, stride: 1, block: 1 };
            return Self::strip(space, along, Vec::new(), most);
        };
        let total = dimensions.iter().fold(1_u64, |all, along| all.saturating_mul(along.length));
        let rest = total / longest.length;
        if dimensions.len() == 1 || rest <= STACKED && COLUMNS < longest.length {
            dimensions.retain(|along| *along != longest);
            return Self::calendar(space, longest, &dimensions, most)
                .unwrap_or_else(|| Self::strip(space, longest, dimensions, most));
        }
        Self::table(space, &dimensions, most)
    }

    fn strip(space: &Space, along: Along, parts: Vec<Along>, most: u64) -> Self {
        let facets = count(&parts);
        let along = along.within((most / facets).clamp(1, STRIP));
        let cells = along.parts();
        let waste = |width: u64| cells.div_ceil(width) * width - cells;
        let width = if cells <= WIDTHS[0] {
            cells
        } else {
            WIDTHS.into_iter().min_by_key(|&width| waste(width)).unwrap_or(WIDTHS[0])
        };
        let rows = (0..cells.div_ceil(width))
            .map(|row| label(space, along.dimension, row * width * along.block))
            .collect();
        Self {
            facets: names(space, &parts),
            rows,
            columns: (0..width).map(|_| String::new()).collect(),
            row_name: name(space, along.dimension),
            column_name: String::new(),
            by_week: false,
            block: along.block,
            place: Place::Strip(along),
            parts,
        }
    }

    fn table(space: &Space, dimensions: &[Along], most: u64) -> Self {
        let mut axes = dimensions.to_vec();
        // The axes are the two longest variables; of equal ones, the first (the sort is stable).
        axes.sort_by_key(|along| std::cmp::Reverse(along.length));
        let (mut axes, mut parts) = (axes[..2].to_vec(), axes[2..].to_vec());
        axes.sort_by_key(|along| along.dimension);
        parts.sort_by_key(|along| along.dimension);
        let columns = axes[1].within(COLUMNS);
        let summed = count(&parts);
        let is_drawn = |facets: u64| {
            facets <= FACETS
                && facets.saturating_mul(axes[0].length).saturating_mul(columns.parts()) <= most
        };
        let facets = if is_drawn(summed) { std::mem::take(&mut parts) } else { Vec::new() };
        let summed = summed / count(&facets);
        let rows = axes[0].within((most / columns.parts() / count(&facets)).clamp(1, 100));
        let labels = |along: Along| -> Vec<String> {
            (0..along.parts()).map(|part| labels_of(space, along, part)).collect()
        };
        Self {
            facets: names(space, &facets),
            rows: labels(rows),
            columns: labels(columns),
            row_name: name(space, rows.dimension),
            column_name: name(space, columns.dimension),
            by_week: false,
            block: rows.block.saturating_mul(columns.block).saturating_mul(summed),
            place: Place::Table { rows, columns },
            parts: facets,
        }
    }

    /// A calendar, or `None` if the values are not dates or are too sparse or too many for one.
    fn calendar(space: &Space, along: Along, parts: &[Along], most: u64) -> Option<Self> {
        let mut own =
            space.variables().iter().filter(|variable| variable.dimension == along.dimension);
        let variable = own.next().filter(|_| own.next().is_none())?;
        let moments = moments(&variable.values)?;
        let days: Vec<Date> = moments.iter().map(|moment| moment.date()).collect();
        let (first, last) = (*days.iter().min()?, *days.iter().max()?);
        let span = i64::from(first.until(last).ok()?.get_days()) + 1;
        let count_of = i64::try_from(moments.len()).unwrap_or(i64::MAX);
        let years = i64::from(last.year()) - i64::from(first.year()) + 1;
        let months = (years - 1) * 12 + i64::from(last.month()) - i64::from(first.month()) + 1;
        let is_timed = moments.iter().any(|moment| moment.time() != jiff::civil::Time::midnight());
        let facets = names(space, parts);
        let shape = if is_timed && span <= HOUR_DAYS && span < count_of {
            hours(&moments, first, span)
        } else if count_of <= months && 6 <= count_of && years <= YEARS && !is_timed {
            by_month(&days, first.year(), years)
        } else if count_of * 3 < span || count_of < 14 {
            return None;
        } else if span <= CALENDAR_DAYS && parts.is_empty() {
            by_week(&days, first, last)
        } else if 2 < years && years <= YEARS {
            by_month(&days, first.year(), years)
        } else {
            return None;
        };
        let Shape { years, rows, columns, cells, .. } = shape;
        let own = rows.len() * columns.len() * years.len().max(1);
        if usize::try_from(most).is_ok_and(|most| most < own * facets.len()) {
            return None;
        }
        let mut filled = vec![0_u64; own];
        for &cell in &cells {
            if let Some(count) = filled.get_mut(cell as usize) {
                *count += 1;
            }
        }
        Some(Self {
            facets: if years.is_empty() { facets } else { years },
            rows,
            columns,
            row_name: variable.name.clone(),
            column_name: shape.unit.to_owned(),
            by_week: shape.unit == "week",
            block: filled.into_iter().max().unwrap_or(1),
            place: Place::Calendar { along, cells },
            parts: parts.to_vec(),
        })
    }

    /// The number of cells of all tables.
    pub(crate) fn cells(&self) -> usize {
        self.facets.len() * self.rows.len() * self.columns.len()
    }

    /// The index of the cell of the entry at `position` in its source. Cells are numbered table by
    /// table, and row by row within a table.
    #[expect(clippy::cast_possible_truncation, reason = "the number of cells is bounded")]
    pub(crate) fn cell(&self, position: u64) -> usize {
        let facet =
            self.parts.iter().fold(0, |facet, along| facet * along.length + along.value(position));
        let size = (self.rows.len() * self.columns.len()) as u64;
        let within = match &self.place {
            Place::Table { rows, columns } => {
                rows.part(position) * columns.parts() + columns.part(position)
            }
            Place::Strip(along) => along.part(position),
            Place::Calendar { along, cells } => {
                cells.get(along.value(position) as usize).copied().map_or(0, u64::from)
            }
        };
        (facet * size + within) as usize
    }
}

/// The tables of a calendar.
struct Shape {
    /// The names of the tables if there is one for each year, otherwise empty.
    years: Vec<String>,
    rows: Vec<String>,
    columns: Vec<String>,
    unit: &'static str,
    /// The cell of each value of the variable.
    cells: Vec<u32>,
}

fn hours(moments: &[DateTime], first: Date, span: i64) -> Shape {
    let rows = (0..span).map(|day| after(first, day).to_string()).collect();
    let cell = |moment: &DateTime| {
        index(days_between(first, moment.date()) * 24 + i64::from(moment.hour()))
    };
    Shape {
        years: Vec::new(),
        rows,
        columns: (0..24).map(|hour| format!("{hour:02}")).collect(),
        unit: "hour",
        cells: moments.iter().map(cell).collect(),
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn by_month(days: &[Date], first: i16, years: i64) -> Shape {
    let cell = |day: &Date| {
        index((i64::from(day.year()) - i64::from(first)) * 12 + i64::from(day.month()) - 1)
    };
    Shape {
        years: Vec::new(),
        rows: (0..years).map(|year| (i64::from(first) + year).to_string()).collect(),
        columns: MONTHS.map(str::to_owned).to_vec(),
        unit: "month",
        cells: days.iter().map(cell).collect(),
    }
}

/// Weekdays as rows and weeks as columns: one table for up to [`WEEKS`] weeks, otherwise one for
/// each year.
fn by_week(days: &[Date], first: Date, last: Date) -> Shape {
    let monday = |date: Date| after(date, -i64::from(date.weekday().to_monday_zero_offset()));
    let single = days_between(monday(first), last) / 7 + 1;
    let is_single = single <= WEEKS;
    let years: Vec<i16> = (first.year()..=last.year()).collect();
    let begins = |year: i16| {
        if is_single { monday(first) } else { monday(jiff::civil::date(year, 1, 1)) }
    };
    // A year touches at most 54 weeks, because it may begin and end within a week.
    let weeks = if is_single { single } else { 54 };
    let mut columns: Vec<String> = vec![String::new(); usize::try_from(weeks).unwrap_or(54)];
    let begin = begins(years[0]);
    let mut begun: Vec<(usize, Date)> = Vec::new();
    for week in 0..columns.len() {
        // A week belongs to the month of its Thursday, as in ISO 8601 for years.
        let date = after(begin, i64::try_from(week).unwrap_or(0) * 7 + 3);
        let is_in = if is_single { date <= last } else { date.year() <= years[0] };
        let is_new = begun.last().is_none_or(|(_, before)| before.month() != date.month());
        if is_in && is_new {
            begun.push((week, date));
        }
    }
    let tells_year = is_single && 1 < years.len();
    // A short first month has no room for its label before the next one.
    let room = if tells_year { 4 } else { 2 };
    if let [(_, _), (second, _), ..] = begun[..]
        && second < room
    {
        begun.remove(0);
    }
    for (number, &(week, date)) in begun.iter().enumerate() {
        let name = MONTHS[usize::try_from(date.month() - 1).unwrap_or(0)];
        let with_year = tells_year && (number == 0 || date.month() == 1);
        columns[week] = if with_year { format!("{name} {}", date.year()) } else { name.to_owned() };
    }
    let cell = |day: &Date| {
        let table = if is_single { 0 } else { i64::from(day.year()) - i64::from(years[0]) };
        let passed = days_between(begins(day.year()), *day);
        index(table * weeks * 7 + passed % 7 * weeks + passed / 7)
    };
    let of_year = years.iter().map(ToString::to_string);
    let names = if is_single && 1 < years.len() { vec![String::new()] } else { of_year.collect() };
    Shape {
        rows: WEEKDAYS.map(str::to_owned).to_vec(),
        columns,
        unit: "week",
        cells: days.iter().map(cell).collect(),
        years: names,
    }
}

fn after(date: Date, days: i64) -> Date {
    date.saturating_add(jiff::SignedDuration::from_hours(days.saturating_mul(24)))
}

fn days_between(first: Date, last: Date) -> i64 {
    first.until(last).map_or(0, |span| i64::from(span.get_days()))
}

fn index(cell: i64) -> u32 {
    u32::try_from(cell).unwrap_or(0)
}

fn moments(values: &Values) -> Option<Vec<DateTime>> {
    if LONGEST_CALENDAR < values.len() {
        return None;
    }
    let moment = |value| match value {
        Value::Date(moment) => Some(moment.datetime()),
        _ => None,
    };
    values.iter().map(moment).collect()
}

/// Rounds up to the next of 1, 2, 5, 10, 20, 25, 50, 100 and so on.
fn round(least: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for factor in [10, 20, 25, 50] {
            let number = power.saturating_mul(factor) / 10;
            // Skip 2.5: the block size must be a whole number.
            if least <= number && (factor != 25 || 1 < power) {
                return number;
            }
        }
        if u64::MAX / 100 < power {
            return least;
        }
        power *= 10;
    }
}

/// The number of combinations of some dimensions.
fn count(parts: &[Along]) -> u64 {
    parts.iter().fold(1, |all: u64, along| all.saturating_mul(along.length))
}

/// The names of all combinations of some dimensions; the last dimension changes fastest.
fn names(space: &Space, parts: &[Along]) -> Vec<String> {
    let mut names = vec![String::new()];
    for along in parts {
        let own = name(space, along.dimension);
        let values: Vec<_> = (0..along.length)
            .map(|value| format!("{own} {}", label(space, along.dimension, value)))
            .collect();
        names = names
            .iter()
            .flat_map(|before| {
                let gap = if before.is_empty() { "" } else { ", " };
                values.iter().map(move |value| format!("{before}{gap}{value}"))
            })
            .collect();
    }
    names
}

/// The names of the variables along a dimension.
fn name(space: &Space, dimension: usize) -> String {
    let own = space.variables().iter().filter(|variable| variable.dimension == dimension);
    own.take(2).map(|variable| variable.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The values of the variables at a place along a dimension, or the number of the file in a source
/// without variables.
fn label(space: &Space, dimension: usize, value: u64) -> String {
    let own = space.variables().iter().filter(|variable| variable.dimension == dimension);
    let values: Vec<_> = own
        .take(2)
        .map(|variable| {
            let mut text = String::new();
            variable.values.get(value).write(&mut text);
            text
        })
        .collect();
    if values.is_empty() { (value + 1).to_string() } else { values.join(", ") }
}

/// The first and the last value of a part.
fn labels_of(space: &Space, along: Along, part: u64) -> String {
    let first = part * along.block;
    let last = (first + along.block).min(along.length) - 1;
    let from = label(space, along.dimension, first);
    if first == last { from } else { format!("{from} – {}", label(space, along.dimension, last)) }
}

#[cfg(test)]
mod tests;
