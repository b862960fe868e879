//! Links between pages (M1): a relative link of a page leads to a file or a folder of this tree. What stands in code blocks is
//! no link; addresses of others are not looked at.

use super::Violation;
use super::house::House;
use super::tree::{Tree, TreeFile};

/// All pages.
pub fn check(house: &House, tree: &Tree) -> Vec<Violation> {
    let mut broken = Vec::new();
    for page in tree.with_ending(".md") {
        for (line, target) in links(page) {
            let Some(path) = resolve(&page.path, &target) else {
                continue;
            };
            if !exists(tree, &path) && !house.links.pending.contains(&path) {
                let place = format!("{}:{line}", page.path);
                let what =
                    format!("links to {path}, which does not exist: write it or drop the link");
                broken.push(Violation::new("M1", place, what));
            }
        }
    }
    broken
}

fn links(page: &TreeFile) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in page.text().lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                found.push((index + 1, target.to_owned()));
            }
        }
    }
    found
}

/// From the root of the tree; `None` for what is no file of ours.
fn resolve(page: &str, target: &str) -> Option<String> {
    let path = target.split(['#', ' ']).next().unwrap_or_default();
    if path.is_empty() || path.contains(':') {
        return None;
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn exists(tree: &Tree, path: &str) -> bool {
    let is_in = |file: &TreeFile| {
        let rest = file.path.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path.is_empty() || tree.files.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    fn found(text: &str) -> Vec<&'static str> {
        let tree = Tree::of(&[
            ("docs/user/a.md", text),
            ("docs/b.md", ""),
            ("docs/spec/c.md", ""),
        ]);
        let house = House::of("[links]\npending = ['docs/later.md']");
        rules(&check(&house, &tree))
    }

    #[test]
    fn m1_a_link_that_leads_nowhere_is_found() {
        assert_eq!(found("see [b](b.md)"), ["M1"]);
        assert_eq!(found("[b](../b.md) and [x](../x.md#part)"), ["M1"]);
        assert_eq!(found("![picture](../none.png)"), ["M1"]);
    }

    #[test]
    fn links_that_lead_somewhere_are_left_alone() {
        let good = [
            "[b](../b.md#part \"title\")",
            "[spec](../spec) [root](../..)",
            "[here](#part) [there](https://example.org/x.md)",
            "[later](../later.md)",
            "```\n[code](x.md)\n```",
        ];
        for text in good {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
