//! Licences of all we depend on (L1), as SPDX expressions, and where the sources come from (L2).

use std::collections::BTreeSet;

use super::Violation;
use super::house::{House, Licences};
use super::metadata::{Metadata, Package};

/// Each crate of the graph, and the lock file.
pub fn check(house: &House, metadata: &Metadata, lock: Option<&str>) -> Vec<Violation> {
    let rules = &house.licences;
    let foreign = || metadata.packages.iter().filter(|p| p.source.is_some());
    let mut broken: Vec<Violation> = foreign().filter_map(|p| licence(rules, p)).collect();
    let names: BTreeSet<&str> = foreign().map(|p| p.name.as_str()).collect();
    let unused = rules
        .exceptions
        .keys()
        .filter(|name| !names.contains(name.as_str()));
    broken.extend(unused.map(|name| {
        let what = "is not used any more: remove it from [licences.exceptions] of xtask/house.toml";
        Violation::new("L1", name, what)
    }));
    broken.extend(lock.into_iter().flat_map(|lock| sources(rules, lock)));
    broken
}

fn licence(rules: &Licences, package: &Package) -> Option<Violation> {
    let expression = package.license.as_deref().unwrap_or("none");
    let is_excepted = rules.exceptions.get(&package.name).map(String::as_str) == Some(expression);
    let what = format!(
        "its licence is {expression}: only permissive ones are allowed. Do without it, or decide for a named exception in xtask/house.toml"
    );
    (!is_excepted && !is_allowed(expression, &rules.allowed)).then(|| {
        let crate_and_version = format!("{} {}", package.name, package.version);
        Violation::new("L1", crate_and_version, what)
    })
}

/// `OR` needs one allowed side, `AND` both; `A/B` is how `OR` was written once.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) == Some(true) && rest.is_empty()
}

fn either(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut is_allowed = both(words, allowed)?;
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        is_allowed |= both(words, allowed)?;
    }
    Some(is_allowed)
}

fn both(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut is_allowed = one(words, allowed)?;
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        is_allowed &= one(words, allowed)?;
    }
    Some(is_allowed)
}

fn one(words: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let (word, rest) = words.split_first()?;
    *words = rest;
    if *word == "(" {
        let inner = either(words, allowed)?;
        let (&")", rest) = words.split_first()? else {
            return None;
        };
        *words = rest;
        return Some(inner);
    }
    let mut name = (*word).to_owned();
    if let ["WITH", exception, rest @ ..] = *words {
        name = format!("{name} WITH {exception}");
        *words = rest;
    }
    Some(allowed.contains(&name))
}

fn sources(rules: &Licences, lock: &str) -> Vec<Violation> {
    let sources = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "));
    let others: BTreeSet<&str> = sources
        .map(|source| source.trim_matches('"'))
        .filter(|source| *source != rules.source)
        .collect();
    others
        .iter()
        .map(|source| {
            let what = format!("holds a crate from {source}: take it from the public registry");
            Violation::new("L2", "Cargo.lock", what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    const RULES: &str = r#"
        [licences]
        allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-3-Clause"]
        exceptions = { odd = "MPL-2.0" }
        source = "registry"
    "#;

    fn found(name: &str, licence: &str) -> Vec<&'static str> {
        let package = |name: &str, licence: &str| {
            format!(
                r#"{{ "name": "{name}", "version": "1.0.0", "license": "{licence}", "source": "registry",
                      "manifest_path": "/r/Cargo.toml", "dependencies": [] }}"#
            )
        };
        let packages = format!("{}, {}", package(name, licence), package("odd", "MPL-2.0"));
        let json = format!(r#"{{ "workspace_root": "/w", "packages": [{packages}] }}"#);
        let metadata = serde_json::from_str(&json).unwrap();
        rules(&check(&House::of(RULES), &metadata, None))
    }

    #[test]
    fn l1_a_licence_that_is_not_permissive_is_found() {
        for bad in [
            "GPL-3.0",
            "MPL-2.0",
            "MIT AND GPL-3.0",
            "Apache-2.0 WITH Bison-exception",
            "(MIT OR GPL-3.0) AND GPL-3.0",
            "MIT OR",
            "",
        ] {
            assert_eq!(found("a", bad), ["L1"], "{bad}");
        }
        for good in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-3.0 OR Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
            "(MIT OR GPL-3.0) AND BSD-3-Clause",
        ] {
            assert!(found("a", good).is_empty(), "{good}");
        }
    }

    #[test]
    fn l1_an_exception_that_nobody_needs_is_found() {
        let metadata = serde_json::from_str(r#"{ "workspace_root": "/w", "packages": [] }"#);
        let broken = check(&House::of(RULES), &metadata.unwrap(), None);
        assert_eq!(rules(&broken), ["L1"]);
    }

    #[test]
    fn l2_a_crate_from_elsewhere_is_found() {
        let rules_of = |lock| rules(&sources(&House::of(RULES).licences, lock));
        assert_eq!(rules_of("source = \"git+https://a.example\"\n"), ["L2"]);
        assert!(rules_of("source = \"registry\"\nname = \"a\"\n").is_empty());
    }
}
