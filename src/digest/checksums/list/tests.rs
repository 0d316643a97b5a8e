use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;

const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

fn parse(text: impl AsRef<[u8]>) -> Result<List, ListProblem> {
    List::parse(text.as_ref(), "", &Rules::default())
}

/// By whole names, then digests without a name.
fn find(list: &List, names: &[&str]) -> Lookup {
    list.find(names).or_else(|| list.nameless()).unwrap_or(Lookup::Unlisted)
}

fn based(list: &List, base: &str) -> Lookup {
    list.find_base(base).unwrap_or(Lookup::Unlisted)
}

fn wanting(algorithm: Algorithm) -> Rules {
    Rules { algorithm: Some(algorithm), ..Rules::default() }
}

fn listed(digests: &[&str]) -> Lookup {
    let read =
        |hex: &&str| Checksum::from_hex(Algorithm::of_hex_length(hex.len()).unwrap(), hex).unwrap();
    Lookup::Listed(digests.iter().map(read).collect())
}

#[test]
fn every_format_is_parsed() {
    for text in [
        format!("{SHA256}  dir/a b.txt\n"),
        format!("{SHA256} *dir/a b.txt\n"),
        format!("{SHA256} dir/a b.txt"),
        format!("{SHA256}\tdir/a b.txt\r\n"),
        format!("{}  dir/a b.txt\n", SHA256.to_uppercase()),
        format!("\u{feff}{SHA256}  dir/a b.txt\n"),
        format!("{SHA256}  ./dir/a b.txt\n"),
        format!("{SHA256}  ././dir//a b.txt\n"),
        format!("{SHA256}  dir/a b.txt  \n"),
        format!("# made by hand\n\n   \n{SHA256}  dir/a b.txt\n\n"),
        format!("SHA256 (dir/a b.txt) = {SHA256}\n"),
        format!("SHA256(dir/a b.txt)= {SHA256}\n"),
        format!("SHA2-256(dir/a b.txt)= {SHA256}\n"),
        format!("sha256:{SHA256}  dir/a b.txt\n"),
        format!("\\{SHA256}  dir/a b.txt\n"),
        format!("{SHA256}\n"),
        format!("sha256:{SHA256}"),
        format!("{SHA256}  -\n{SHA256}  dir/a b.txt\n"),
        format!("{SHA256}  dir/a b.txt\n{SHA256}  dir/a b.txt\n"),
        format!("{SHA256}  dir/x/../a b.txt\n"),
        format!("{SHA256}  dir\\a b.txt\n"),
        format!("{SHA256} *.\\dir\\a b.txt\n"),
        format!("dir/a b.txt: {SHA256}\n"),
        format!("dir/a b.txt: sha256:{SHA256}\n"),
        format!("dir/a b.txt: {}\n", grouped(SHA256, 8, 15)),
        format!("SHA-256: {SHA256}\n"),
        format!("{}\n", grouped(SHA256, 8, 15)),
        format!("RMD160: {SHA1}\nSHA256: {SHA256}\n"),
        format!(
            "SHA384 (dir/a b.txt) = abc\nSIZE (dir/a b.txt) = 3\nSHA256 (dir/a b.txt) = {SHA256}\n"
        ),
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n# a.txt: 3 bytes\nSHA256 (dir/a b.txt) = {SHA256}\n-----BEGIN PGP SIGNATURE-----\n\niQIz\n=abcd\n-----END PGP SIGNATURE-----\n"
        ),
    ] {
        let list = parse(&text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
        assert_eq!(find(&list, &["dir/a b.txt"]), listed(&[SHA256]), "{text}");
    }
}

