//! The program that scores recordings (`lab/voice/score.py`), one process for each recording.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// How it is started.
#[derive(Debug, Clone)]
pub struct Scorer {
    /// A Python with what `lab/voice/requirements.txt` names.
    pub python: PathBuf,
    /// The program.
    pub script: PathBuf,
}

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum ScorerError {
    /// It cannot be started, or spoken to.
    #[error("the scorer {0} cannot be run: {1}")]
    Run(PathBuf, std::io::Error),
    /// It gave up.
    #[error("the scorer failed: {0}")]
    Failed(String),
    /// It does not say what it should.
    #[error("the scorer says something else than scores: {0}")]
    Answer(#[from] serde_json::Error),
}

#[derive(Debug, Serialize)]
struct Job<'a> {
    reference: &'a Path,
    recorded: &'a Path,
    parts: &'a [(f64, f64)],
}

#[derive(Debug, Deserialize)]
struct Scores {
    pesq: Vec<f64>,
}

impl Scorer {
    /// PESQ of each part of a recording; parts begin and end at so many seconds.
    pub fn score(
        &self,
        reference: &Path,
        recorded: &Path,
        parts: &[(f64, f64)],
    ) -> Result<Vec<f64>, ScorerError> {
        let failed = |error| ScorerError::Run(self.python.clone(), error);
        let mut child = Command::new(&self.python)
            .arg(&self.script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let job = Job {
            reference,
            recorded,
            parts,
        };
        let job = serde_json::to_string(&job)?;
        if let Some(mut input) = child.stdin.take() {
            writeln!(input, "{job}").map_err(failed)?;
        }
        let output = child.wait_with_output().map_err(failed)?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.lines().last().unwrap_or_default();
            return Err(ScorerError::Failed(last.to_owned()));
        }
        let scores: Scores = serde_json::from_slice(&output.stdout)?;
        Ok(scores.pesq)
    }
}
