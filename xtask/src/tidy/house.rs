//! `house.toml`: the rules' data. Unknown keys are errors, so that a misspelt rule does not sleep.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::tree::Tree;
use crate::error::XtaskError;

const PATH: &str = "xtask/house.toml";

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct House {
    /// Who may depend on whom, by crate.
    pub crates: BTreeMap<String, Crate>,
    /// What core crates must not touch.
    pub purity: Purity,
    /// Limits, and what exceeds the soft ones today.
    pub sizes: Sizes,
    /// Numbered checks.
    pub checks: Checks,
    /// Licences of what we depend on.
    pub licences: Licences,
    /// What must not stand in files, or be their name.
    pub words: Words,
    /// Links between pages.
    pub links: Links,
    /// For `cargo xtask test`.
    pub tests: toml::Table,
}

/// A row of the dependency table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crate {
    /// Where it lives.
    pub folder: String,
    /// Which of our crates it may depend on; `"*"` is any.
    pub ours: Vec<String>,
    /// Which of our crates its tests may use besides.
    pub ours_in_tests: Vec<String>,
    /// Which crates of others it may depend on; absent is any. Tests may use any.
    pub external: Option<Vec<String>>,
    /// No sockets, files, clock, threads or chance.
    pub pure: bool,
    /// May hold unsafe code.
    pub may_be_unsafe: bool,
}

/// See [`House::purity`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Purity {
    /// Paths, each with all that is below it.
    pub paths: Vec<String>,
    /// Below these, still allowed.
    pub allowed: Vec<String>,
    /// Names that may not be a part of any path.
    pub names: Vec<String>,
    /// Macros.
    pub macros: Vec<String>,
}

/// See [`House::sizes`]. Lines, and fields of a struct.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sizes {
    /// Lines of a file: soft, hard.
    pub file: [usize; 2],
    /// Lines of a function: soft, hard.
    pub function: [usize; 2],
    /// Nine of ten functions have at most so many lines.
    pub function_p90: usize,
    /// Fields of a struct.
    pub fields: usize,
    /// Files over the soft limit: path and lines.
    pub files: BTreeMap<String, usize>,
    /// Functions over the soft limit: `path::name` and lines.
    pub functions: BTreeMap<String, usize>,
    /// Structs over the limit: `path::name` and fields.
    pub structs: BTreeMap<String, usize>,
}

/// See [`House::checks`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// Prefixes whose numbers need not agree yet between `docs/spec` and the code.
    pub pending: Vec<String>,
    /// What looks like a check's prefix and is none.
    pub ignored: Vec<String>,
}

/// See [`House::licences`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Licences {
    /// Identifiers of SPDX.
    pub allowed: Vec<String>,
    /// Crates with another one, by name.
    pub exceptions: BTreeMap<String, String>,
    /// The only `source` in the lock file.
    pub source: String,
}

/// See [`House::words`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Words {
    /// File and folder names, without ending.
    pub names: Vec<String>,
    /// Whole words that may not stand in sources.
    pub unfinished: Vec<String>,
    /// Texts that may not stand in any file: homes, hosts.
    pub places: Vec<String>,
    /// Texts that hold one of those and are no place of anybody's.
    pub invented: Vec<String>,
    /// Files that hold the words because they are about them.
    pub exempt: Vec<String>,
    /// Files that must exist.
    pub required: Vec<String>,
}

/// See [`House::links`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// Files that are linked to and written later.
    pub pending: Vec<String>,
}

impl House {
    /// Reads it from the tree.
    pub fn read(tree: &Tree) -> Result<Self, XtaskError> {
        let text = tree.text(PATH).ok_or_else(|| XtaskError::Form {
            what: PATH.to_owned(),
            problem: "is missing".to_owned(),
        })?;
        toml::from_str(text).map_err(XtaskError::form(PATH))
    }

    /// One for the rules' tests.
    #[cfg(test)]
    pub fn of(text: &str) -> Self {
        toml::from_str(text).unwrap()
    }
}
