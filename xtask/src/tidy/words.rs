//! Names that say nothing (N1), unfinished work (N2), places that belong to somebody's machine (N3),
//! files that every clone must have (F1).

use super::Violation;
use super::house::{House, Words};
use super::tree::{Tree, TreeFile};

/// What counts as a source for N2; prose may speak of unfinished work.
const SOURCES: [&str; 6] = [".rs", ".js", ".css", ".toml", ".sh", "Makefile"];
/// Written by cargo: its registry's address is no secret and no choice of ours (L2 looks at it).
const LOCK: &str = "Cargo.lock";

/// All files.
pub fn check(house: &House, tree: &Tree) -> Vec<Violation> {
    let rules = &house.words;
    let mut broken = Vec::new();
    let here = tree.root.to_string_lossy();
    for file in &tree.files {
        broken.extend(name(rules, file));
        if file.path == LOCK || rules.exempt.contains(&file.path) {
            continue;
        }
        broken.extend(unfinished(rules, file));
        broken.extend(places(rules, &here, file));
    }
    let required = rules
        .required
        .iter()
        .filter(|path| tree.text(path).is_none());
    broken.extend(required.map(|path| Violation::new("F1", path, "is missing: write it")));
    broken
}

fn name(rules: &Words, file: &TreeFile) -> Option<Violation> {
    let says_nothing = |part: &str| {
        let stem = part.split('.').next().unwrap_or(part);
        rules.names.iter().any(|name| name == stem)
    };
    let what = "this name says nothing: name the file after what it holds";
    let is_bad = file.path.split('/').any(says_nothing);
    is_bad.then(|| Violation::new("N1", &file.path, what))
}

fn unfinished(rules: &Words, file: &TreeFile) -> Vec<Violation> {
    let is_source = SOURCES.iter().any(|ending| file.path.ends_with(ending));
    let find = |line: &str| {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '!';
        let mut words = line.split(|c| !is_of_word(c));
        words
            .find(|word| rules.unfinished.iter().any(|one| one == word))
            .map(str::to_owned)
    };
    if !is_source {
        return Vec::new();
    }
    on_lines(file, "N2", find, "do it now, or write an issue")
}

fn places(rules: &Words, here: &str, file: &TreeFile) -> Vec<Violation> {
    let find = |line: &str| {
        let mut line = line.to_owned();
        for invented in &rules.invented {
            line = line.replace(invented.as_str(), "");
        }
        let mut all = rules.places.iter().map(String::as_str).chain([here]);
        all.find(|place| line.contains(place)).map(str::to_owned)
    };
    on_lines(
        file,
        "N3",
        find,
        "no file may name a machine's folders or a registry's host",
    )
}

fn on_lines(
    file: &TreeFile,
    rule: &'static str,
    find: impl Fn(&str) -> Option<String>,
    advice: &str,
) -> Vec<Violation> {
    let lines = file.text().lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let found = find(line)?;
            let place = format!("{}:{}", file.path, index + 1);
            Some(Violation::new(rule, place, format!("`{found}`: {advice}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    const RULES: &str = "
        [words]
        names = ['util']
        unfinished = ['LATER', 'later!']
        places = ['/homes/']
        invented = ['/homes/alice']
        exempt = ['rules.toml']
        required = []
    ";

    fn found(path: &str, text: &str) -> Vec<&'static str> {
        rules(&check(&House::of(RULES), &Tree::of(&[(path, text)])))
    }

    #[test]
    fn n1_a_name_that_says_nothing_is_found() {
        assert_eq!(found("a/util.rs", ""), ["N1"]);
        assert_eq!(found("a/util/b.js", ""), ["N1"]);
        assert!(found("a/utility_meter.rs", "").is_empty());
    }

    #[test]
    fn n2_unfinished_work_is_found() {
        assert_eq!(found("a.rs", "// LATER: more"), ["N2"]);
        assert_eq!(found("a.rs", "fn a() { later!() }"), ["N2"]);
        assert!(found("a.rs", "fn later() { LATER_ON }").is_empty());
        assert!(found("a.md", "LATER").is_empty());
    }

    #[test]
    fn n3_a_place_on_somebodys_machine_is_found() {
        assert_eq!(found("a.md", "see /homes/bob/a"), ["N3"]);
        assert_eq!(found("a.rs", "\"/nowhere/starling/target\""), ["N3"]);
        assert!(found("a.md", "/homes/alice/a").is_empty());
        assert!(found("rules.toml", "/homes/").is_empty());
    }

    #[test]
    fn f1_a_missing_file_is_found() {
        let house = House::of("[words]\nrequired = ['README.md']");
        assert_eq!(rules(&check(&house, &Tree::of(&[]))), ["F1"]);
        assert!(check(&house, &Tree::of(&[("README.md", "")])).is_empty());
    }
}
