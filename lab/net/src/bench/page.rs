//! The page of the benchmarks: sections that begin with `## `, each written by the program whose figures stand in it. What is
//! before the first is the table of budgets.

/// The page with what is before its first section replaced.
pub fn with_head(page: &str, head: &str) -> String {
    let rest = starts(page).next().map_or("", |at| &page[at..]);
    join(head, rest, "")
}

/// The page with the section of that title replaced, or added at the end.
pub fn with_section(page: &str, title: &str, text: &str) -> String {
    let heading = format!("## {title}\n");
    let section = format!("{heading}\n{text}");
    let Some(begin) = starts(page).find(|at| page[*at..].starts_with(&heading)) else {
        return join(page, &section, "");
    };
    let end = starts(page).find(|at| *at > begin).unwrap_or(page.len());
    join(&page[..begin], &section, &page[end..])
}

/// Where sections begin.
fn starts(page: &str) -> impl Iterator<Item = usize> {
    page.match_indices("\n## ").map(|(at, _)| at + 1)
}

/// Parts with one empty line between.
fn join(one: &str, two: &str, three: &str) -> String {
    let parts = [one, two, three].map(str::trim_end);
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\nHead.\n\n## One\n\nFirst.\n\n## Two\n\nSecond.\n";

    #[test]
    fn a_part_is_replaced_and_the_others_stay() {
        let page = with_head(PAGE, "# Page\n\nNew.\n");
        assert_eq!(page, PAGE.replace("Head", "New"));
        assert_eq!(
            with_section(PAGE, "One", "New.\n"),
            PAGE.replace("First", "New")
        );
        assert_eq!(
            with_section(PAGE, "Two", "New.\n"),
            PAGE.replace("Second", "New")
        );
        assert_eq!(
            with_section(PAGE, "Three", "New.\n"),
            format!("{PAGE}\n## Three\n\nNew.\n")
        );
        assert_eq!(with_head("", "# Page\n"), "# Page\n");
    }
}
