//! The owners of files: which manifest wrote here, and whether it is the one of this run.
//!
//! A manifest is recognised by its path relative to the destination, else by its name. Neither is
//! proof, so a doubt is never settled by a guess: the files of another owner are not deleted.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::State;
use crate::manifest::PathHashes;
use crate::rel_path::path_hash;

/// The manifest of a run, as the state recognises it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// The manifest's name.
    pub(crate) name: &'a str,
    /// The manifest's file. A path that leads to no regular file (standard input, a text that a
    /// program made) counts as none.
    pub(crate) file: Option<&'a Path>,
    /// The paths that it declares; none if they are not known.
    pub(crate) declared: Option<&'a PathHashes>,
    /// The manifest declares these paths and probably others (`--set`), which it must not lose.
    pub(crate) is_part: bool,
    /// Take over the files of manifests that are probably this one (`--take-ownership`).
    pub(crate) take: bool,
}

impl Claim<'_> {
    /// The path of the manifest's file relative to a destination.
    fn path_from(&self, dest: &Path) -> Option<String> {
        let file = self.file.filter(|file| file.is_file())?;
        Some(relative(&absolute(dest), &absolute(file)))
    }
}

#[cfg(any(test, feature = "internals"))]
impl<'a> Claim<'a> {
    /// A manifest that has neither a file nor entries.
    pub(crate) fn named(name: &'a str) -> Self {
        Self { name, file: None, declared: None, is_part: false, take: false }
    }
}

/// An owner of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(super) id: i64,
    /// The manifest's name when it was last used.
    pub(crate) name: String,
    /// The manifest's path relative to the destination.
    pub(crate) path: Option<String>,
    /// The turn in which it was first used. Each use of the state by a run is one turn.
    first: i64,
    /// The turn in which it was last used.
    last: i64,
}

/// The name of the manifest, and its path where it has one.
impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.path {
            Some(path) => write!(f, "`{}` (`{path}` from the destination)", self.name),
            None => write!(f, "`{}`", self.name),
        }
    }
}

/// How an owner compares with the manifest of this run.
#[derive(Clone, Debug)]
struct Likeness {
    owner: Owner,
    same_path: bool,
    same_name: bool,
    /// Another manifest is at the owner's path.
    is_elsewhere: bool,
    /// The number of files that the state records for it.
    files: u64,
    /// Those of them that the manifest of this run declares.
    declared: u64,
}

impl Likeness {
    fn is_mostly_declared(&self) -> bool {
        self.files <= 2 * self.declared
    }
}

/// Which owners the manifest of a run is, and which it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recognised {
    /// The owner that it is; none if it is new.
    pub(super) own: Option<i64>,
    /// Owners that are taken over.
    pub(super) taken: Vec<i64>,
    /// Owners that the manifest probably was under another name or at another path.
    pub(super) unclear: Vec<Owner>,
}

/// Compares the manifest of a run with the owners of a state. `has_file` is false for a manifest
/// from standard input.
fn recognise(likenesses: &[Likeness], has_file: bool, take: bool) -> Recognised {
    let at_path = likenesses.iter().find(|like| like.same_path);
    let by_name = || {
        let named = likenesses.iter().filter(|like| like.same_name);
        let is_possible = |like: &&Likeness| {
            // Without a file the name is all that there is.
            !has_file || !like.is_elsewhere && like.is_mostly_declared()
        };
        let mut possible: Vec<_> = named.filter(is_possible).collect();
        if !has_file && possible.iter().any(|like| like.owner.path.is_none()) {
            possible.retain(|like| like.owner.path.is_none());
        }
        // An owner without files has nothing that could be lost.
        if possible.iter().any(|like| like.files != 0) {
            possible.retain(|like| like.files != 0);
        }
        match possible.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    };
    let own = at_path.or_else(by_name);
    let first = own.map_or(i64::MAX, |like| like.owner.first);
    let mut recognised = Recognised { own: own.map(|like| like.owner.id), ..Recognised::default() };
    for like in likenesses.iter().filter(|like| Some(like.owner.id) != recognised.own) {
        let is_alike =
            like.same_name || like.files != 0 && like.declared != 0 && like.is_mostly_declared();
        // A manifest that was used after this one appeared is another one.
        let is_unclear = is_alike && !like.is_elsewhere && like.owner.last < first;
        let can_be_taken = is_unclear || like.same_name && like.is_mostly_declared();
        if take && can_be_taken {
            recognised.taken.push(like.owner.id);
        } else if is_unclear {
            recognised.unclear.push(like.owner.clone());
        }
    }
    recognised
}

