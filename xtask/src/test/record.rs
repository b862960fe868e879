//! What the runner's processes leave for `cargo xtask test`: JSON lines in a folder of their own.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::XtaskError;

/// Names the folder to the runner.
const FOLDER: &str = "STARLING_TEST_RECORD";
/// Names the packages that wait, separated by spaces.
const ALONE: &str = "STARLING_TESTS_ALONE";
const TIMES: &str = "times.jsonl";
const DEFERRED: &str = "deferred.jsonl";

/// How long one test took.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct TestTime {
    /// The package it belongs to.
    pub package: String,
    /// Its path in the binary.
    pub name: String,
    /// From its start to its result.
    pub seconds: f64,
}

/// A test binary that runs after all others, as cargo would have started it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Deferred {
    /// The package it belongs to.
    pub package: String,
    /// The binary.
    pub program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Deferred {
    /// The binary that cargo has just asked this process to run.
    pub fn from_here(
        package: &str,
        program: &Path,
        arguments: &[String],
    ) -> Result<Self, XtaskError> {
        let is_cargos = |name: &str| name.starts_with("CARGO") || name == "LD_LIBRARY_PATH";
        Ok(Self {
            package: package.to_owned(),
            program: program.to_owned(),
            arguments: arguments.to_vec(),
            folder: std::env::current_dir().map_err(XtaskError::file("."))?,
            environment: std::env::vars()
                .filter(|(name, _)| is_cargos(name))
                .collect(),
        })
    }

    /// Starts it the way cargo would have.
    pub fn command(&self) -> impl Fn() -> Command {
        || {
            let mut command = Command::new(&self.program);
            command
                .args(&self.arguments)
                .current_dir(&self.folder)
                .envs(&self.environment);
            command
        }
    }
}

/// The folder.
#[derive(Debug)]
pub struct Record {
    folder: PathBuf,
}

impl Record {
    /// Makes an empty one.
    pub fn create() -> Result<Self, XtaskError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("starling-tests-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).map_err(XtaskError::file(&folder))?;
        Ok(Self { folder })
    }

    /// The one that `cargo xtask test` named to this process, and whether `package` waits.
    pub fn from_environment(package: &str) -> Option<(Self, bool)> {
        let folder = std::env::var_os(FOLDER)?.into();
        let alone = std::env::var(ALONE).unwrap_or_default();
        let waits = alone.split(' ').any(|name| name == package);
        Some((Self { folder }, waits))
    }

    /// What [`Self::from_environment`] reads.
    pub fn environment(&self, alone: &[String]) -> [(&'static str, String); 2] {
        let folder = self.folder.to_string_lossy().into_owned();
        [(FOLDER, folder), (ALONE, alone.join(" "))]
    }

    /// Adds a test's time.
    pub fn add_time(&self, time: &TestTime) -> Result<(), XtaskError> {
        self.add(TIMES, time)
    }

    /// Adds a binary to run later.
    pub fn add_deferred(&self, deferred: &Deferred) -> Result<(), XtaskError> {
        self.add(DEFERRED, deferred)
    }

    /// All times.
    pub fn times(&self) -> Result<Vec<TestTime>, XtaskError> {
        self.read(TIMES)
    }

    /// All binaries to run later.
    pub fn deferred(&self) -> Result<Vec<Deferred>, XtaskError> {
        self.read(DEFERRED)
    }

    /// Removes the folder.
    pub fn remove(self) -> Result<(), XtaskError> {
        fs::remove_dir_all(&self.folder).map_err(XtaskError::file(&self.folder))
    }

    fn add(&self, file: &str, line: &impl Serialize) -> Result<(), XtaskError> {
        let path = self.folder.join(file);
        let mut line = serde_json::to_string(line).map_err(XtaskError::form(file))?;
        line.push('\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut open| open.write_all(line.as_bytes()))
            .map_err(XtaskError::file(path))
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Result<Vec<T>, XtaskError> {
        let path = self.folder.join(file);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&path).map_err(XtaskError::file(path))?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(XtaskError::form(file)))
            .collect()
    }
}
