//! Received files: where they may lie and what they may replace.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};

use starling_store::StoreError;
use starling_store::blobs::Downloads;
use starling_wire::ids::TransferId;

const ID: TransferId = TransferId([7; 16]);

fn downloads() -> (tempfile::TempDir, Downloads) {
    let dir = tempfile::tempdir().unwrap();
    let downloads = Downloads::open(&dir.path().join("Downloads")).unwrap();
    (dir, downloads)
}

fn named(name: &'static str) -> impl Fn(u32) -> String {
    move |number| match number {
        1 => name.to_owned(),
        _ => format!("{number} {name}"),
    }
}

#[test]
fn a_file_is_moved_when_complete_and_never_replaces_another() {
    let (_dir, downloads) = downloads();
    fs::write(downloads.path().join("a.sh"), "mine").unwrap();
    let mut file = downloads.begin(ID).unwrap();
    file.write_all(b"theirs").unwrap();
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
    let path = downloads.finish(ID, named("a.sh")).unwrap();
    assert_eq!(path, downloads.path().join("2 a.sh"));
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    assert_eq!(fs::read(downloads.path().join("a.sh")).unwrap(), b"mine");
    assert_eq!(
        path.metadata().unwrap().mode() & 0o7111,
        0,
        "nothing received ever runs"
    );
    assert!(!downloads.part_path(ID).exists());
}

#[test]
fn file_01_no_name_leads_out_of_the_folder() {
    let (dir, downloads) = downloads();
    fs::create_dir(downloads.path().join("sub")).unwrap();
    for name in [
        "", ".", "..", "../x", "/etc/x", "sub/x", "x/", "x\0y", "x\\y",
    ] {
        downloads.begin(ID).unwrap();
        let refused = downloads.finish(ID, |_| name.to_owned());
        assert_eq!(refused, Err(StoreError::Name(name.to_owned())), "{name:?}");
        downloads.discard(ID).unwrap();
    }
    downloads.begin(ID).unwrap();
    let long = downloads.finish(ID, |_| "x".repeat(256));
    assert!(matches!(long, Err(StoreError::Name(_))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_link_in_the_way_is_neither_followed_nor_replaced() {
    let (dir, downloads) = downloads();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, downloads.part_path(ID)).unwrap();
    assert!(matches!(downloads.begin(ID), Err(StoreError::Exists(_))));
    assert!(downloads.resume(ID).is_err());
    downloads.discard(ID).unwrap();
    fs::hard_link(&victim, downloads.part_path(ID)).unwrap();
    assert!(
        downloads.resume(ID).is_err(),
        "a second name of another file"
    );
    downloads.discard(ID).unwrap();
    // A dangling link under the wanted name is taken as taken.
    symlink(dir.path().join("nowhere"), downloads.path().join("b")).unwrap();
    downloads.begin(ID).unwrap();
    let path = downloads.finish(ID, named("b")).unwrap();
    assert_eq!(path, downloads.path().join("2 b"));
    assert!(!dir.path().join("nowhere").exists());
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn an_unfinished_file_is_found_again() {
    let (_dir, downloads) = downloads();
    assert!(downloads.resume(ID).unwrap().is_none());
    downloads.begin(ID).unwrap().write_all(b"half").unwrap();
    let again = Downloads::open(downloads.path()).unwrap();
    let mut text = String::new();
    again
        .resume(ID)
        .unwrap()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "half");
    again.discard(ID).unwrap();
    again.discard(ID).unwrap();
    assert_eq!(
        again.finish(ID, named("c")),
        Err(StoreError::Missing("unfinished file"))
    );
}

#[test]
fn when_every_name_is_taken_the_file_stays_unfinished() {
    let (_dir, downloads) = downloads();
    fs::write(downloads.path().join("d"), "mine").unwrap();
    downloads.begin(ID).unwrap();
    let taken = downloads.finish(ID, |_| "d".to_owned());
    assert!(matches!(taken, Err(StoreError::Exists(_))));
    assert!(downloads.part_path(ID).exists());
}