/// Recognises the manifest of a run among the owners of a state.
///
/// # Errors
/// When the state is damaged.
pub(super) fn look(
    connection: &Connection,
    dest: &Path,
    claim: &Claim<'_>,
) -> rusqlite::Result<Recognised> {
    let path = claim.path_from(dest);
    let dest = absolute(dest);
    let file = claim.file.and_then(|file| std::fs::canonicalize(file).ok());
    let mut likenesses = Vec::new();
    for owner in owners(connection)? {
        let there = owner.path.as_deref().map(|path| absolute(&dest.join(path)));
        let is_file = there.as_deref().is_some_and(Path::is_file);
        let is_same_file = || {
            let there = there.as_ref().and_then(|there| std::fs::canonicalize(there).ok());
            there.is_some() && there == file
        };
        let same_path = path.is_some() && (owner.path == path || is_file && is_same_file());
        likenesses.push(Likeness {
            same_path,
            same_name: owner.name == claim.name,
            is_elsewhere: is_file && !same_path,
            owner,
            files: 0,
            declared: 0,
        });
    }
    // The same spelling of the path counts more than another way to the same file.
    likenesses.sort_by_key(|like| like.owner.path != path);
    if needs_counts(&likenesses, path.is_some(), claim.take) {
        count(connection, claim, &mut likenesses)?;
    }
    Ok(recognise(&likenesses, path.is_some(), claim.take))
}

/// Whether the numbers of files matter. To count them costs a pass over all records.
fn needs_counts(likenesses: &[Likeness], has_file: bool, take: bool) -> bool {
    match likenesses {
        [] => false,
        [only] => has_file && !only.same_path,
        [first, others @ ..] if first.same_path => {
            let may_be_unclear =
                |like: &Likeness| !like.is_elsewhere && like.owner.last < first.owner.first;
            take || others.iter().any(may_be_unclear)
        }
        _ => true,
    }
}

fn count(
    connection: &Connection,
    claim: &Claim<'_>,
    likenesses: &mut [Likeness],
) -> rusqlite::Result<()> {
    let mut by_owner: HashMap<i64, &mut Likeness> =
        likenesses.iter_mut().map(|like| (like.owner.id, like)).collect();
    let mut statement = connection.prepare("SELECT owner, path FROM files")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let owner: i64 = row.get(0)?;
        let Some(like) = by_owner.get_mut(&owner) else { continue };
        like.files += 1;
        let path = row.get_ref(1)?.as_str()?;
        like.declared +=
            u64::from(claim.declared.is_some_and(|declared| declared.contains(path_hash(path))));
    }
    Ok(())
}

fn owners(connection: &Connection) -> rusqlite::Result<Vec<Owner>> {
    let mut statement =
        connection.prepare("SELECT id, name, path, first, last FROM owners ORDER BY id")?;
    let owner = |row: &rusqlite::Row<'_>| {
        Ok(Owner {
            id: row.get(0)?,
            name: row.get(1)?,
            path: row.get(2)?,
            first: row.get(3)?,
            last: row.get(4)?,
        })
    };
    statement.query_map([], owner)?.collect()
}

/// Records that a manifest uses the state, and takes over what it is to take.
///
/// # Errors
/// When the state is damaged or the disk fails. Then it is unchanged.
pub(super) fn enter(
    connection: &mut Connection,
    dest: &Path,
    claim: &Claim<'_>,
) -> rusqlite::Result<Recognised> {
    let mut recognised = look(connection, dest, claim)?;
    let path = claim.path_from(dest);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let turn: i64 =
        transaction
            .query_row("SELECT coalesce(max(last), 0) + 1 FROM owners", [], |row| row.get(0))?;
    let own = match recognised.own {
        Some(own) => {
            transaction.execute(
                "UPDATE owners SET name = ?2, path = coalesce(?3, path), last = ?4 WHERE id = ?1",
                params![own, claim.name, path, turn],
            )?;
            own
        }
        None => {
            transaction.execute(
                "INSERT INTO owners (name, path, first, last) VALUES (?1, ?2, ?3, ?3)",
                params![claim.name, path, turn],
            )?;
            transaction.last_insert_rowid()
        }
    };
    recognised.own = Some(own);
    for taken in &recognised.taken {
        for table in ["files", "missing", "runs"] {
            let sql = format!("UPDATE {table} SET owner = ?2 WHERE owner = ?1");
            transaction.execute(&sql, [taken, &own])?;
        }
        transaction.execute("DELETE FROM claims WHERE owner = ?1", [taken])?;
        transaction.execute("DELETE FROM owners WHERE id = ?1", [taken])?;
    }
    if let Some(declared) = claim.declared {
        let mut before = Vec::new();
        if claim.is_part {
            read_claims(&transaction, own, |half| before.push(half))?;
        }
        if before.is_empty() {
            write_claims(&transaction, own, declared.halves())?;
        } else {
            before.extend(declared.halves());
            before.sort_unstable();
            before.dedup();
            write_claims(&transaction, own, before.into_iter())?;
        }
    }
    transaction.commit()?;
    recognised.taken.clear();
    Ok(recognised)
}

