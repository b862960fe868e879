//! Wrong key, damage, a newer version, a full disk, a killed process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use rusqlite::Connection;
use starling_store::contacts;
use starling_store::key::KEY_FILE;
use starling_store::{DATABASE_FILE, Store, StoreError, StoreHandle, messages, outbox, settings};

use crate::{ALICE, NOW, carol_with_friends, contact, message};

/// The database opened behind the store's back, with its key.
pub fn behind(profile: &Path) -> Connection {
    let key: String = fs::read(profile.join(KEY_FILE))
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let connection = Connection::open(profile.join(DATABASE_FILE)).unwrap();
    connection
        .execute_batch(&format!("PRAGMA key = \"x'{key}'\";"))
        .unwrap();
    connection
}

#[test]
fn only_the_owner_reads_the_files_and_nothing_in_them_is_clear() {
    let (dir, mut store) = carol_with_friends();
    let secret = "a sentence that stands nowhere else";
    store
        .write(|tx| messages::insert_outgoing(tx, ALICE, &message(1, secret), NOW))
        .unwrap();
    let profile = dir.path().join("profile");
    assert_eq!(profile.metadata().unwrap().mode() & 0o777, 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&profile).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600, "{path:?}");
        let bytes = fs::read(&path).unwrap();
        assert!(
            !bytes
                .windows(16)
                .any(|part| part == &secret.as_bytes()[..16])
        );
        assert!(!bytes.starts_with(b"SQLite format 3"));
        files += 1;
    }
    assert_eq!(files, 4, "database, log, its index, key");
}

#[test]
fn a_wrong_missing_or_damaged_key_is_named() {
    let (dir, store) = carol_with_friends();
    drop(store);
    let profile = dir.path().join("profile");
    let key = profile.join(KEY_FILE);
    let right = fs::read(&key).unwrap();
    fs::write(&key, [0; 32]).unwrap();
    assert_eq!(Store::open(&profile).unwrap_err(), StoreError::WrongKey);
    fs::write(&key, [0; 31]).unwrap();
    assert!(matches!(
        Store::open(&profile),
        Err(StoreError::KeyDamaged(_))
    ));
    fs::remove_file(&key).unwrap();
    let missing = Store::open(&profile).unwrap_err();
    assert!(
        missing.to_string().contains("store.key is missing"),
        "{missing}"
    );
    assert!(!key.exists(), "no new key is made for an old database");
    fs::write(&key, right).unwrap();
    let store = Store::open(&profile).unwrap();
    assert_eq!(store.read(contacts::list).unwrap().len(), 2);
}

#[test]
fn a_damaged_database_is_an_error_and_never_a_panic() {
    let (dir, mut store) = carol_with_friends();
    store
        .write(|tx| {
            (0..200).try_for_each(|n| {
                messages::insert_outgoing(tx, ALICE, &message(n, &"x".repeat(500)), NOW)
            })
        })
        .unwrap();
    drop(store);
    let profile = dir.path().join("profile");
    let file = profile.join(DATABASE_FILE);
    let good = fs::read(&file).unwrap();
    let read = || {
        Store::open(&profile)?.read(|tx| {
            let page = messages::page(tx, ALICE, None, 1_000)?;
            Ok((contacts::list(tx)?, page))
        })
    };
    let right = read().unwrap();
    let mut noticed = 0;
    for at in (0..good.len()).step_by(4096 * 3 + 100) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        match read() {
            Ok(found) => assert!(found == right, "a page that was not asked for"),
            Err(error) => {
                let typed = matches!(error, StoreError::WrongKey | StoreError::Damaged);
                assert!(typed, "{at}: {error:?}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > 5, "{noticed}");
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    assert!(read().is_err(), "half a file");
    fs::write(&file, good).unwrap();
    assert!(read().unwrap() == right);
}

#[test]
fn a_database_from_a_newer_version_is_left_alone() {
    let (dir, store) = carol_with_friends();
    drop(store);
    let profile = dir.path().join("profile");
    behind(&profile)
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = fs::read(profile.join(DATABASE_FILE)).unwrap();
    let error = Store::open(&profile).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("update Starling"));
    assert_eq!(fs::read(profile.join(DATABASE_FILE)).unwrap(), before);
}

#[test]
fn a_row_that_makes_no_sense_is_damage() {
    let (dir, store) = carol_with_friends();
    behind(&dir.path().join("profile"))
        .execute_batch("UPDATE contacts SET relation = 77")
        .unwrap();
    assert_eq!(store.read(contacts::list), Err(StoreError::Damaged));
}

#[test]
fn every_table_is_strict() {
    let (dir, _store) = carol_with_friends();
    let loose: Vec<String> = behind(&dir.path().join("profile"))
        .prepare(
            // What belongs to the full-text search has a shape of SQLite's own.
            "SELECT name FROM pragma_table_list
             WHERE type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'",
        )
        .unwrap()
        .query_map((), |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(loose, [""; 0]);
}

const FULL: &str = "STARLING_TEST_FULL_DISK";

/// Not a test of its own: runs on a file system of 3 MiB that [`on_a_full_file_system_nothing_is_lost`] makes.
#[test]
fn writer_on_a_small_disk() {
    let Some(disk) = std::env::var_os(FULL) else {
        return;
    };
    let disk = Path::new(&disk);
    let filler = disk.join("filler");
    fs::write(&filler, vec![0; 1 << 20]).unwrap();
    let profile = disk.join("profile");
    let mut store = Store::open(&profile).unwrap();
    store
        .write(|tx| contacts::put(tx, &contact(ALICE, "Alice")))
        .unwrap();
    let store = StoreHandle::start(store).unwrap();
    let big = "x".repeat(16 * 1024);
    let write = |number| {
        let text = big.clone();
        store.write(move |tx| messages::insert_outgoing(tx, ALICE, &message(number, &text), NOW))
    };
    let mut stored = 0;
    let full = loop {
        match write(stored) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "the disk never filled up");
    };
    assert_eq!(full, StoreError::Full);
    assert_eq!(write(stored), Err(StoreError::Full), "still");
    fs::remove_file(&filler).unwrap();
    write(stored).unwrap();
    drop(store);
    let store = Store::open(&profile).unwrap();
    let (pending, _) = store
        .read(|tx| outbox::pending(tx, ALICE, None, 10_000))
        .unwrap();
    assert_eq!(pending.len() as u64, stored + 1);
    println!("all {} messages are there", stored + 1);
}

#[test]
fn on_a_full_file_system_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=3m,mode=700 starling \"$1\" && shift && exec \"$@\"";
    let made = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["faults::writer_on_a_small_disk", "--exact", "--nocapture"])
        .env(FULL, dir.path())
        .output();
    let output = made.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains("running 1 test") {
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{why}"
        );
        println!("SKIPPED: no namespace may be made here: {why}");
        return;
    }
    assert!(said.contains("messages are there"), "{said}");
}

