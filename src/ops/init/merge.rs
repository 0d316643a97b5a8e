//! Merges patterns that differ in a single word into one pattern with a variable for that word.

use std::collections::{BTreeSet, HashMap};

use super::pattern::{Pattern, Piece, Value, Values, free_name};

/// More patterns than this are left unmerged, because merging takes quadratic time.
const MOST_COMPARED: usize = 2000;

/// What mergeable patterns share: all words but one, the variables, and the index of the odd word.
type Alike = (Vec<Word>, Vec<(String, Values)>, usize);

/// Merges patterns until no two of them differ in a single word. Each pattern comes with the
/// position of its first URL in the input; the result keeps that order.
pub(super) fn merged(mut patterns: Vec<(usize, Pattern)>) -> Vec<(usize, Pattern)> {
    if MOST_COMPARED < patterns.len() {
        return patterns;
    }
    loop {
        // Map each pattern, with one word removed, to the patterns that are then equal.
        let mut alike: HashMap<Alike, Vec<usize>> = HashMap::new();
        for (at, (_, pattern)) in patterns.iter().enumerate() {
            let words = words(pattern);
            for hole in 0..words.len() {
                if !matches!(&words[hole], Word::Text(text) if text.starts_with(char::is_alphanumeric))
                {
                    continue;
                }
                let mut others = words.clone();
                others.remove(hole);
                alike.entry((others, pattern.variables.clone(), hole)).or_default().push(at);
            }
        }
        let best = alike.into_iter().filter(|(_, members)| 2 <= members.len()).max_by_key(
            |((_, _, hole), members)| (members.len(), std::cmp::Reverse(members[0]), *hole),
        );
        let Some(((_, _, hole), members)) = best else {
            return patterns;
        };
        let one = merge(&members.iter().map(|&at| &patterns[at].1).collect::<Vec<_>>(), hole);
        let first = patterns[members[0]].0;
        let gone: BTreeSet<usize> = members.into_iter().collect();
        let mut kept: Vec<_> = patterns
            .into_iter()
            .enumerate()
            .filter(|(at, _)| !gone.contains(at))
            .map(|(_, pattern)| pattern)
            .collect();
        let place = kept.partition_point(|(other, _)| *other < first);
        kept.insert(place, (first, one));
        patterns = kept;
    }
}

/// A piece of a pattern; texts are split into words and the separators between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Word {
    /// The URL up to its path, a word, or a separator.
    Text(String),
    Variable(Piece),
}

fn words(pattern: &Pattern) -> Vec<Word> {
    let mut words = Vec::new();
    for (number, piece) in pattern.pieces.iter().enumerate() {
        let Piece::Text(text) = piece else {
            words.push(Word::Variable(piece.clone()));
            continue;
        };
        let mut rest = text.as_str();
        if number == 0 {
            // The colon marks scheme and host as a separator, so that they are never merged.
            let authority = text.find("://").map_or(0, |scheme| scheme + 3);
            let end = text[authority..].find('/').map_or(text.len(), |slash| authority + slash);
            words.push(Word::Text(format!(":{}", &text[..end])));
            rest = &text[end..];
        }
        while let Some(first) = rest.chars().next() {
            let is_word = first.is_ascii_alphanumeric();
            let end =
                rest.find(|c: char| c.is_ascii_alphanumeric() != is_word).unwrap_or(rest.len());
            words.push(Word::Text(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    words
}

/// Merges patterns that differ in the word at `hole`.
fn merge(patterns: &[&Pattern], hole: usize) -> Pattern {
    let all: Vec<Vec<Word>> = patterns.iter().map(|pattern| words(pattern)).collect();
    let text = |word: &Word| match word {
        Word::Text(text) => text.clone(),
        Word::Variable(_) => String::new(),
    };
    let values: Values = all.iter().map(|words| Value::Text(text(&words[hole]))).collect();
    let is_last = !all[0][hole + 1..]
        .iter()
        .any(|word| matches!(word, Word::Variable(_)) || text(word).contains(['/', '.']));
    let is_ending =
        is_last && hole.checked_sub(1).is_some_and(|before| text(&all[0][before]).ends_with('.'));
    let mut variables = patterns[0].variables.clone();
    let stem = if is_ending { "ext" } else { "name" };
    let name = free_name(stem, variables.iter().map(|(name, _)| name.as_str()));
    let index = variables.len();
    let mut pieces: Vec<Piece> = Vec::new();
    for (at, word) in all[0].iter().enumerate() {
        let piece = match word {
            _ if at == hole => Piece::variable(index, &values),
            Word::Variable(piece) => piece.clone(),
            Word::Text(text) => {
                Piece::Text(text.strip_prefix(':').filter(|_| at == 0).unwrap_or(text).to_owned())
            }
        };
        match (pieces.last_mut(), piece) {
            (Some(Piece::Text(last)), Piece::Text(text)) => last.push_str(&text),
            (_, piece) => pieces.push(piece),
        }
    }
    variables.push((name, values));
    Pattern { pieces, variables }
}
