//! The files of the clone: what git tracks, and what is new and not ignored.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::XtaskError;

/// All files.
#[derive(Debug)]
pub struct Tree {
    /// The folder of the workspace.
    pub root: PathBuf,
    /// Sorted by path.
    pub files: Vec<TreeFile>,
}

/// One file.
#[derive(Debug)]
pub struct TreeFile {
    /// From the root, with `/`.
    pub path: String,
    /// Nothing if it is no text.
    text: Option<String>,
}

impl TreeFile {
    /// Its text; empty if it is no text.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

impl Tree {
    /// Reads the clone in which this program was built.
    pub fn read() -> Result<Self, XtaskError> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .canonicalize()
            .map_err(XtaskError::file("."))?;
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others"])
            .args(["--exclude-standard", "--deduplicate"])
            .current_dir(&root);
        let listed = output("git ls-files", &mut git)?;
        let mut files = Vec::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // Deleted, not yet committed; or a link to a folder.
            if !root.join(path).is_file() {
                continue;
            }
            let bytes = std::fs::read(root.join(path)).map_err(XtaskError::file(path))?;
            files.push(TreeFile {
                path: path.to_owned(),
                text: String::from_utf8(bytes).ok(),
            });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root, files })
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        let file = self.files.iter().find(|file| file.path == path)?;
        Some(file.text())
    }

    /// The files whose names end so.
    pub fn with_ending(&self, ending: &str) -> impl Iterator<Item = &TreeFile> {
        self.files
            .iter()
            .filter(move |file| file.path.ends_with(ending))
    }

    /// One for the rules' tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| TreeFile {
            path: (*path).to_owned(),
            text: Some((*text).to_owned()),
        });
        Self {
            root: PathBuf::from("/nowhere/starling"),
            files: files.collect(),
        }
    }
}

/// What a program writes, if it succeeds.
pub fn output(program: &str, command: &mut Command) -> Result<String, XtaskError> {
    let output = command.output().map_err(XtaskError::start(program))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(XtaskError::form(program));
    }
    Err(XtaskError::Failed {
        program: program.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