/// About the number of hashes in a row of `claims`. A row is rewritten when one of them changes.
const PIECE: usize = 4096;
/// The bytes of a hash in `claims`: the first half of the path's hash, in big endian.
const HASH: usize = 8;

/// Replaces the claims of an owner by hashes in ascending order. Rows that stay as they are cost no
/// write.
fn write_claims(
    transaction: &Transaction<'_>,
    owner: i64,
    halves: impl ExactSizeIterator<Item = u64>,
) -> rusqlite::Result<()> {
    let bits = halves.len().div_ceil(PIECE).next_power_of_two().trailing_zeros();
    let piece_of = |half: u64| half.checked_shr(64 - bits).unwrap_or(0);
    let mut before =
        transaction.prepare("SELECT hashes FROM claims WHERE owner = ?1 AND piece = ?2")?;
    let mut write = transaction
        .prepare("INSERT OR REPLACE INTO claims (owner, piece, hashes) VALUES (?1, ?2, ?3)")?;
    let mut kept = Vec::new();
    let mut halves = halves.peekable();
    while let Some(half) = halves.next() {
        let piece = piece_of(half);
        let mut hashes = half.to_be_bytes().to_vec();
        while let Some(half) = halves.next_if(|&half| piece_of(half) == piece) {
            hashes.extend(half.to_be_bytes());
        }
        let piece = piece.cast_signed();
        kept.push(piece);
        let is_same = before
            .query_row([owner, piece], |row| Ok(row.get_ref(0)?.as_blob()? == hashes))
            .optional()?;
        if is_same != Some(true) {
            write.execute(params![owner, piece, hashes])?;
        }
    }
    let mut all = transaction.prepare("SELECT piece FROM claims WHERE owner = ?1")?;
    let all: Vec<i64> = all.query_map([owner], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for piece in all.into_iter().filter(|piece| kept.binary_search(piece).is_err()) {
        transaction
            .execute("DELETE FROM claims WHERE owner = ?1 AND piece = ?2", [owner, piece])?;
    }
    Ok(())
}

impl State {
    /// Hands the claims of all owners but that of this run to `visit`, owner by owner: the first half
    /// of the hash of each path. A damaged state gives what could be read of it.
    pub(crate) fn claims_of_others(&self, mut visit: impl FnMut(&Owner, u64)) {
        let connection = self.lock();
        let mut read = || -> rusqlite::Result<()> {
            let others = owners(&connection)?;
            for owner in others.iter().filter(|owner| !self.owns(owner.id)) {
                read_claims(&connection, owner.id, |half| visit(owner, half))?;
            }
            Ok(())
        };
        // The next read of the files reports the damage.
        drop(read());
    }
}

fn read_claims(
    connection: &Connection,
    owner: i64,
    mut visit: impl FnMut(u64),
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT hashes FROM claims WHERE owner = ?1 ORDER BY piece")?;
    let mut rows = statement.query([owner])?;
    while let Some(row) = rows.next()? {
        let (hashes, _) = row.get_ref(0)?.as_blob()?.as_chunks::<HASH>();
        for half in hashes {
            visit(u64::from_be_bytes(*half));
        }
    }
    Ok(())
}

/// Without links being resolved, so that a link that is replaced by another one stays one path.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Both paths are absolute.
fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let up = from[common..].iter().map(|_| Path::new(".."));
    let down = to[common..].iter().map(|part| Path::new(part.as_os_str()));
    up.chain(down).collect::<PathBuf>().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
