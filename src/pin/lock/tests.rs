use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::pin::Validators;

fn line(path: &str, content: &str) -> LockLine {
    LockLine {
        path: path.to_owned(),
        url: format!("http://h/{path}"),
        content: Content::File {
            served: None,
            size: content.len() as u64,
            sha256: Digest::of(content.as_bytes()),
            from: DigestFrom::FirstUse,
            validators: Validators { etag: Some("\"a\"".to_owned()), last_modified: None },
        },
    }
}

fn missing(path: &str) -> LockLine {
    LockLine { path: path.to_owned(), url: String::new(), content: Content::Missing }
}

fn write(file: &Path, lines: &[LockLine]) -> bool {
    let mut writer = LockWriter::create(file, "m").unwrap();
    for line in lines {
        writer.write(line).unwrap();
    }
    writer.finish().unwrap()
}

fn lines(lock: &Lock) -> Vec<LockLine> {
    lock.lines().unwrap().map(Result::unwrap).collect()
}

fn read_text(text: impl AsRef<[u8]>) -> Result<Option<Lock>, LockProblem> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.lock");
    fs::write(&file, text).unwrap();
    Lock::read(&file, "m")
}

const HEADER: &str = "{\"natsync_lock\":1,\"manifest\":\"m\"}\n";
const A: &str = "{\"path\":\"a\",\"url\":\"http://h/a\",\"missing\":true}\n";

#[test]
fn written_lines_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.lock");
    assert!(Lock::read(&file, "m").unwrap().is_none());
    let all = [line("a", "1"), missing("b/c"), line("d \"e\" \u{e9}", "2")];
    assert!(write(&file, &all));
    let lock = Lock::read(&file, "m").unwrap().unwrap();
    assert_eq!((lock.len(), lines(&lock)), (3, all.to_vec()));
    for line in &all {
        assert_eq!(lock.find(&line.path).unwrap().as_ref(), Some(line));
    }
    assert_eq!(lock.find("a/").unwrap(), None);
    assert!(lock.has(crate::rel_path::path_hash("a")));
    assert!(!lock.has(crate::rel_path::path_hash("z")));
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(
        text.lines().nth(1).unwrap(),
        format!(
            "{{\"path\":\"a\",\"url\":\"http://h/a\",\"size\":1,\"sha256\":\"{}\",\"digest_from\":\"first_use\",\"etag\":\"\\\"a\\\"\"}}",
            Digest::of(b"1")
        )
    );
}

#[test]
fn errors_name_their_line() {
    let file = |fields: &str| format!("{HEADER}{A}{{\"path\":\"b\",\"url\":\"u\",{fields}}}\n");
    let digest = Digest::of(b"x");
    let other = A.replace("true", "true,\"served\":\"x\"");
    for (text, line, word) in [
        (String::new(), None, "empty"),
        ("\n\n".to_owned(), None, "empty"),
        (A.to_owned(), Some(1), "not the header"),
        ("nonsense\n".to_owned(), Some(1), "not a JSON object"),
        ("{\"natsync_lock\":1}\n".to_owned(), Some(1), "missing"),
        ("{\"natsync_lock\":2,\"else\":7}\n".to_owned(), Some(1), "newer natsync"),
        ("{\"natsync_lock\":0,\"manifest\":\"m\"}\n".to_owned(), Some(1), "version 0"),
        (HEADER.replace("\"m\"", "\"other\""), Some(1), "manifest `other`, not of `m`"),
        (format!("{HEADER}<<<<<<< mine\n{A}"), Some(2), "merge markers"),
        (format!("{HEADER}{A}=======\n"), Some(3), "merge markers"),
        (format!("{HEADER}{A}>>>>>>> theirs\n"), Some(3), "merge markers"),
        (format!("{HEADER}{A}{}", &A[..20]), Some(3), "the lock is cut short"),
        (format!("{HEADER}{}\n{A}", &A[..20]), Some(2), "the line is cut short"),
        (
            format!("{HEADER}{A}{}", A.replace("http", "ftp")),
            Some(3),
            "pinned twice, here and on line 2",
        ),
        (format!("{HEADER}\n{A}{A}{}", A.replace("http", "ftp")), Some(5), "here and on line 4"),
        (format!("{HEADER}[1]\n"), Some(2), "has an invalid value"),
        (format!("{HEADER}{other}"), None, ""),
        (file("\"size\":1"), Some(3), "`missing` alone"),
        (file(&format!("\"sha256\":\"{digest}\"")), Some(3), "`missing` alone"),
        (file(&format!("\"size\":1,\"sha256\":\"{digest}\",\"missing\":true")), Some(3), "alone"),
        (file("\"size\":-1,\"missing\":true"), Some(3), "an invalid value"),
        (file("\"size\":1,\"sha256\":\"abc\""), Some(3), "64 hexadecimal digits"),
        (file("\"missing\":true,\"colour\":\"red\""), Some(3), "unknown"),
        (format!("{HEADER}{}", A.replace("\"a\"", "\"../a\"")), Some(2), "below a destination"),
        (format!("{HEADER}{}", A.replace("\"a\"", "\"/a\"")), Some(2), "below a destination"),
        (format!("{HEADER}{}\n", "x".repeat(2_000_000)), Some(2), "1 MiB"),
    ] {
        let shown = &text[..text.len().min(200)];
        match read_text(&text) {
            Ok(_) => assert!(word.is_empty(), "accepted: {shown}"),
            Err(problem) => {
                assert_eq!(problem.line, line, "{problem}\n{shown}");
                assert!(problem.to_string().contains(word), "{problem}\n{shown}");
            }
        }
    }
    let problem = read_text([HEADER.as_bytes(), b"\xff\n"].concat()).unwrap_err();
    assert!(problem.message.contains("UTF-8"), "{problem}");
    let folder = tempfile::tempdir().unwrap();
    assert!(Lock::read(folder.path(), "m").is_err(), "a directory");
}

