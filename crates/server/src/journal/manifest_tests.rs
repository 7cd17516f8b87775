//! Tests of manifests.

use super::*;

fn parsed(text: &str) -> Manifest {
    Manifest::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
}

#[test]
fn what_is_written_can_be_read() {
    let text = "file a.2.base.rdb seq 2 type b\nfile a.1.base.rdb seq 1 type h\nfile a.1.incr.aof seq 1 type i\n\
                file \"a b\\x01\" seq 4 type i startoffset 12 endoffset 34\n";
    let manifest = parsed(text);
    assert_eq!(manifest.base, Some(Part::new("a.2.base.rdb", 2, Kind::Base)));
    assert_eq!(manifest.history, [Part::new("a.1.base.rdb", 1, Kind::History)]);
    let last = Part { start_offset: Some(12), end_offset: Some(34), ..Part::new("a b\x01", 4, Kind::Incr) };
    assert_eq!(manifest.incr, [Part::new("a.1.incr.aof", 1, Kind::Incr), last]);
    assert_eq!((manifest.base_seq, manifest.incr_seq), (2, 4));
    assert_eq!(String::from_utf8(manifest.format()).unwrap(), text);
}

#[test]
fn lines_are_read_as_generously_as_by_the_reference() {
    let plain = parsed("file a seq 1 type b\n");
    for text in [
        "# note\nfile a seq 1 type b\n",
        "  FILE a SEQ 1x TYPE bxx \t\r\n",
        "type b seq 1 file \"a\"\n",
        "file a seq 9 seq 1 type b later yes\n",
    ] {
        assert_eq!(parsed(text), plain, "{text:?}");
    }
    assert!(parsed("# nothing\n").is_empty());
    assert_eq!(parsed("file a seq 99999999999999999999 type b\n").base_seq, i64::MAX);
    assert_eq!(parsed("file a seq -1 type b\n").base_seq, -1);
}

#[test]
fn what_is_wrong_is_named() {
    let invalid = "Invalid AOF manifest file format";
    let cases = [
        ("", 0, "", "Found an empty AOF manifest"),
        ("\n", 1, "", invalid),
        ("file a seq 1 type b", 0, "", "The AOF manifest file contains too long line"),
        ("file a seq 1 type\n", 1, "file a seq 1 type", invalid),
        ("file a seq 0 type b\n", 1, "file a seq 0 type b", invalid),
        ("file a seq x type b\n", 1, "file a seq x type b", invalid),
        ("file a seq 1 type \"\"\n", 1, "file a seq 1 type \"\"", invalid),
        ("file a seq 1 file b\n", 1, "file a seq 1 file b", invalid),
        ("file \"a seq 1 type b\n", 1, "file \"a seq 1 type b", invalid),
        ("# c\n # c\n", 2, "# c", invalid),
        ("file a seq 1 type x\n", 1, "file a seq 1 type x", "Unknown AOF file type"),
        ("file a/b seq 1 type b\n", 1, "file a/b seq 1 type b", "File can't be a path, just a filename"),
        (
            "file a seq 1 type b\nfile c seq 2 type b\n",
            2,
            "file c seq 2 type b",
            "Found duplicate base file information",
        ),
        (
            "file a seq 2 type i\nfile c seq 2 type i\n",
            2,
            "file c seq 2 type i",
            "Found a non-monotonic sequence number",
        ),
    ];
    for (text, line, shown, reason) in cases {
        let error = Manifest::parse(text.as_bytes()).expect_err(text);
        assert_eq!(error, ManifestError { line, text: shown.into(), reason }, "{text:?}");
    }
    let report = Manifest::parse(b"\n").unwrap_err().report();
    let expected = "\n*** FATAL AOF MANIFEST FILE ERROR ***\nReading the manifest file, at line 1\n>>> ''\n";
    assert_eq!(report, format!("{expected}{invalid}\n"));
}

#[test]
fn a_long_comment_goes_on_as_a_line() {
    let comment = |digits| format!("#{}\nfile a seq 1 type b\n", "0".repeat(digits));
    assert_eq!(parsed(&comment(1022)).base_seq, 1);
    let error = Manifest::parse(comment(1023).as_bytes()).unwrap_err();
    assert_eq!((error.line, error.text.as_str()), (2, ""));
    let error = Manifest::parse(comment(1030).as_bytes()).unwrap_err();
    assert_eq!((error.line, error.text.as_str()), (2, "0000000"));
}

