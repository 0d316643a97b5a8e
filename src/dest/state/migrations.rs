//! The tables of the state, and how a state of an older version gets them.
//!
//! `docs/decisions/0008-tables-of-the-state.md` explains them. Each migration leads from one version
//! to the next. All of them run in one transaction, so a killed process leaves the old version.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

/// The version of the tables. Raise it with every change, and add a migration.
pub(super) const VERSION: i32 = 7;

/// The oldest version that has a migration.
const OLDEST: i32 = 5;

/// The migrations, the one from version [`OLDEST`] first.
const MIGRATIONS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 2] = [from_5, from_6];

/// The columns of `files` whose values another natsync can read, too.
pub(super) const FILE_COLUMNS: &str = "path, owner, written, url, identity, served, served_identity, size, stamp, racy, sha256, others, provenance, checked, changed, etag, last_modified";

const TABLES: &str = "
    CREATE TABLE settings (
        name TEXT PRIMARY KEY NOT NULL,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE owners (
        id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        name TEXT NOT NULL,
        path TEXT,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE claims (
        owner INTEGER NOT NULL,
        piece INTEGER NOT NULL,
        hashes BLOB NOT NULL,
        PRIMARY KEY (owner, piece)
    ) STRICT;
    CREATE TABLE files (
        path TEXT PRIMARY KEY NOT NULL,
        owner INTEGER NOT NULL,
        written INTEGER NOT NULL,
        url TEXT NOT NULL,
        identity BLOB,
        served TEXT NOT NULL,
        served_identity BLOB,
        size INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        racy INTEGER NOT NULL,
        sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        others TEXT,
        provenance INTEGER NOT NULL,
        checked INTEGER,
        changed INTEGER,
        etag TEXT,
        last_modified TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE missing (
        path TEXT PRIMARY KEY NOT NULL,
        owner INTEGER NOT NULL,
        url TEXT NOT NULL,
        identity BLOB,
        since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE announced (path TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE lists (
        identity BLOB PRIMARY KEY NOT NULL,
        url TEXT NOT NULL,
        etag TEXT,
        last_modified TEXT,
        content BLOB
    ) STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY NOT NULL,
        owner INTEGER NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
";

/// Creates the tables of this version, and the key.
pub(super) fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLES)?;
    // The random numbers of SQLite come from ChaCha20 with a seed of the operating system.
    transaction.execute_batch("INSERT INTO settings (name, value) VALUES ('key', randomblob(32))")
}

/// The value of a setting.
pub(super) fn setting<const N: usize>(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<[u8; N]>> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// Replaces the value of a setting.
pub(super) fn set(connection: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)";
    connection.execute(sql, params![name, value]).map(drop)
}

/// Whether a state of that version can be migrated.
pub(super) fn can_migrate(version: i32) -> bool {
    (OLDEST..VERSION).contains(&version)
}

/// Brings the tables of an older state to this version.
///
/// # Errors
/// When the state lacks what its version has, or the disk fails. Then it is unchanged.
pub(super) fn migrate(connection: &mut Connection, version: i32) -> rusqlite::Result<()> {
    // What an older version stored in plain text must not stay in free pages of the file.
    connection.execute_batch("PRAGMA secure_delete = ON")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = usize::try_from(version - OLDEST).unwrap_or(0);
    for migration in &MIGRATIONS[done..] {
        migration(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Version 6 has one column `provenance` instead of two flags, and announcements.
fn from_5(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE files RENAME TO old_files;
         CREATE TABLE files (
            path TEXT PRIMARY KEY NOT NULL, manifest TEXT NOT NULL, url TEXT NOT NULL,
            served TEXT NOT NULL, size INTEGER NOT NULL, stamp INTEGER NOT NULL,
            racy INTEGER NOT NULL, sha256 BLOB NOT NULL, others TEXT, provenance INTEGER NOT NULL,
            checked INTEGER, changed INTEGER, etag TEXT, last_modified TEXT
         ) STRICT, WITHOUT ROWID;
         INSERT INTO files
            SELECT path, manifest, url, served, size, stamp, racy, sha256, others,
                   CASE WHEN written THEN 0 WHEN witnessed THEN 1 ELSE 2 END,
                   checked, changed, etag, last_modified
            FROM old_files;
         DROP TABLE old_files;
         CREATE TABLE announced (path TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;",
    )
}

/// Version 7 knows the owners of files by more than a name, and keeps digests of identities. A list
/// is kept by such a digest, which an older row cannot have: lists are fetched once more.
fn from_6(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE files RENAME TO old_files;
         ALTER TABLE missing RENAME TO old_missing;
         ALTER TABLE announced RENAME TO old_announced;
         ALTER TABLE runs RENAME TO old_runs;
         DROP TABLE lists;",
    )?;
    create(transaction)?;
    transaction.execute_batch(
        "INSERT INTO owners (name, path, first, last)
            SELECT manifest, NULL, 0, 0 FROM (
                SELECT manifest FROM old_files
                UNION SELECT manifest FROM old_missing
                UNION SELECT manifest FROM old_runs
            ) ORDER BY manifest;
         INSERT INTO files
            SELECT old.path, owners.id, old.provenance = 0, old.url, NULL, old.served, NULL,
                   old.size, old.stamp, old.racy, old.sha256, old.others, old.provenance,
                   old.checked, old.changed, old.etag, old.last_modified
            FROM old_files AS old JOIN owners ON owners.name = old.manifest;
         INSERT INTO missing
            SELECT old.path, owners.id, old.url, NULL, old.since
            FROM old_missing AS old JOIN owners ON owners.name = old.manifest;
         INSERT INTO announced SELECT path FROM old_announced;
         INSERT INTO runs
            SELECT old.id, owners.id, old.record
            FROM old_runs AS old JOIN owners ON owners.name = old.manifest;
         DROP TABLE old_files; DROP TABLE old_missing; DROP TABLE old_announced;
         DROP TABLE old_runs;",
    )?;
    let place: Option<String> =
        transaction.query_row("SELECT path FROM place", [], |row| row.get(0)).optional()?;
    if let (Some(place), Some(key)) = (place, setting::<32>(transaction, "key")?) {
        set(transaction, "place", &place_digest(&key, &place))?;
    }
    transaction.execute_batch("DROP TABLE place")
}

/// What the state keeps of the absolute path of the destination, which may hold a secret.
pub(super) fn place_digest(key: &[u8; 32], place: &str) -> [u8; 32] {
    *blake3::keyed_hash(key, place.as_bytes()).as_bytes()
}

#[cfg(test)]
pub(super) mod tests {
    use rusqlite::Connection;

    use super::*;

    const FILES_5: &str = "
        CREATE TABLE files (
            path TEXT PRIMARY KEY NOT NULL, manifest TEXT NOT NULL, url TEXT NOT NULL,
            served TEXT NOT NULL, size INTEGER NOT NULL, stamp INTEGER NOT NULL,
            racy INTEGER NOT NULL, sha256 BLOB NOT NULL CHECK (length(sha256) = 32), others TEXT,
            witnessed INTEGER NOT NULL, written INTEGER NOT NULL, checked INTEGER NOT NULL,
            changed INTEGER, etag TEXT, last_modified TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY NOT NULL, manifest TEXT NOT NULL, began INTEGER NOT NULL,
            record TEXT NOT NULL
        ) STRICT;
        INSERT INTO files VALUES
            ('a', 'm', 'http://h/a', 'http://h/a', 1, 5, 0, zeroblob(32), NULL, 1, 1, 9, 8, '\"e\"', NULL),
            ('b', 'n', 'http://h/b', 'http://h/b', 1, 5, 0, zeroblob(32), 'md5:x', 1, 0, 9, NULL, NULL, NULL),
            ('c', 'm', 'http://h/c', 'http://h/c', 1, 5, 1, zeroblob(32), NULL, 0, 0, 9, NULL, NULL, NULL);
        INSERT INTO runs VALUES (3, 'm', 1, '{}');";

    const FILES_6: &str = "
        CREATE TABLE files (
            path TEXT PRIMARY KEY NOT NULL, manifest TEXT NOT NULL, url TEXT NOT NULL,
            served TEXT NOT NULL, size INTEGER NOT NULL, stamp INTEGER NOT NULL,
            racy INTEGER NOT NULL, sha256 BLOB NOT NULL CHECK (length(sha256) = 32), others TEXT,
            provenance INTEGER NOT NULL, checked INTEGER, changed INTEGER, etag TEXT,
            last_modified TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE announced (path TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY NOT NULL, manifest TEXT NOT NULL, record TEXT NOT NULL
        ) STRICT;
        INSERT INTO files VALUES
            ('a', 'm', 'http://h/a', 'http://h/a', 1, 5, 0, zeroblob(32), NULL, 0, 9, 8, '\"e\"', NULL),
            ('b', 'n', 'http://h/b', 'http://h/b', 1, 5, 0, zeroblob(32), 'md5:x', 1, NULL, NULL, NULL, NULL),
            ('c', 'm', 'http://h/c', 'http://h/c', 1, 5, 1, zeroblob(32), NULL, 2, NULL, NULL, NULL, NULL);
        INSERT INTO announced VALUES ('d');
        INSERT INTO runs VALUES (3, 'm', '{}');";

    const REST: &str = "
        CREATE TABLE missing (
            path TEXT PRIMARY KEY NOT NULL, manifest TEXT NOT NULL, url TEXT NOT NULL,
            since INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE place (path TEXT NOT NULL) STRICT;
        CREATE TABLE lists (
            url TEXT PRIMARY KEY NOT NULL, etag TEXT, last_modified TEXT, content BLOB
        ) STRICT, WITHOUT ROWID;
        INSERT INTO missing VALUES ('x', 'only_missing', 'http://h/x', 7);
        INSERT INTO place VALUES ('/top/s3cret/out');
        INSERT INTO lists VALUES ('http://h/SHA256SUMS', NULL, NULL, x'00');
        PRAGMA application_id = 1851880563;";

    /// Fills a new file with the tables of an older version.
    pub(in crate::dest::state) fn fill(connection: &Connection, version: i32) {
        let files = if version == 5 { FILES_5 } else { FILES_6 };
        connection.execute_batch(files).unwrap();
        connection.execute_batch(REST).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
    }

    fn texts(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn rows_of_older_versions_keep_their_owners() {
        for version in [5, 6] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("state.db");
            let mut connection = Connection::open(&file).unwrap();
            fill(&connection, version);
            migrate(&mut connection, version).unwrap();
            assert_eq!(
                texts(
                    &connection,
                    "SELECT files.path || ' ' || name || ' ' || written || ' ' || provenance
                     FROM files JOIN owners ON owners.id = owner ORDER BY files.path"
                ),
                ["a m 1 0", "b n 0 1", "c m 0 2"],
                "{version}"
            );
            assert_eq!(
                texts(&connection, "SELECT url FROM missing JOIN owners ON id = owner"),
                ["http://h/x"]
            );
            assert_eq!(
                texts(&connection, "SELECT name FROM owners JOIN runs ON owner = owners.id"),
                ["m"]
            );
            assert_eq!(
                texts(&connection, "SELECT path FROM owners WHERE path IS NOT NULL"),
                [""; 0]
            );
            let key: [u8; 32] = setting(&connection, "key").unwrap().unwrap();
            let place: [u8; 32] = setting(&connection, "place").unwrap().unwrap();
            assert_eq!(place, place_digest(&key, "/top/s3cret/out"));
            drop(connection);
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"s3cret"), "{version}");
        }
    }

    #[test]
    fn a_state_that_lacks_a_table_of_its_version_stays_as_it_is() {
        let mut connection = Connection::open_in_memory().unwrap();
        fill(&connection, 6);
        connection.execute_batch("DROP TABLE place").unwrap();
        assert!(migrate(&mut connection, 6).is_err());
        assert_eq!(texts(&connection, "SELECT manifest FROM files").len(), 3);
    }

    #[test]
    fn a_migrated_state_has_the_tables_of_a_new_one() {
        let tables = |connection: &Connection| {
            texts(connection, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        };
        let mut new = Connection::open_in_memory().unwrap();
        let transaction = new.transaction().unwrap();
        create(&transaction).unwrap();
        transaction.commit().unwrap();
        for version in OLDEST..VERSION {
            let mut old = Connection::open_in_memory().unwrap();
            fill(&old, version);
            migrate(&mut old, version).unwrap();
            assert_eq!(tables(&old), tables(&new), "{version}");
        }
        assert_eq!(MIGRATIONS.len(), usize::try_from(VERSION - OLDEST).unwrap());
    }
}