#[test]
fn harmless_differences_are_accepted() {
    let b = A.replace("\"a\"", "\"b\"");
    let expected = vec!["a".to_owned(), "b".to_owned()];
    for text in [
        format!("{HEADER}{A}{b}"),
        format!("{HEADER}{b}{A}"),
        format!("{HEADER}{A}{b}{A}{A}"),
        format!("{HEADER}{A}{b}").replace('\n', "\r\n"),
        format!("\u{feff}{HEADER}\n{A}\n{b}\n\n"),
        format!("{HEADER}{A}{}", b.trim_end()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.lock");
        fs::write(&file, &text).unwrap();
        let lock = Lock::read(&file, "m").unwrap().unwrap();
        let paths: Vec<_> = lines(&lock).into_iter().map(|line| line.path).collect();
        assert_eq!((lock.len(), paths), (2, expected.clone()), "{text:?}");
        for path in ["a", "b"] {
            assert!(lock.find(path).unwrap().is_some(), "{path} in {text:?}");
        }
    }
}

#[test]
fn a_lock_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.lock");
    write(&file, &[line("a", "1")]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = || fs::metadata(&file).unwrap().ino();
    let before = (inode(), fs::read(&file).unwrap());

    let mut unfinished = LockWriter::create(&file, "m").unwrap();
    unfinished.write(&line("b", "2")).unwrap();
    drop(unfinished);
    assert!(!write(&file, &[line("a", "1")]), "nothing changed");
    assert_eq!((inode(), fs::read(&file).unwrap()), before);

    assert!(write(&file, &[line("a", "2")]));
    for lines in [vec![line("a", "2"), line("b", "2")], vec![]] {
        assert!(write(&file, &lines), "more lines, and fewer");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_symlink_to_a_lock_stays_a_symlink() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("real.lock"), folder.path().join("m.lock"));
    write(&target, &[line("a", "1")]);
    symlink("real.lock", &link).unwrap();
    assert!(write(&link, &[line("a", "2")]));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(lines(&Lock::read(&target, "m").unwrap().unwrap()), [line("a", "2")]);
}

#[test]
fn distant_and_long_lines_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.lock");
    let long = "x".repeat(200_000);
    let all: Vec<_> = (0..500)
        .map(|n| {
            let mut line = line(&format!("{n:04}"), "1");
            if n % 100 == 0 {
                line.url.clone_from(&long);
            }
            line
        })
        .collect();
    write(&file, &all);
    let lock = Lock::read(&file, "m").unwrap().unwrap();
    for line in all.iter().rev().chain(&all) {
        assert_eq!(lock.find(&line.path).unwrap().as_ref(), Some(line));
    }
}

fn any_line() -> impl Strategy<Value = LockLine> {
    let path = "[a-z\u{e9}\"\\\\ ]{1,8}(/[a-z.]{1,3}x)?";
    let content = prop_oneof![
        Just(Content::Missing),
        (any::<u64>(), any::<[u8; 32]>(), any::<bool>(), any::<Option<String>>()).prop_map(
            |(size, digest, publisher, text)| Content::File {
                served: text.clone(),
                size,
                sha256: Digest::from_bytes(digest),
                from: if publisher { DigestFrom::Publisher } else { DigestFrom::FirstUse },
                validators: Validators { etag: text.clone(), last_modified: text },
            }
        )
    ];
    (path, ".*", content).prop_map(|(path, url, content)| LockLine { path, url, content })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_lock_round_trips(mut all in proptest::collection::vec(any_line(), 0..12)) {
        all.retain(|line| crate::rel_path::RelPath::parse(&line.path).is_ok());
        all.sort_by(|one, other| one.path.cmp(&other.path));
        all.dedup_by(|one, other| one.path == other.path);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.lock");
        write(&file, &all);
        let lock = Lock::read(&file, "m").unwrap().unwrap();
        prop_assert_eq!(lines(&lock), all.clone());
        prop_assert!(!write(&file, &all), "the same lines give the same bytes");
    }

    #[test]
    fn reading_any_bytes_does_not_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0usize..400,
        drop_rest in any::<bool>(),
    ) {
        let _ = read_text(&bytes);
        let mut valid = [HEADER, A, &A.replace("\"a\"", "\"b\"")].concat().into_bytes();
        let at = at % valid.len();
        if drop_rest {
            valid.truncate(at);
        } else {
            valid[at] = bytes.first().copied().unwrap_or(0);
        }
        if let Ok(Some(lock)) = read_text(&valid) {
            prop_assert!(lock.len() <= 2);
        }
    }
}
