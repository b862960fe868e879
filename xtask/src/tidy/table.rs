//! The dependency table: who may depend on whom (T1 to T4), as `cargo metadata` sees it.

use super::Violation;
use super::house::{Crate, House};
use super::metadata::{Dependency, Metadata, Package};

/// All our crates against their rows.
pub fn check(house: &House, metadata: &Metadata) -> Vec<Violation> {
    let mut broken = Vec::new();
    for package in metadata.ours() {
        let Some(row) = house.crates.get(&package.name) else {
            let what = "stands in no row of the dependency table: add [crates.NAME] to xtask/house.toml, or make it a module";
            broken.push(Violation::new("T1", &package.name, what));
            continue;
        };
        broken.extend(place(package, row, metadata.folder(package)));
        let asked = &package.dependencies;
        broken.extend(asked.iter().filter_map(|d| dependency(package, row, d)));
    }
    broken
}

fn place(package: &Package, row: &Crate, folder: &str) -> Option<Violation> {
    let what = format!("lies in {folder}, the table says {}: move it", row.folder);
    (folder != row.folder).then(|| Violation::new("T2", &package.name, what))
}

fn dependency(package: &Package, row: &Crate, asked: &Dependency) -> Option<Violation> {
    let is_for_tests = asked.kind.as_deref() == Some("dev");
    let name = &asked.name;
    let has = |list: &[String]| list.iter().any(|one| one == name || one == "*");
    if asked.path.is_some() {
        let may = has(&row.ours) || (is_for_tests && has(&row.ours_in_tests));
        let what = format!(
            "may not depend on {name}: its row names {:?}. Move the code, or pass a value",
            row.ours
        );
        return (!may).then(|| Violation::new("T3", &package.name, what));
    }
    let may = is_for_tests || row.external.as_deref().is_none_or(has);
    let what = format!(
        "may not depend on {name}: `external` of its row does not name it. Keep what needs it in a shell crate"
    );
    (!may).then(|| Violation::new("T4", &package.name, what))
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    const TABLE: &str = r#"
        [crates.brain]
        folder = "core/brain"
        external = ["serde"]
        [crates.hand]
        folder = "shell/hand"
        ours = ["brain"]
    "#;

    fn found(package: &str) -> Vec<&'static str> {
        let json = format!(r#"{{ "workspace_root": "/w", "packages": [{package}] }}"#);
        let metadata = serde_json::from_str(&json).unwrap();
        rules(&check(&House::of(TABLE), &metadata))
    }

    fn package(name: &str, folder: &str, dependencies: &str) -> String {
        format!(
            r#"{{ "name": "{name}", "version": "1.0.0", "manifest_path": "/w/{folder}/Cargo.toml",
                  "dependencies": [{dependencies}] }}"#
        )
    }

    #[test]
    fn t1_a_crate_without_a_row_is_found() {
        assert_eq!(found(&package("foot", "shell/foot", "")), ["T1"]);
    }

    #[test]
    fn t2_a_crate_in_another_folder_is_found() {
        assert_eq!(found(&package("brain", "shell/brain", "")), ["T2"]);
    }

    #[test]
    fn t3_core_that_leans_on_the_shell_is_found() {
        let hand = r#"{ "name": "hand", "path": "/w/shell/hand" }"#;
        assert_eq!(found(&package("brain", "core/brain", hand)), ["T3"]);
        let brain = r#"{ "name": "brain", "path": "/w/core/brain" }"#;
        assert!(found(&package("hand", "shell/hand", brain)).is_empty());
    }

    #[test]
    fn t4_a_foreign_crate_in_core_is_found() {
        let tokio = r#"{ "name": "tokio" }"#;
        assert_eq!(found(&package("brain", "core/brain", tokio)), ["T4"]);
        assert!(found(&package("hand", "shell/hand", tokio)).is_empty());
        let in_tests = r#"{ "name": "tokio", "kind": "dev" }, { "name": "serde" }"#;
        assert!(found(&package("brain", "core/brain", in_tests)).is_empty());
    }
}
