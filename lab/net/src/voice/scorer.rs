//! The program that scores recordings (`lab/voice/score.py`). It judges one recording after the other, so that loading its models is
//! paid for once.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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
    #[error("the scorer stopped at {0}; its words stand above")]
    Stopped(PathBuf),
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

/// What each part of a recording is worth.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Scores {
    /// Wideband PESQ (ITU-T P.862.2), against what was said.
    pub pesq: Vec<f64>,
    /// DNSMOS (P.835, overall), of the recording alone.
    pub dnsmos: Vec<f64>,
    /// PLCMOS v2, of the recording alone.
    pub plcmos: Vec<f64>,
}

/// The running program.
#[derive(Debug)]
pub struct Judge {
    python: PathBuf,
    child: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Scorer {
    /// Starts it.
    pub fn judge(&self) -> Result<Judge, ScorerError> {
        let failed = |error| ScorerError::Run(self.python.clone(), error);
        let mut child = Command::new(&self.python)
            .arg(&self.script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (jobs, answers) = pipes.ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Judge {
            python: self.python.clone(),
            child,
            jobs,
            answers: BufReader::new(answers),
        })
    }
}

impl Judge {
    /// Scores the parts of a recording; they begin and end at so many seconds.
    pub fn score(
        &mut self,
        reference: &Path,
        recorded: &Path,
        parts: &[(f64, f64)],
    ) -> Result<Scores, ScorerError> {
        let job = serde_json::to_string(&Job {
            reference,
            recorded,
            parts,
        })?;
        let mut answer = String::new();
        writeln!(self.jobs, "{job}")
            .and_then(|()| self.answers.read_line(&mut answer))
            .map_err(|error| ScorerError::Run(self.python.clone(), error))?;
        if answer.is_empty() {
            return Err(ScorerError::Stopped(recorded.to_owned()));
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It has nothing to lose; that it is gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
