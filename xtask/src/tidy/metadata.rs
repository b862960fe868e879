//! What `cargo metadata` (format 1) says about our crates and all they depend on, on this kind of machine.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::tree::output;
use crate::error::XtaskError;

/// The part that matters.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Ours and everybody else's.
    pub packages: Vec<Package>,
    /// The folder of the workspace.
    pub workspace_root: String,
}

/// One crate.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX expression.
    pub license: Option<String>,
    /// Nothing for a crate of ours.
    pub source: Option<String>,
    /// The whole path of its `Cargo.toml`.
    pub manifest_path: String,
    /// What it asks for.
    pub dependencies: Vec<Dependency>,
}

/// What a crate asks for.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The crate's name.
    pub name: String,
    /// Nothing, `dev` or `build`.
    pub kind: Option<String>,
    /// Only a crate of ours has one.
    pub path: Option<String>,
}

impl Metadata {
    /// Our crates.
    pub fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|p| p.source.is_none())
    }

    /// The folder of one of our crates, from the root.
    pub fn folder<'a>(&self, package: &'a Package) -> &'a str {
        let path = package.manifest_path.strip_prefix(&self.workspace_root);
        let path = path.unwrap_or(&package.manifest_path);
        path.trim_start_matches('/')
            .trim_end_matches("Cargo.toml")
            .trim_end_matches('/')
    }
}

/// Asks cargo; without the network if it can, else cargo downloads the sources that are missing.
pub fn read(root: &Path) -> Result<Metadata, XtaskError> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let ask = |more: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo
            .args(["metadata", "--format-version=1", "--locked"])
            .args(["--filter-platform", &triple])
            .args(more)
            .current_dir(root);
        output("cargo metadata", &mut cargo)
    };
    let json = ask(&["--offline"]).or_else(|_| ask(&[]))?;
    serde_json::from_str(&json).map_err(XtaskError::form("cargo metadata"))
}
