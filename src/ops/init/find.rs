//! Finds patterns in a list of URLs.
//!
//! URLs that differ only in digits form a group. Digits that never vary belong to the text; digits
//! that form dates in equal steps are one variable; each other varying number is a variable of its
//! own, if every combination of the values occurs. Patterns that differ in a single word are merged
//! into one with a variable for that word ([`merged`]). URLs without a pattern are declared one by
//! one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;

use super::merge::merged;
use super::numbers::{date_range, ranges};
use super::pattern::{Pattern, Piece, Value, Values, free_name};
use super::{Files, Given};

/// A group is split into at most this many patterns.
const MOST_CLASSES: usize = 8;
/// A list of names ([`name_lists`]) has at least this many names.
const LEAST_NAMES: usize = 3;

/// Splits files into sources: one for each pattern, and one for the files without a pattern.
pub(super) fn find(files: &[Given]) -> Vec<Files> {
    let mut groups: BTreeMap<String, (usize, Vec<Row>)> = BTreeMap::new();
    let mut rest: Vec<usize> = Vec::new();
    for (position, given) in files.iter().enumerate() {
        if !given.is_plain() {
            rest.push(position);
            continue;
        }
        let (skeleton, digits) = split(&given.url);
        let group = groups.entry(skeleton).or_insert_with(|| (position, Vec::new()));
        group.1.push(Row { position, digits });
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    // Sources keep the order of the first URL of each group.
    groups.sort_by_key(|(_, (first, _))| *first);
    let mut found: Vec<(usize, Pattern)> = Vec::new();
    for (skeleton, (first, rows)) in groups {
        match patterns_of(&skeleton, &rows, files) {
            Some(patterns) => found.extend(patterns.into_iter().map(|pattern| (first, pattern))),
            None => rest.extend(rows.iter().map(|row| row.position)),
        }
    }
    rest.sort_unstable();
    let named = name_lists(files, &mut rest);
    found.extend(named);
    let found = merged(found);
    // A pattern without variables is a single URL; list it with the other files.
    let (patterns, single): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, pattern)| !pattern.variables.is_empty());
    let mut sources: Vec<Files> =
        patterns.into_iter().map(|(_, pattern)| Files::Pattern(pattern)).collect();
    let mut left: Vec<Given> = rest.into_iter().map(|position| files[position].clone()).collect();
    left.extend(single.iter().map(|(_, pattern)| Given::of(pattern.first())));
    match &left[..] {
        [] => {}
        [only] if only.is_plain() => {
            sources.push(Files::Pattern(Pattern::of_url(only.url.clone())));
        }
        _ => sources.push(Files::Listed(left)),
    }
    sources
}

/// One URL of a group.
struct Row {
    /// The index of the file in the input.
    position: usize,
    /// The byte ranges of its digits.
    digits: Vec<(usize, usize)>,
}

/// Replaces a run of digits in a skeleton. A URL never contains NUL.
const DIGITS: char = '\0';

/// Replaces each run of digits in a URL by [`DIGITS`] and returns the byte ranges of the runs.
/// Digits in the authority (host and port) stay.
fn split(url: &str) -> (String, Vec<(usize, usize)>) {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let path = url[authority..].find('/').map_or(url.len(), |slash| authority + slash);
    let mut skeleton = url[..path].to_owned();
    let mut digits = Vec::new();
    let bytes = url.as_bytes();
    let mut at = path;
    while at < url.len() {
        let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        // The digits of a percent-encoded byte such as `%20` are not a number.
        let is_encoded = 1 <= at && bytes[at - 1] == b'%'
            || 2 <= at && bytes[at - 2] == b'%' && bytes[at - 1].is_ascii_hexdigit();
        if run == 0 || is_encoded {
            let next = url[at..].chars().next().map_or(1, char::len_utf8);
            skeleton.push_str(&url[at..at + next]);
            at += next;
        } else {
            skeleton.push(DIGITS);
            digits.push((at, at + run));
            at += run;
        }
    }
    (skeleton, digits)
}

/// A part of the URLs that may vary within a group: one run of digits, or a date of several runs.
struct Column<'a> {
    /// One value for each row; of a date, its first run of digits.
    values: Vec<&'a str>,
    /// The index of its first run of digits.
    place: usize,
    /// The number of runs of digits.
    span: usize,
    /// The range, the strftime format and the number of distinct dates.
    date: Option<(Value, &'static str, usize)>,
}

