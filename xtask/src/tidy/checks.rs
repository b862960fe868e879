//! Numbered checks, `CALL-07`: each one in a table of `docs/spec` stands in the code and in a test's
//! name (C1), and each number in the code stands in `docs/spec` (C2). A prefix that `house.toml` lists
//! as pending is only named in the summary.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Violation;
use super::house::House;
use super::tree::{Tree, TreeFile};

const SPEC: &str = "docs/spec/";

/// For the last line of the output.
#[derive(Debug)]
pub struct Summary {
    checks: usize,
    with_test: usize,
    pending: BTreeSet<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} numbered checks, {} with a test of that name.",
            self.checks, self.with_test
        )?;
        if !self.pending.is_empty() {
            let prefixes: Vec<&str> = self.pending.iter().map(String::as_str).collect();
            write!(f, " WARNING, not checked yet: {}.", prefixes.join(", "))?;
        }
        Ok(())
    }
}

/// Numbers with the place where they were first seen.
type Places = BTreeMap<String, String>;

/// Compares the spec pages with all Rust files.
pub fn check(house: &House, tree: &Tree) -> (Summary, Vec<Violation>) {
    let rules = &house.checks;
    let is_spec = |file: &&TreeFile| file.path.starts_with(SPEC);
    let defined = numbers(tree.with_ending(".md").filter(is_spec), defined_in);
    let code = numbers(tree.with_ending(".rs"), all_in);
    let tests = numbers(tree.with_ending(".rs"), in_test_names);

    let is_pending = |number: &str| has(&rules.pending, prefix(number));
    let is_enforced = |number: &str| !is_pending(number) && !has(&rules.ignored, prefix(number));
    let mut broken = Vec::new();
    for (number, place) in &defined {
        if !is_enforced(number) {
            continue;
        }
        if !tests.contains_key(number) {
            let name = number.to_lowercase().replace('-', "_");
            let what = format!("{number} has no test: write one named `{name}_...`");
            broken.push(Violation::new("C1", place, what));
        }
        if !code.contains_key(number) {
            let what = format!("{number} stands nowhere in the code: name it where it is checked");
            broken.push(Violation::new("C1", place, what));
        }
    }
    let mut used = code.clone();
    used.extend(tests.clone());
    for (number, place) in &used {
        if is_enforced(number) && !defined.contains_key(number) {
            let what = format!("{number} stands in no table of {SPEC}: add it there");
            broken.push(Violation::new("C2", place, what));
        }
    }
    let summary = Summary {
        checks: defined.len(),
        with_test: defined.keys().filter(|n| tests.contains_key(*n)).count(),
        pending: rules.pending.iter().cloned().collect(),
    };
    (summary, broken)
}

fn has(list: &[String], name: &str) -> bool {
    list.iter().any(|one| one == name)
}

fn prefix(number: &str) -> &str {
    number.split('-').next().unwrap_or(number)
}

fn numbers<'a>(
    files: impl Iterator<Item = &'a TreeFile>,
    read: impl Fn(&str) -> Vec<String>,
) -> Places {
    let mut places = Places::new();
    for file in files {
        for (index, line) in file.text().lines().enumerate() {
            for number in read(line) {
                let place = || format!("{}:{}", file.path, index + 1);
                places.entry(number).or_insert_with(place);
            }
        }
    }
    places
}

/// A check is defined where it begins a row of a table.
fn defined_in(line: &str) -> Vec<String> {
    let cell = line.strip_prefix('|').and_then(|row| row.split('|').next());
    let cell = cell.unwrap_or_default().trim().trim_matches('`');
    let mut found = all_in(cell);
    found.retain(|number| number == cell);
    found
}

/// `CALL-07`: at least three capital letters, a hyphen, two digits, and nothing that goes on.
fn all_in(line: &str) -> Vec<String> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    line.split(|c| !is_of_word(c))
        .filter(|word| is_number(word))
        .map(str::to_owned)
        .collect()
}

fn is_number(word: &str) -> bool {
    word.split_once('-').is_some_and(|(prefix, digits)| {
        prefix.len() >= 3
            && prefix.bytes().all(|b| b.is_ascii_uppercase())
            && digits.len() == 2
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// `fn call_07_busy_is_said` and `"call_07_busy_is_said"` (a test without libtest) test `CALL-07`; `call_07_08_busy` tests
/// both.
fn in_test_names(line: &str) -> Vec<String> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for word in line.split(|c| !is_of_word(c)) {
        let Some((prefix, rest)) = word.split_once('_') else {
            continue;
        };
        if !prefix.bytes().all(|b| b.is_ascii_lowercase()) {
            continue;
        }
        // The last part says what is tested, so it is no number.
        let parts = rest.rsplit_once('_').map_or("", |(numbers, _)| numbers);
        let numbers = parts
            .split('_')
            .map(|digits| format!("{}-{digits}", prefix.to_uppercase()));
        found.extend(numbers.take_while(|number| is_number(number)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    // The numbers are put together here: whole, they would be looked for in the real spec.
    const RULES: &str = "[checks]\npending = ['FILE']\nignored = ['UTF']";

    fn found(spec: &str, code: &str) -> (Summary, Vec<&'static str>) {
        let tree = Tree::of(&[("docs/spec/call.md", spec), ("a.rs", code)]);
        let (summary, broken) = check(&House::of(RULES), &tree);
        (summary, rules(&broken))
    }

    fn row(number: &str) -> String {
        format!("| CALL-{number} | a caller knocks | - |\n")
    }

    #[test]
    fn c1_a_check_without_a_test_is_found() {
        assert_eq!(found(&row("07"), "").1, ["C1", "C1"]);
        let in_code = format!("// CALL-{}: they knock", "07");
        assert_eq!(found(&row("07"), &in_code).1, ["C1"], "no test");
        let in_test = format!("fn call_{}_they_knock() {{}}", "07");
        assert_eq!(found(&row("07"), &in_test).1, ["C1"], "no code");
        let (summary, broken) = found(&row("07"), &format!("{in_code}\n{in_test}"));
        assert!(broken.is_empty());
        assert_eq!((summary.checks, summary.with_test), (1, 1));
    }

    #[test]
    fn a_test_may_name_several_checks() {
        let numbers = ["07", "08"];
        let test = format!("fn call_{}_they_knock() {{}}", numbers.join("_"));
        let expected = numbers.map(|number| format!("CALL-{number}"));
        assert_eq!(in_test_names(&test), expected);
        assert!(in_test_names(&format!("call_{}", numbers[0])).is_empty());
    }

    #[test]
    fn c2_a_number_that_no_page_knows_is_found() {
        let unknown = format!("// CALL-{}, UTF-16, SHA-256", "99");
        assert_eq!(
            found(&format!("see CALL-{} elsewhere", "99"), &unknown).1,
            ["C2"]
        );
        let test = format!("fn call_{}_they_knock() {{}}", "98");
        assert_eq!(found("", &test).1, ["C2"]);
    }

    #[test]
    fn a_prefix_that_is_pending_is_named() {
        let (summary, broken) = found(&row("07").replace("CALL", "FILE"), "// UTF-16");
        assert!(broken.is_empty());
        assert!(summary.to_string().ends_with("not checked yet: FILE."));
    }
}