const CHILD: &str = "STARLING_TEST_KILLED_WRITER";

/// Not a test of its own: the process that [`killed_in_the_middle_of_a_write`] starts and kills. It says each number
/// only after the store said that it is durable.
#[test]
fn writer_to_be_killed() {
    let Some(profile) = std::env::var_os(CHILD) else {
        return;
    };
    let store = StoreHandle::start(Store::open(Path::new(&profile)).unwrap()).unwrap();
    store
        .write(|tx| contacts::put(tx, &contact(ALICE, "Alice")))
        .unwrap();
    let (done, answers) = mpsc::channel();
    for number in 0..200_000u64 {
        let done = done.clone();
        store.run(
            move |tx| {
                // Two rows in one transaction: never one without the other.
                settings::set(tx, "count", &number.to_string())?;
                messages::insert_outgoing(tx, ALICE, &message(number, "hi"), NOW)
            },
            move |result| done.send(result.map(|()| number)).unwrap(),
        );
        while let Ok(durable) = answers.try_recv() {
            println!("durable {}", durable.unwrap());
        }
    }
    drop(done);
    for durable in answers {
        println!("durable {}", durable.unwrap());
    }
}

#[test]
fn killed_in_the_middle_of_a_write() {
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "faults::writer_to_be_killed",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, &profile)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: &str| {
        line.rsplit_once("durable ")
            .and_then(|(_, n)| n.parse::<u64>().ok())
    };
    let mut acknowledged = None;
    for line in lines.by_ref().map_while(Result::ok) {
        acknowledged = acknowledged.max(number(&line));
        if acknowledged >= Some(2_000) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said between the last line read and its end; the very last line may be cut off.
    for line in lines.map_while(Result::ok) {
        acknowledged = acknowledged.max(number(&line));
    }
    let acknowledged = acknowledged.expect("the child wrote something");
    assert!(acknowledged >= 2_000, "the child ended by itself");
    assert!(
        profile.join("store.db-wal").metadata().unwrap().len() > 0,
        "a log was left behind"
    );
    let store = Store::open(&profile).unwrap();
    let (pending, _) = store
        .read(|tx| outbox::pending(tx, ALICE, None, 1_000_000))
        .unwrap();
    let expected: Vec<_> = (0..pending.len() as u64)
        .map(|n| message(n, "").id)
        .collect();
    assert!(
        pending.len() as u64 > acknowledged,
        "{} <= {acknowledged}",
        pending.len()
    );
    assert_eq!(pending.iter().map(|m| m.id).collect::<Vec<_>>(), expected);
    let count = store.read(|tx| settings::get(tx, "count")).unwrap();
    assert_eq!(count, Some((pending.len() - 1).to_string()));
}

#[test]
fn a_profile_that_cannot_be_made_says_where() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = Store::open(&dir.path().join("file/profile")).unwrap_err();
    assert!(
        error.to_string().contains("cannot make the folder"),
        "{error}"
    );
}
