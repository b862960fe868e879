//! Names as they are shown. A name comes from somebody else and proves nothing; it must not look like anything but a name: not
//! like the mark that the program draws beside somebody who was verified, and not like text in another direction.

/// Lines of a text that are shown.
const LINES_MAX: usize = 20;

/// `CONTACT-11`: what is left of a name: no controls, no marks of direction, nothing that takes no place, no check marks or shields,
/// single spaces. Empty where nothing is left; then the id is shown.
pub fn shown_name(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_whitespace() || c.is_control() {
            if !shown.is_empty() && !shown.ends_with(' ') {
                shown.push(' ');
            }
        } else if !takes_no_place(c) && !is_mark(c) {
            shown.push(c);
        }
    }
    // Joiners belong between letters; a word of them alone is nothing.
    let edge = |c: char| c == ' ' || is_joiner(c) || is_variation(c);
    let trimmed = shown.trim_matches(edge);
    trimmed.to_owned()
}

/// `PROFILE-05`: the same for a text of several lines: no more than one line in a row is empty, and there are [`LINES_MAX`] at most.
pub fn shown_lines(text: &str) -> String {
    let mut shown = String::new();
    for line in text.lines().map(shown_name) {
        if line.is_empty() && (shown.is_empty() || shown.ends_with("\n\n")) {
            continue;
        }
        shown.push_str(&line);
        shown.push('\n');
    }
    let lines: Vec<&str> = shown.trim_end().lines().take(LINES_MAX).collect();
    lines.join("\n")
}

/// Whether nothing of a text can be seen.
pub fn is_blank(text: &str) -> bool {
    let seen = |c: char| !c.is_whitespace() && !c.is_control() && !takes_no_place(c);
    !text
        .chars()
        .any(|c| seen(c) && !is_joiner(c) && !is_variation(c))
}

/// Marks of direction: with them, text beside a name stands elsewhere than it was written.
pub(crate) const fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Persian and Indian scripts write with these.
const fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

const fn is_variation(c: char) -> bool {
    matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

/// Marks of direction, spaces without width, fillers, tags, annotations.
const fn takes_no_place(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{034F}'
            | '\u{061C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

/// Check marks, ticked boxes, shields: what looks like the program's own mark.
const fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{2611}'
            | '\u{2705}'
            | '\u{2713}'
            | '\u{2714}'
            | '\u{221A}'
            | '\u{237B}'
            | '\u{26E8}'
            | '\u{2BBD}'
            | '\u{10102}'
            | '\u{1F530}'
            | '\u{1F5F8}'
            | '\u{1F5F9}'
            | '\u{1F6E1}'
            | '\u{1FBB1}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_11_no_name_looks_like_the_mark_or_turns_the_text_beside_it() {
        for (name, shown) in [
            ("Bob ✔", "Bob"),
            ("Bob \u{2714}\u{FE0F}", "Bob"),
            ("✅ Bob ☑", "Bob"),
            ("Bob ✓ verified", "Bob verified"),
            ("\u{1F6E1}\u{FE0F} Bob", "Bob"),
            ("\u{202E}boB\u{202C}", "boB"),
            ("B\u{200B}o\u{2060}b", "Bob"),
            ("Bob\u{2066}\u{2069}", "Bob"),
            ("  Bob\t\n the\u{0}  Builder ", "Bob the Builder"),
            ("", ""),
            ("\u{200D}\u{200C}\u{200B}\u{FEFF}\u{3164} \u{2800}", ""),
            ("✔✔✔", ""),
        ] {
            assert_eq!(shown_name(name), shown, "{name:?}");
        }
    }

    #[test]
    fn profile_05_a_text_has_few_lines_and_nothing_that_turns_or_imitates() {
        for (text, shown) in [
            ("", ""),
            ("\n\n\u{200B}\n", ""),
            ("one line", "one line"),
            (
                "Sailor.\r\n\r\n\n\nLives in Kiel. \n",
                "Sailor.\n\nLives in Kiel.",
            ),
            ("\u{202E}verified ✔\u{202C}\n\u{2066}Bob", "verified\nBob"),
            ("می\u{200C}خواهم\nさくら", "می\u{200C}خواهم\nさくら"),
        ] {
            assert_eq!(shown_lines(text), shown, "{text:?}");
        }
        assert_eq!(shown_lines(&"a\n".repeat(5_000)).lines().count(), LINES_MAX);
        assert_eq!(shown_lines(&"é".repeat(5_000)).len(), 10_000);
    }

    #[test]
    fn contact_11_names_of_all_scripts_stay() {
        for name in [
            "Zoë O'Brien-Łukasz",
            "Борис",
            "Ελένη",
            "שרה",
            "محمد",
            "می\u{200C}خواهم",
            "ศรี",
            "क्\u{200D}ष",
            "王小明",
            "さくら",
            "김민준",
            "👩\u{200D}🚀 Ana",
        ] {
            assert_eq!(shown_name(name), name);
        }
        assert_eq!(shown_name(&"é".repeat(5_000)).len(), 10_000);
    }
}