#[test]
fn new_files_take_the_next_numbers() {
    let mut manifest = Manifest::default();
    assert_eq!(manifest.next_base("a", true).name, Path::new("a.1.base.rdb"));
    assert_eq!(manifest.next_incr("a").name, Path::new("a.1.incr.aof"));
    // A rewrite.
    assert_eq!(manifest.next_incr("a").seq, 2);
    manifest.next_base("a", false);
    manifest.retire_incr(1);
    assert_eq!(
        String::from_utf8(manifest.format()).unwrap(),
        "file a.2.base.aof seq 2 type b\nfile a.1.incr.aof seq 1 type h\nfile a.1.base.rdb seq 1 type h\n\
         file a.2.incr.aof seq 2 type i\n"
    );
    assert_eq!(manifest.parts().count(), 2);
}

/// A directory that goes away.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> (Home, Layout) {
        let home = std::env::temp_dir().join(format!("kinovar-manifest-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).unwrap();
        let layout = Layout { home: home.clone(), dir: home.join("aofdir"), prefix: "a.aof".into() };
        (Home(home), layout)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_manifest_is_replaced_and_history_deleted() {
    let (_home, layout) = Home::new("store");
    assert_eq!(layout.load().unwrap(), Manifest::default());
    layout.make_dir().unwrap();
    layout.make_dir().unwrap();
    assert_eq!(layout.load().unwrap(), Manifest::default());
    let mut manifest = Manifest::default();
    fs::write(layout.path(manifest.next_incr("a.aof")), "x").unwrap();
    manifest.next_incr("a.aof");
    manifest.retire_incr(1);
    layout.store(&manifest).unwrap();
    assert_eq!(layout.load().unwrap(), manifest);
    let history = std::mem::take(&mut manifest.history);
    layout.store(&manifest).unwrap();
    layout.delete(&history);
    let left: Vec<_> = fs::read_dir(&layout.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["a.aof.manifest"]);
    fs::write(layout.dir.join("a.aof.manifest"), "").unwrap();
    assert!(layout.load().unwrap_err().contains("Found an empty AOF manifest"));
}

#[test]
fn an_old_file_becomes_the_base() {
    let (_home, layout) = Home::new("upgrade");
    let mut manifest = Manifest::default();
    assert!(!layout.upgrade(&mut manifest).unwrap(), "there is none");
    fs::write(layout.home.join("a.aof"), "old").unwrap();
    // A crash between the two steps.
    layout.make_dir().unwrap();
    fs::write(layout.dir.join("a.aof.manifest"), "file a.aof seq 1 type b\n").unwrap();
    let mut manifest = layout.load().unwrap();
    assert!(layout.upgrade(&mut manifest).unwrap());
    assert_eq!(fs::read(layout.dir.join("a.aof")).unwrap(), b"old");
    assert_eq!(layout.load().unwrap(), manifest);
    // Another file of that name is not touched any more.
    fs::write(layout.home.join("a.aof"), "new").unwrap();
    assert!(!layout.upgrade(&mut manifest).unwrap());
    assert_eq!(fs::read(layout.home.join("a.aof")).unwrap(), b"new");
}

#[test]
fn long_names_of_unusual_bytes_can_be_read_again() {
    for byte in [0x01, 0x1b, b' ', b'"', b'\n', b'\r', 0x80, 0xff] {
        let name = OsStr::from_bytes(&[byte; NAME_MAX]).to_owned();
        let mut manifest = Manifest { base_seq: i64::MAX, incr_seq: i64::MAX, ..Manifest::default() };
        let part = Part { start_offset: Some(i64::MIN), end_offset: Some(i64::MIN), ..Part::new(&name, 1, Kind::Base) };
        manifest.base = Some(Part { seq: i64::MAX, ..part.clone() });
        manifest.incr.push(Part { seq: i64::MAX, kind: Kind::Incr, ..part });
        assert_eq!(Manifest::parse(&manifest.format()), Ok(manifest), "{byte}");
    }
}