/// Digits in groups as `gpg --print-md` writes them, with continuation lines behind `indent` blanks.
fn grouped(hex: &str, group: usize, indent: usize) -> String {
    let hex = hex.to_uppercase();
    let groups: Vec<_> = (0..hex.len() / group).map(|n| &hex[n * group..][..group]).collect();
    let lines: Vec<_> = groups.chunks(5).map(|line| line.join(" ")).collect();
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

#[test]
fn the_output_of_gpg_is_parsed() {
    let sha512 = format!("{SHA256}{SHA256}");
    // A long name stands alone in its line, and the digits begin the next one.
    let long = "x".repeat(80);
    let text = format!(
        "a.bin: {}\n{long}: \n{}\nb: c.bin:    MD5 = {}\nb: c.bin: RMD160 = {}\nb: c.bin: SHA512 = {}\n",
        grouped(&sha512, 8, 7),
        grouped(&sha512, 8, 1),
        grouped(MD5, 2, 10),
        grouped(SHA1, 4, 10),
        grouped(&sha512, 8, 10),
    );
    let list = parse(&text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    assert_eq!(find(&list, &["a.bin"]), listed(&[&sha512]));
    assert_eq!(find(&list, &[&long]), listed(&[&sha512]));
    assert_eq!(find(&list, &["b: c.bin"]), listed(&[&sha512, MD5]));

    let folder = tempfile::tempdir().unwrap();
    let names = ["a.bin", "with: colon.bin", &long];
    for name in names {
        std::fs::write(folder.path().join(name), "abc").unwrap();
    }
    for args in [&["--print-md", "SHA256"][..], &["--print-md", "SHA512"], &["--print-mds"]] {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--homedir"]).arg(folder.path()).args(args).args(names);
        let Ok(output) = gpg.current_dir(folder.path()).output() else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let list = parse(&output.stdout).unwrap();
        for name in names {
            let Lookup::Listed(found) = find(&list, &[name]) else { panic!("{name}") };
            let mut hasher =
                crate::digest::Hasher::new(found.iter().map(Checksum::algorithm).collect());
            hasher.update(b"abc");
            let digests = hasher.finish();
            assert!(found.iter().all(|one| digests.get(one.algorithm()) == Some(*one)), "{name}");
        }
    }
}

#[test]
fn an_entry_is_found_by_its_whole_name_or_by_its_last_component() {
    let list = parse(format!("{MD5}  ../x/a\n{SHA1}  b/a\n{MD5}  c/d\n{SHA1}  d/\n")).unwrap();
    assert!(list.has_folders());
    assert_eq!(find(&list, &["b/a"]), listed(&[SHA1]));
    assert_eq!(find(&list, &["../x/a"]), listed(&[MD5]));
    assert_eq!(find(&list, &["a"]), Lookup::Unlisted);
    assert_eq!(based(&list, "a"), Lookup::Ambiguous, "two files, not one file with two digests");
    assert_eq!(based(&list, "D"), Lookup::Unlisted, "case counts");
    assert_eq!(based(&list, ""), Lookup::Unlisted);
    let other = MD5.replace('9', "8");
    let list = parse(format!("{MD5}  x/a\n{other}  y/a\n{MD5}  x/b\n{MD5}  y/b\n")).unwrap();
    assert_eq!(based(&list, "a"), Lookup::Ambiguous);
    assert_eq!(find(&list, &["z/a", "y/a"]), listed(&[&other]));
    assert_eq!(based(&list, "b"), listed(&[MD5]), "the same digest is not a contradiction");
    assert!(!parse(format!("{MD5}  ./a\n{MD5} *b\n")).unwrap().has_folders());
    assert!(parse(format!("{MD5}  a\\b\n")).unwrap().has_folders());
    assert!(!parse(format!("\\{MD5}  a\\\\b\n")).unwrap().has_folders(), "it is escaped");
}

#[test]
fn a_list_has_its_files_with_their_lines() {
    let list = parse(format!("{MD5}  b\n\n{MD5}  a \nSHA384 (x) = 00\n{MD5}  c\\d\n")).unwrap();
    let files: Vec<_> = list
        .files()
        .map(|(name, digest, line)| (std::str::from_utf8(name).unwrap(), digest.is_some(), line))
        .collect();
    assert_eq!(files, [("a", true, 3), ("b", true, 1), ("c/d", true, 5), ("x", false, 4)]);
}

#[test]
fn blanks_at_the_end_of_a_name_may_be_part_of_it() {
    let other = MD5.replace('9', "8");
    let list = parse(format!("{MD5}  a \n{other}  a\n{MD5}  b \n")).unwrap();
    assert_eq!(find(&list, &["a "]), listed(&[MD5]));
    assert_eq!(find(&list, &["a"]), listed(&[&other]));
    assert_eq!(find(&list, &["b"]), listed(&[MD5]));
}

#[test]
fn the_algorithm_can_be_chosen() {
    let both = format!("MD5 (a) = {MD5}\nSHA256 (a) = {SHA256}\n");
    assert_eq!(find(&parse(&both).unwrap(), &["a"]), listed(&[SHA256, MD5]));
    let list = List::parse(both.as_bytes(), "", &wanting(Algorithm::Md5)).unwrap();
    assert_eq!(find(&list, &["a"]), listed(&[MD5]));
    let list =
        List::parse(format!("{SHA256}  a").as_bytes(), "", &wanting(Algorithm::Blake3)).unwrap();
    let Lookup::Listed(digests) = find(&list, &["a"]) else { panic!() };
    assert_eq!(digests[0].algorithm(), Algorithm::Blake3);
}

#[test]
fn the_name_in_a_list_of_one_file_is_ignored() {
    let whole = Rules { whole: true, ..Rules::default() };
    let text = format!("{SHA256}  /tmp/build/app-1.2.zip\n");
    assert_eq!(find(&parse(&text).unwrap(), &["latest.zip"]), Lookup::Unlisted);
    let list = List::parse(text.as_bytes(), "", &whole).unwrap();
    assert_eq!(find(&list, &["latest.zip"]), listed(&[SHA256]));
    let two = format!("{text}{MD5}  other\n");
    let list = List::parse(two.as_bytes(), "", &whole).unwrap();
    assert_eq!(find(&list, &["x"]), Lookup::Unlisted);
}

#[test]
fn a_pattern_finds_digests_anywhere() {
    let pattern = |pattern: &str, algorithm| Rules {
        pattern: Some(Regex::new(pattern).unwrap()),
        algorithm,
        whole: false,
    };
    let meta = format!("name: a.zip\nsize: 3\nmd5: {MD5}\n");
    let list = List::parse(meta.as_bytes(), "", &pattern(r"^md5:\s*(?<digest>\S+)", None)).unwrap();
    assert_eq!(find(&list, &["whatever"]), listed(&[MD5]));
    let table = format!("a.zip | {MD5}\r\nb.zip | {}\r\n", MD5.replace('9', "8"));
    let list =
        List::parse(table.as_bytes(), "", &pattern(r"^(?<name>\S+) \| (?<digest>\S+)", None))
            .unwrap();
    assert_eq!(find(&list, &["a.zip"]), listed(&[MD5]));
    let rules = pattern(r#""hash": "(?<digest>[^"]+)""#, Some(Algorithm::Md5));
    let list = List::parse(b"{\"hash\": \"kAFQmDzST7DWlj99KOF/cg==\"}", "", &rules).unwrap();
    assert_eq!(find(&list, &["a"]), listed(&[MD5]));
    let problem =
        List::parse(b"nothing\n", "", &pattern("(?<digest>[0-9a-f]{32})", None)).unwrap_err();
    assert_eq!(problem.message, "no line matches `pattern`");
}

#[test]
fn invalid_lists_are_rejected_with_a_line_number() {
    let sha256 = || wanting(Algorithm::Sha256);
    let rules = Rules::default;
    for (text, rules, line, word) in [
        (String::new(), rules(), None, "empty"),
        (" \n\n".to_owned(), rules(), None, "empty"),
        ("# nothing\n".to_owned(), rules(), None, "no digest"),
        ("<!doctype html>\n<title>Sorry".to_owned(), rules(), Some(1), "web page"),
        ("\n <?xml version=\"1.0\"?>".to_owned(), rules(), Some(1), "web page"),
        (format!("{MD5}  a\nab\0c\n"), rules(), Some(2), "binary"),
        (format!("{MD5}  a\nPlease log in\n"), rules(), Some(2), "`Please log in` is not a line"),
        (format!("{MD5}  a\n{}  b\n", &MD5[1..]), rules(), Some(2), "31 digits"),
        (format!("{MD5}  a\n{}", &SHA256[..10]), rules(), Some(2), "10 digits"),
        (format!("sha256:{SHA1}  a\n"), rules(), Some(1), "a digest of 40 digits is not a sha256"),
        (format!("{MD5}  a\n"), sha256(), Some(1), "a digest of 32 digits is not a sha256"),
        (format!("MD5 (a) = {MD5}\n"), sha256(), None, "no sha256"),
        (format!("SHA256 (a) = {MD5}\n"), rules(), Some(1), "is not a sha256"),
        (format!("crc9:{MD5}  a\n"), rules(), Some(1), "is not a line"),
        (
            format!("{MD5}  a\n{SHA1}  a\n{}  a\n", MD5.replace('9', "8")),
            rules(),
            Some(3),
            "on line 1",
        ),
        (
            format!("{MD5}  a\n{}  ./a\n", MD5.replace('9', "8")),
            rules(),
            Some(2),
            "`a` is listed with another",
        ),
        (format!("{MD5}\n{}\n", MD5.replace('9', "8")), rules(), Some(2), "without a name"),
        (format!("{MD5}  a\n{SHA1}\n"), rules(), Some(2), "without a name, in a list of names"),
        (
            format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: x\n\n{MD5}  a\n"),
            rules(),
            Some(5),
            "cut short",
        ),
        (
            format!("-----BEGIN PGP SIGNED MESSAGE-----\n{MD5}  a\n"),
            rules(),
            Some(2),
            "the head of",
        ),
        (format!("\\{MD5}  a\\x\n"), rules(), Some(1), "not escaped"),
    ] {
        let Err(problem) = List::parse(text.as_bytes(), "", &rules) else {
            panic!("accepted: {text}")
        };
        assert_eq!(problem.line, line, "{problem}\n{text}");
        assert!(problem.message.contains(word), "{problem}\n{text}");
    }
}

#[test]
fn a_name_with_only_unknown_algorithms_is_unlisted() {
    let list = parse(format!("BLAKE2b (a) = {SHA256}\nMD5 (b) = {MD5}\n")).unwrap();
    assert_eq!(find(&list, &["a"]), Lookup::Unlisted);
    assert_eq!(find(&list, &["b"]), listed(&[MD5]));
}

#[test]
fn a_listed_name_of_a_foreign_algorithm_is_found_without_a_digest() {
    let text = format!("SHA512 (a) = {SHA256}{SHA256}\nSHA256 (d/a) = {SHA256}\n");
    let list = List::parse(text.as_bytes(), "", &wanting(Algorithm::Sha256)).unwrap();
    assert_eq!(list.find(&["a"]), Some(Lookup::Unlisted));
    assert_eq!(find(&list, &["d/a"]), listed(&[SHA256]));
}

#[test]
fn many_equal_lines_do_not_take_quadratic_time() {
    let same = format!("{SHA256}  a/__init__.py\n").repeat(30_000);
    assert_eq!(based(&parse(same).unwrap(), "__init__.py"), listed(&[SHA256]));
    let many: Vec<_> = (0..20_000).map(|n| format!("{SHA256}  {n}/__init__.py")).collect();
    let list = parse(many.join("\n")).unwrap();
    for _ in 0..20_000 {
        assert_eq!(based(&list, "x/__init__.py"), listed(&[SHA256]));
    }
}

/// Names that at least one format escapes, or that look like a part of a line.
const ODD: [&str; 11] = [
    "plain.bin",
    "two words.bin",
    " leading",
    "trailing ",
    "*star",
    "back\\slash",
    "new\nline",
    "return\rhere",
    "(a) = b",
    "dir (x)) = /f\u{fc}r",
    "\\n",
];

fn coreutils(folder: &Path, program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).args(ODD).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    output.stdout
}

#[test]
fn the_output_of_coreutils_is_parsed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ODD {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("content of {name}")).unwrap();
    }
    for (program, args, algorithm) in [
        ("sha256sum", &[][..], Algorithm::Sha256),
        ("sha256sum", &["--binary"], Algorithm::Sha256),
        ("sha256sum", &["--tag"], Algorithm::Sha256),
        ("md5sum", &["-b"], Algorithm::Md5),
        ("md5sum", &["--tag"], Algorithm::Md5),
        ("sha1sum", &[], Algorithm::Sha1),
        ("sha512sum", &["--tag"], Algorithm::Sha512),
    ] {
        let list = parse(coreutils(folder.path(), program, args))
            .unwrap_or_else(|problem| panic!("{program} {args:?}: {problem}"));
        for name in ODD {
            let mut hasher = crate::digest::Hasher::new([algorithm].into_iter().collect());
            hasher.update(format!("content of {name}").as_bytes());
            let expected = hasher.finish().get(algorithm).unwrap();
            let found = find(&list, &[name]);
            assert_eq!(found, Lookup::Listed(vec![expected]), "{program} {args:?}: {name:?}");
        }
    }
    let foreign = parse(coreutils(folder.path(), "b2sum", &["--tag"])).unwrap_err();
    assert_eq!(foreign.message, "its digests are `BLAKE2b`, which natsync does not compute");
}