/// The patterns of a group, or `None` if the group has none.
fn patterns_of(skeleton: &str, rows: &[Row], files: &[Given]) -> Option<Vec<Pattern>> {
    let texts: Vec<&str> = skeleton.split(DIGITS).collect();
    let value = |row: &Row, place: usize| {
        let (start, end) = row.digits[place];
        &files[row.position].url[start..end]
    };
    if rows.len() == 1 {
        let url = files[rows[0].position].url.clone();
        return Some(vec![Pattern::of_url(url)]);
    }
    let mut columns: Vec<Column<'_>> = Vec::new();
    let places = texts.len() - 1;
    let mut place = 0;
    while place < places {
        let all = |place: usize| rows.iter().map(|row| value(row, place)).collect::<Vec<_>>();
        let (span, date) = dates_at(&texts, place, places, &all);
        columns.push(Column { values: all(place), place, span, date });
        place += span;
    }
    let all_rows: Vec<usize> = (0..rows.len()).collect();
    let mut patterns = Vec::new();
    collect(&texts, &columns, &all_rows, MOST_CLASSES, &mut patterns)?;
    Some(patterns)
}

/// Tries to read a date from the runs of digits that start at `place`. Returns the number of runs
/// that the column takes, and the date column if there is one.
fn dates_at<'a>(
    texts: &[&str],
    place: usize,
    places: usize,
    all: &dyn Fn(usize) -> Vec<&'a str>,
) -> (usize, Option<(Value, &'static str, usize)>) {
    let first = all(place);
    let has_digits = |values: &[&str], count: usize| values.iter().all(|text| text.len() == count);
    let between = |place: usize| texts[place + 1];
    let range = |dates: Option<Vec<Date>>, monthly: bool| {
        let dates = dates?;
        let distinct: BTreeSet<_> = dates.iter().copied().collect();
        let is_recent = distinct.iter().all(|date| (1900..2200).contains(&date.year()));
        let value = date_range(&dates, monthly).filter(|_| is_recent)?;
        Some((value, distinct.len()))
    };
    let parse = |year: &str, month: &str, day: &str| -> Option<Date> {
        Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
    };
    if has_digits(&first, 8) {
        let dates = first.iter().map(|text| parse(&text[..4], &text[4..6], &text[6..])).collect();
        if let Some((value, count)) = range(dates, false) {
            return (1, Some((value, "%Y%m%d", count)));
        }
    }
    if !has_digits(&first, 4) || places <= place + 1 {
        return (1, None);
    }
    let months = all(place + 1);
    let separator = between(place);
    if !has_digits(&months, 2) || !["-", "_", ".", "/"].contains(&separator) {
        return (1, None);
    }
    if place + 2 < places && between(place + 1) == separator {
        let days = all(place + 2);
        if has_digits(&days, 2) {
            let dates = (0..first.len()).map(|row| parse(first[row], months[row], days[row]));
            if let Some((value, count)) = range(dates.collect(), false) {
                let format = match separator {
                    "-" => "%Y-%m-%d",
                    "_" => "%Y_%m_%d",
                    "." => "%Y.%m.%d",
                    _ => "%Y/%m/%d",
                };
                return (3, Some((value, format, count)));
            }
        }
    }
    let dates = (0..first.len()).map(|row| parse(first[row], months[row], "1"));
    if let Some((value, count)) = range(dates.collect(), true) {
        let format = match separator {
            "-" => "%Y-%m",
            "_" => "%Y_%m",
            "." => "%Y.%m",
            _ => "%Y/%m",
        };
        return (2, Some((value, format, count)));
    }
    (1, None)
}

/// Adds the patterns of some rows of a group to `into`: one pattern if every combination of values
/// occurs, otherwise one for each class of rows. `None` if that takes too many patterns.
fn collect(
    texts: &[&str],
    columns: &[Column<'_>],
    rows: &[usize],
    most: usize,
    into: &mut Vec<Pattern>,
) -> Option<()> {
    let distinct: Vec<Vec<&str>> = columns
        .iter()
        .map(|column| {
            rows.iter()
                .map(|&row| column.values[row])
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect()
        })
        .collect();
    // A column that always equals an earlier column uses the variable of that column.
    let same_as: Vec<usize> = (0..columns.len())
        .map(|at| {
            let same = |other: &usize| {
                rows.iter().all(|&row| columns[*other].values[row] == columns[at].values[row])
            };
            let may_be = columns[at].date.is_none() && 1 < distinct[at].len();
            (0..at)
                .filter(|&other| may_be && columns[other].date.is_none())
                .find(same)
                .unwrap_or(at)
        })
        .collect();
    let size = |at: usize| match &columns[at].date {
        Some((_, _, count)) if rows.len() == columns[at].values.len() => *count,
        _ => distinct[at].len(),
    };
    let own: Vec<usize> =
        (0..columns.len()).filter(|&at| same_as[at] == at && 1 < size(at)).collect();
    let product = own.iter().try_fold(1usize, |product, &at| product.checked_mul(size(at)));
    // The URLs are distinct: if there are as many rows as combinations, all combinations occur.
    if product == Some(rows.len()) {
        into.push(make(texts, columns, rows, &distinct, &same_as, &own));
        return (into.len() <= MOST_CLASSES).then_some(());
    }
    // Classes are not tried with dates, or with a single variable: such a group has no pattern.
    if own.iter().any(|&at| columns[at].date.is_some()) || own.len() < 2 {
        return None;
    }
    let by = own.iter().copied().min_by_key(|&at| distinct[at].len())?;
    // Group the values of the column `by`: two values belong to one class if the same combinations
    // of the other columns occur with both.
    let mut others: BTreeMap<&str, BTreeSet<Vec<&str>>> = BTreeMap::new();
    for &row in rows {
        let rest = own.iter().filter(|&&at| at != by).map(|&at| columns[at].values[row]).collect();
        others.entry(columns[by].values[row]).or_default().insert(rest);
    }
    let mut classes: BTreeMap<&BTreeSet<Vec<&str>>, BTreeSet<&str>> = BTreeMap::new();
    for (value, rest) in &others {
        classes.entry(rest).or_default().insert(value);
    }
    if classes.len() < 2 || most < classes.len() {
        return None;
    }
    let mut classes: Vec<_> = classes.into_values().collect();
    classes.sort_by_key(|values| values.iter().next().copied());
    let most = most / classes.len();
    for values in classes {
        let class: Vec<usize> =
            rows.iter().copied().filter(|&row| values.contains(columns[by].values[row])).collect();
        collect(texts, columns, &class, most, into)?;
    }
    Some(())
}

fn make(
    texts: &[&str],
    columns: &[Column<'_>],
    rows: &[usize],
    distinct: &[Vec<&str>],
    same_as: &[usize],
    own: &[usize],
) -> Pattern {
    let mut variables: Vec<(String, Values)> = Vec::new();
    let mut index_of: HashMap<usize, usize> = HashMap::new();
    for &at in own {
        let (stem, values) = match &columns[at].date {
            Some((value, format, _)) => {
                (if format.contains("%d") { "date" } else { "month" }, vec![value.clone()])
            }
            None => ("n", ranges(&distinct[at])),
        };
        let name = free_name(stem, variables.iter().map(|(name, _)| name.as_str()));
        index_of.insert(at, variables.len());
        variables.push((name, values));
    }
    let mut pieces = Vec::new();
    let mut plain = texts[0].to_owned();
    for (at, column) in columns.iter().enumerate() {
        match index_of.get(&same_as[at]) {
            Some(&index) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                let format = column.date.as_ref().map(|(_, format, _)| *format);
                pieces.push(Piece::Variable { index, format, reserved: false });
            }
            // All rows have the same digits here: they are part of the text.
            None => {
                plain.push_str(column.values[rows[0]]);
                for place in 1..column.span {
                    plain.push_str(texts[column.place + place]);
                }
            }
        }
        plain.push_str(texts[column.place + column.span]);
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Pattern { pieces, variables }
}

/// Finds files that share a folder and an extension; each such set becomes a pattern with a list of
/// names. The files found are removed from `rest`.
fn name_lists(files: &[Given], rest: &mut Vec<usize>) -> Vec<(usize, Pattern)> {
    let is_plain = |text: &str| {
        !text.is_empty()
            && !text.contains("..")
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let parts = |url: &str| -> Option<(String, String, String)> {
        let (folder, name) = url
            .rsplit_once('/')
            .filter(|(folder, _)| folder.contains("://") && !folder.ends_with('/'))?;
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        (is_plain(stem) && (ending.is_empty() || is_plain(ending))).then(|| {
            (
                format!("{folder}/"),
                stem.to_owned(),
                if ending.is_empty() { String::new() } else { format!(".{ending}") },
            )
        })
    };
    let mut folders: BTreeMap<(String, String), Vec<(usize, String)>> = BTreeMap::new();
    for &position in rest.iter().filter(|&&position| files[position].is_plain()) {
        if let Some((folder, stem, ending)) = parts(&files[position].url) {
            folders.entry((folder, ending)).or_default().push((position, stem));
        }
    }
    let mut found = Vec::new();
    let mut taken = BTreeSet::new();
    for ((folder, ending), names) in folders {
        if names.len() < LEAST_NAMES {
            continue;
        }
        taken.extend(names.iter().map(|(position, _)| *position));
        let first = names[0].0;
        let values: Values = names.into_iter().map(|(_, stem)| Value::Text(stem)).collect();
        let mut pieces = vec![Piece::Text(folder), Piece::variable(0, &values)];
        if !ending.is_empty() {
            pieces.push(Piece::Text(ending));
        }
        found.push((first, Pattern { pieces, variables: vec![("name".to_owned(), values)] }));
    }
    rest.retain(|position| !taken.contains(position));
    found
}
