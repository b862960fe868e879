//! A fuzz body's committed corpus: the files of `tests/corpus/<body>/` in the crate that is tested. Those that code makes
//! are compared with what it makes today, so that none is left behind by a format; after a change on purpose
//! `STARLING_WRITE_CORPUS=1` writes them again. Others, found by fuzzing for instance, may lie beside them.

use std::fs;
use std::path::Path;

/// All files, in the order of their names.
pub fn committed(body: &str, made: &[(&str, Vec<u8>)]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(body);
    for (name, bytes) in made {
        let file = folder.join(name);
        if std::env::var_os("STARLING_WRITE_CORPUS").is_some() {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(&file, bytes).expect("it is written");
        }
        let kept = fs::read(&file).expect("the corpus is committed");
        assert!(
            kept == *bytes,
            "{} is not what is written today: run this test with STARLING_WRITE_CORPUS=1",
            file.display()
        );
    }
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the corpus is committed")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    assert!(files.len() >= made.len() && !files.is_empty());
    files
        .iter()
        .map(|file| fs::read(file).expect("it reads"))
        .collect()
}
