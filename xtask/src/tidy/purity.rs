//! Core crates touch nothing outside themselves (P1), and nobody but a named crate is unsafe (P2).

use super::Violation;
use super::house::{Crate, House, Purity};
use super::rust_source::{RustSource, Use};
use super::tree::Tree;

/// All our crates; the tests of core crates may do what they like.
pub fn check(house: &House, tree: &Tree, sources: &[RustSource]) -> Vec<Violation> {
    let mut broken = Vec::new();
    for row in house.crates.values() {
        broken.extend(unsafe_code(row, tree));
        let folder = format!("{}/", row.folder);
        let of_row =
            |source: &&RustSource| row.pure && !source.is_test && source.path.starts_with(&folder);
        for source in sources.iter().filter(of_row) {
            let effects = source
                .uses
                .iter()
                .filter(|one| is_effect(&house.purity, one));
            broken.extend(effects.map(|one| effect(source, one)));
        }
    }
    broken
}

fn effect(source: &RustSource, one: &Use) -> Violation {
    let place = format!("{}:{}", source.path, one.line);
    let what = format!(
        "`{}` in a core crate: take it as an argument (a moment, a seed, bytes), or use an ordered collection",
        one.path
    );
    Violation::new("P1", place, what)
}

fn is_effect(purity: &Purity, one: &Use) -> bool {
    let has = |list: &[String], name: &str| list.iter().any(|one| one == name);
    let path = one.path.trim_end_matches('!');
    let is_below = |list: &[String]| {
        list.iter().any(|top| {
            let rest = path.strip_prefix(top.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    };
    let is_macro = one.path.ends_with('!');
    let mut parts = path.split("::");
    parts.any(|part| has(&purity.names, part) || (is_macro && has(&purity.macros, part)))
        || (is_below(&purity.paths) && !is_below(&purity.allowed))
}

/// The lints of the workspace forbid it; a crate takes them over, or forbids it itself.
fn unsafe_code(row: &Crate, tree: &Tree) -> Option<Violation> {
    let path = format!("{}/Cargo.toml", row.folder);
    let manifest: toml::Table = tree.text(&path)?.parse().ok()?;
    let lints = manifest.get("lints");
    let takes_over = lints.and_then(|l| l.get("workspace")?.as_bool()) == Some(true);
    let forbids = |table: Option<&toml::Value>| {
        table.and_then(|t| t.get("rust")?.get("unsafe_code")?.as_str()) == Some("forbid")
    };
    let workspace: toml::Table = tree.text("Cargo.toml")?.parse().ok()?;
    let shared = workspace.get("workspace").and_then(|w| w.get("lints"));
    if row.may_be_unsafe || forbids(lints) || (takes_over && forbids(shared)) {
        return None;
    }
    let what = "does not forbid unsafe code: write `[lints] workspace = true`";
    Some(Violation::new("P2", path, what))
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    const RULES: &str = r#"
        [crates.brain]
        folder = "core/brain"
        pure = true
        [crates.hand]
        folder = "shell/hand"
        [purity]
        paths = ["tokio", "std::net", "std::time::SystemTime"]
        allowed = ["std::net::IpAddr"]
        names = ["HashMap"]
        macros = ["println"]
    "#;

    fn found(path: &str, text: &str) -> Vec<&'static str> {
        let sources = [RustSource::parse(path, text).unwrap()];
        rules(&check(&House::of(RULES), &Tree::of(&[]), &sources))
    }

    #[test]
    fn p1_effects_in_core_are_found() {
        for bad in [
            "use std::net::UdpSocket;",
            "use std::{time::SystemTime};",
            "async fn a() { tokio::spawn(b) }",
            "fn a(m: std::collections::HashMap<u8, u8>) {}",
            "fn a() { println!(\"\"); }",
            "fn a() { assert!(tokio::spawn(b)); }",
            "fn a() { tokio::select!(); }",
        ] {
            assert_eq!(found("core/brain/src/lib.rs", bad), ["P1"], "{bad}");
            assert!(found("shell/hand/src/lib.rs", bad).is_empty());
            assert!(found("core/brain/tests/it/main.rs", bad).is_empty());
        }
        let good = "use std::net::IpAddr; use std::time::Duration; fn a() { b!() }";
        assert!(found("core/brain/src/lib.rs", good).is_empty());
    }

    #[test]
    fn p2_a_crate_that_does_not_forbid_unsafe_code_is_found() {
        let workspace = "[workspace.lints.rust]\nunsafe_code = \"forbid\"";
        let found = |manifest, workspace| {
            let tree = Tree::of(&[
                ("Cargo.toml", workspace),
                ("shell/hand/Cargo.toml", manifest),
            ]);
            rules(&check(&House::of(RULES), &tree, &[]))
        };
        assert_eq!(found("[package]", workspace), ["P2"]);
        assert_eq!(found("[lints]\nworkspace = true", "[workspace]"), ["P2"]);
        assert!(found("[lints]\nworkspace = true", workspace).is_empty());
        assert!(found("[lints.rust]\nunsafe_code = \"forbid\"", "").is_empty());
    }
}
