//! Received files: where they may lie and what they may replace.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use starling_store::StoreError;
use starling_store::blobs::Downloads;
use starling_wire::ids::TransferId;

const ID: TransferId = TransferId([7; 16]);

fn downloads() -> (tempfile::TempDir, Downloads) {
    let dir = tempfile::tempdir().unwrap();
    let downloads = Downloads::open(&dir.path().join("Downloads")).unwrap();
    (dir, downloads)
}

fn finish(downloads: &Downloads, name: &str) -> Result<PathBuf, StoreError> {
    downloads.finish(ID, name, |_| Ok(()))
}

#[test]
fn a_file_is_moved_when_complete_and_never_replaces_another() {
    let (_dir, downloads) = downloads();
    fs::write(downloads.path().join("a.sh"), "mine").unwrap();
    let mut file = downloads.begin(ID).unwrap();
    file.write_all(b"theirs").unwrap();
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
    let path = finish(&downloads, "a.sh").unwrap();
    assert_eq!(path, downloads.path().join("a (2).sh"));
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
fn file_03_no_name_leads_out_of_the_folder() {
    let (dir, downloads) = downloads();
    fs::create_dir(downloads.path().join("sub")).unwrap();
    let long = "x".repeat(5_000);
    let names = [
        "", ".", "..", "../x", "/etc/x", "sub/x", "x/", "x\0y", "..\\x", &long,
    ];
    for name in names {
        downloads.begin(ID).unwrap();
        let path = finish(&downloads, name).unwrap();
        assert_eq!(path.parent(), Some(downloads.path()), "{name:?}");
        assert!(path.symlink_metadata().unwrap().is_file(), "{name:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(
        fs::read_dir(downloads.path().join("sub")).unwrap().count(),
        0
    );
    assert_eq!(
        fs::read_dir(downloads.path()).unwrap().count(),
        names.len() + 1
    );
}

#[test]
fn a_link_in_the_way_is_neither_followed_nor_replaced() {
    let (dir, downloads) = downloads();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, downloads.part_path(ID)).unwrap();
    assert!(matches!(downloads.begin(ID), Err(StoreError::Exists(_))));
    assert!(downloads.resume(ID).is_err(), "not followed");
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
    let path = finish(&downloads, "b").unwrap();
    assert_eq!(path, downloads.path().join("b (2)"));
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
        finish(&again, "c"),
        Err(StoreError::Missing("unfinished file"))
    );
}

#[test]
fn file_04_a_taken_name_is_numbered_however_often() {
    let (_dir, downloads) = downloads();
    for number in 1..=20 {
        downloads.begin(ID).unwrap();
        let path = finish(&downloads, "d.txt").unwrap();
        let name = match number {
            1 => "d.txt".to_owned(),
            _ => format!("d ({number}).txt"),
        };
        assert_eq!(path, downloads.path().join(name));
    }
}

#[test]
fn file_11_where_a_file_goes_is_noted_before_it_lies_there() {
    let (_dir, downloads) = downloads();
    fs::write(downloads.path().join("e.txt"), "mine").unwrap();
    downloads.begin(ID).unwrap().write_all(b"theirs").unwrap();
    let refuse = |_: &Path| Err(StoreError::Closed);
    assert_eq!(
        downloads.finish(ID, "e.txt", refuse),
        Err(StoreError::Closed)
    );
    assert!(
        downloads.part_path(ID).exists(),
        "nothing moves without a note"
    );
    // Somebody takes the noted name: the next one is noted as well.
    let mut noted = Vec::new();
    let note = |path: &Path| {
        if noted.is_empty() {
            fs::write(path, "in between").unwrap();
        }
        noted.push(path.to_owned());
        Ok::<(), StoreError>(())
    };
    let path = downloads.finish(ID, "e.txt", note).unwrap();
    let names = ["e (2).txt", "e (3).txt"].map(|name| downloads.path().join(name));
    assert_eq!((noted.as_slice(), &path), (names.as_slice(), &names[1]));
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
}

#[test]
fn a_finished_file_is_opened_by_its_name_and_nothing_else_is() {
    let (dir, downloads) = downloads();
    assert!(downloads.finished("f").unwrap().is_none());
    downloads.begin(ID).unwrap().write_all(b"done").unwrap();
    finish(&downloads, "f").unwrap();
    let mut text = String::new();
    let mut file = downloads.finished("f").unwrap().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "done");
    fs::create_dir(downloads.path().join("folder")).unwrap();
    assert!(downloads.finished("folder").unwrap().is_none());
    symlink(dir.path().join("Downloads/f"), downloads.path().join("g")).unwrap();
    assert!(downloads.finished("g").is_err(), "not followed");
}