#[test]
fn searching_a_long_list_does_not_take_quadratic_time() {
    let count = 20_000;
    let digest = |n: usize| Digest::of(&n.to_le_bytes());
    let lines: Vec<_> = (0..count).map(|n| format!("{}  dir/{n}.bin", digest(n))).collect();
    let list = parse(lines.join("\n")).unwrap();
    for n in 0..count {
        let expected = Lookup::Listed(vec![digest(n).into()]);
        assert_eq!(find(&list, &[&format!("dir/{n}.bin")]), expected);
        assert_eq!(based(&list, &format!("{n}.bin")), expected);
    }
}

fn escaped(name: &str) -> (String, &'static str) {
    let escaped = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    let mark = if escaped == name { "" } else { "\\" };
    (escaped, mark)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_name_is_found_again(name in "[^\0]{1,20}", tag in any::<bool>()) {
        let plain = normal(name.as_bytes()).into_owned();
        prop_assume!(!name.trim().is_empty() && plain == name.as_bytes());
        prop_assume!(!name.bytes().all(|byte| byte.is_ascii_whitespace()));
        let (written, mark) = escaped(&name);
        let line = if tag {
            format!("{mark}MD5 ({written}) = {MD5}\n")
        } else {
            format!("{mark}{MD5}  {written}\n")
        };
        let list = parse(&line).unwrap();
        prop_assert_eq!(find(&list, &[&name]), listed(&[MD5]), "{}", line);
    }

    #[test]
    fn parsing_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn parsing_mixed_fragments_never_panics(parts in proptest::collection::vec(0usize..14, 0..24)) {
        const PARTS: [&str; 14] = [
            MD5, SHA256, "  ", " *", "\\", "\n", "SHA256 (", ") = ", ")= ", "a/b", "./", "\r\n", "#", "MD5 (",
        ];
        let text: String = parts.iter().map(|&part| PARTS[part]).collect();
        if let Ok(list) = parse(&text) {
            let _ = find(&list, &["a/b", "b"]);
        }
    }
}

#[test]
fn a_list_of_weaker_digests_than_its_name_states_is_refused() {
    let parse = |name: &str, digest: &str| {
        List::parse(format!("{digest}  a.bin\n").as_bytes(), name, &Rules::default())
    };
    for name in ["a.bin.sha256", "SHA256SUMS", "sha512sums.txt"] {
        let problem = parse(name, MD5).unwrap_err();
        assert_eq!(problem.line, Some(1));
        assert!(problem.message.contains("by its name"), "{}", problem.message);
    }
    assert!(parse("MD5SUMS", SHA256).is_ok(), "a stronger digest is no downgrade");
    assert!(parse("SHA256SUMS", SHA256).is_ok());
}
