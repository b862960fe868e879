//! `cargo xtask tidy`: the rules of the house. Each broken rule is one line that says what to do.
//!
//! The rules' data is `house.toml` (see [`house`]); one module checks one kind of rule, as a plain
//! function from what was read to violations, so each rule is tested on a bad example beside it.
//!
//! Rust is parsed with `syn`. What stands inside a macro call is tokens to it: functions there (as in
//! `proptest!`) are not measured, but paths and test names in them are seen.

mod checks;
mod house;
mod licences;
mod links;
mod metadata;
mod purity;
mod rust_source;
mod sizes;
mod table;
mod tree;
mod words;

use std::fmt;
use std::process::ExitCode;

use crate::error::XtaskError;
use house::House;
use rust_source::RustSource;
use tree::Tree;

/// A rule is broken.
#[derive(Debug)]
pub struct Violation {
    rule: &'static str,
    place: String,
    /// What is wrong and what to do.
    what: String,
}

impl Violation {
    fn new(rule: &'static str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            rule,
            place: place.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.rule, self.place, self.what)
    }
}

/// Checks everything and prints what is broken.
pub fn run() -> Result<ExitCode, XtaskError> {
    let tree = Tree::read()?;
    let house = House::read(&tree)?;
    let metadata = metadata::read(&tree.root)?;
    let (sources, mut broken) = parse(&tree);

    broken.extend(table::check(&house, &metadata));
    broken.extend(purity::check(&house, &tree, &sources));
    broken.extend(sources.iter().filter_map(module_doc));
    let (sizes, too_large) = sizes::check(&house, &sources);
    broken.extend(too_large);
    let (numbers, unknown) = checks::check(&house, &tree);
    broken.extend(unknown);
    broken.extend(licences::check(&house, &metadata, tree.text("Cargo.lock")));
    broken.extend(words::check(&house, &tree));
    broken.extend(links::check(&house, &tree));

    for violation in &broken {
        eprintln!("{violation}");
    }
    println!(
        "tidy: {} broken rules. {sizes}\n      {numbers}",
        broken.len()
    );
    Ok(if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn parse(tree: &Tree) -> (Vec<RustSource>, Vec<Violation>) {
    let mut sources = Vec::new();
    let mut broken = Vec::new();
    for file in tree.with_ending(".rs") {
        match RustSource::parse(&file.path, file.text()) {
            Ok(source) => sources.push(source),
            Err(e) => broken.push(Violation::new("R1", &file.path, format!("is no Rust: {e}"))),
        }
    }
    rust_source::mark_test_modules(&mut sources);
    (sources, broken)
}

fn module_doc(source: &RustSource) -> Option<Violation> {
    let what = "has no module doc: begin it with `//!`, what it is for, its standard, its units";
    (!source.has_module_doc).then(|| Violation::new("D1", &source.path, what))
}

/// For the rules' own tests: the rules that were broken, in order.
#[cfg(test)]
fn rules(broken: &[Violation]) -> Vec<&'static str> {
    broken.iter().map(|violation| violation.rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d1_a_file_without_module_doc_is_found() {
        let source = |text| RustSource::parse("a.rs", text).unwrap();
        let bad = module_doc(&source("/// Of the item.\nfn a() {}\n")).unwrap();
        assert_eq!(bad.rule, "D1");
        assert!(module_doc(&source("//! Of the file.\n\nfn a() {}\n")).is_none());
    }

    #[test]
    fn r1_what_is_no_rust_is_found() {
        let tree = Tree::of(&[("a.rs", "fn ("), ("b.rs", "//! Good.\n")]);
        let (sources, broken) = parse(&tree);
        assert_eq!((sources.len(), rules(&broken)), (1, vec!["R1"]));
    }
}
