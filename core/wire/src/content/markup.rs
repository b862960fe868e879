//! Formatting of texts. What a text says stands in it as plain marks, read here into blocks and spans; the text itself
//! stays as its author wrote it, and reads well where nobody reads the marks.
//!
//! | written | shown |
//! | --- | --- |
//! | `*bold*`, `_italic_`, `~struck~` | around words, within one line, one inside another |
//! | `` `code` `` | as it is, no marks inside |
//! | a line of three backticks, lines, three backticks | a block of code |
//! | `> ` at the start of a line | a quote |
//! | `https://…`, `http://…`, `mailto:…` | a link, which always shows where it leads |
//!
//! There is no other markup: no HTML, no link with another text than its target, no pictures from elsewhere. Work is linear
//! in the text's length.

use std::ops::Range;

use super::{Mention, Words};
use crate::ids::AccountId;

/// The longest link, in bytes; a longer one stays text.
pub const LINK_MAX: usize = 2_048;
const FENCE: &str = "```";
const MARKS: [char; 3] = ['*', '_', '~'];

/// Part of a text that stands on lines of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Lines.
    Lines(Vec<Span>),
    /// Lines that quote somebody.
    Quote(Vec<Span>),
    /// Code, as it is.
    Code(String),
}

/// Characters that look the same. Line breaks stand in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What is shown, without characters that turn or hide what follows.
    pub text: String,
    /// How.
    pub style: Style,
    /// Where it leads: `http`, `https` or `mailto`, in ASCII up to the path.
    pub link: Option<String>,
    /// Whom it means.
    pub mention: Option<AccountId>,
}

/// How a span looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Struck through.
    pub strike: bool,
    /// Code.
    pub code: bool,
}

/// What a text shows.
pub fn blocks(words: &Words) -> Vec<Block> {
    let mut reader = Reader {
        text: &words.text,
        mentions: &words.mentions,
        blocks: Vec::new(),
    };
    reader.read();
    reader.blocks
}

/// A text without characters that turn what stands round them (`MSG-12`), and without controls but line breaks and tabs.
pub fn harmless(text: &str) -> String {
    text.chars().filter(|c| !is_harmful(*c)).collect()
}

/// Embeddings, overrides and isolates (Unicode Standard Annex 9), separators of lines and annotations, controls. The two
/// plain marks of direction stay: mixed Hebrew and Arabic texts need them, and they turn nothing else.
fn is_harmful(c: char) -> bool {
    let control = c.is_control() && c != '\n' && c != '\t';
    control
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{206F}' | '\u{2028}' | '\u{2029}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{FEFF}')
}

struct Reader<'a> {
    text: &'a str,
    /// Those that are not behind us, in order.
    mentions: &'a [Mention],
    blocks: Vec<Block>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        let lines: Vec<Range<usize>> = lines(self.text);
        let is_fence = |line: &Range<usize>| self.text[line.clone()].trim_end() == FENCE;
        let fences: Vec<usize> = (0..lines.len())
            .filter(|at| is_fence(&lines[*at]))
            .collect();
        let mut fences = &fences[..];
        let mut at = 0;
        while at < lines.len() {
            // A fence that is never closed is a line like any other.
            if let [open, close, rest @ ..] = fences
                && *open == at
            {
                let inside = lines[at].end + 1..lines[*close].start;
                let code = self.text.get(inside).unwrap_or_default();
                let code = code.strip_suffix('\n').unwrap_or(code);
                self.blocks.push(Block::Code(harmless(code)));
                (fences, at) = (rest, close + 1);
                continue;
            }
            self.line(lines[at].clone());
            at += 1;
        }
    }

    fn line(&mut self, line: Range<usize>) {
        let text = &self.text[line.clone()];
        let quoted = text.strip_prefix("> ").or(text.strip_prefix('>'));
        let start = line.end - quoted.unwrap_or(text).len();
        let spans = self.spans(start..line.end);
        match (quoted.is_some(), self.blocks.last_mut()) {
            (true, Some(Block::Quote(before))) | (false, Some(Block::Lines(before))) => {
                push(before, plain("\n"));
                spans.into_iter().for_each(|span| push(before, span));
            }
            (true, _) => self.blocks.push(Block::Quote(spans)),
            (false, _) => self.blocks.push(Block::Lines(spans)),
        }
    }

    fn spans(&mut self, line: Range<usize>) -> Vec<Span> {
        let atoms = atoms(self.text, line);
        let paired = paired(self.text, &atoms);
        let mut style = Style::default();
        let mut spans = Vec::new();
        for (atom, paired) in atoms.into_iter().zip(paired) {
            match atom.kind {
                Kind::Mark(mark) if paired => toggle(&mut style, mark),
                Kind::Link => {
                    let link = self.text[atom.range.clone()].to_owned();
                    self.pieces(&mut spans, atom.range, style, Some(link));
                }
                Kind::Code => {
                    let inside = atom.range.start + 1..atom.range.end - 1;
                    let style = Style {
                        code: true,
                        ..style
                    };
                    self.pieces(&mut spans, inside, style, None);
                }
                Kind::Mark(_) | Kind::Plain => self.pieces(&mut spans, atom.range, style, None),
            }
        }
        spans
    }

    /// Cuts a range where mentions begin and end.
    fn pieces(
        &mut self,
        to: &mut Vec<Span>,
        range: Range<usize>,
        style: Style,
        link: Option<String>,
    ) {
        let mut start = range.start;
        while start < range.end {
            while self
                .mentions
                .first()
                .is_some_and(|mention| mention.end as usize <= start)
            {
                self.mentions = &self.mentions[1..];
            }
            let (mention, end) = match self.mentions.first() {
                Some(one) if one.start as usize <= start => (Some(one.account), one.end as usize),
                Some(next) => (None, next.start as usize),
                None => (None, range.end),
            };
            let end = end.min(range.end);
            let span = Span {
                text: harmless(&self.text[start..end]),
                style,
                link: link.clone(),
                mention,
            };
            push(to, span);
            start = end;
        }
    }
}

/// A piece of one line.
struct Atom {
    range: Range<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Link,
    /// With its backticks.
    Code,
    /// Which of [`MARKS`].
    Mark(usize),
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let range = |line: &str| {
        let range = start..start + line.len();
        start = range.end + 1;
        range
    };
    text.split('\n').map(range).collect()
}

fn atoms(text: &str, line: Range<usize>) -> Vec<Atom> {
    let mut atoms: Vec<Atom> = Vec::new();
    let mut at = line.start;
    let mut before = ' ';
    while at < line.end {
        let rest = &text[at..line.end];
        let (kind, length) = atom(rest, before);
        let range = at..at + length;
        before = text[range.clone()].chars().next_back().unwrap_or(' ');
        at = range.end;
        match atoms.last_mut() {
            Some(last) if kind == Kind::Plain && last.kind == kind => last.range.end = range.end,
            _ => atoms.push(Atom { range, kind }),
        }
    }
    atoms
}

/// What begins here, and how long it is.
fn atom(rest: &str, before: char) -> (Kind, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    if first == '`' {
        // Two in a row hold nothing; one without another is a character.
        return match rest[1..].find('`') {
            Some(0) => (Kind::Plain, 2),
            Some(inside) => (Kind::Code, inside + 2),
            None => (Kind::Plain, 1),
        };
    }
    if let Some(mark) = MARKS.iter().position(|mark| *mark == first) {
        return (Kind::Mark(mark), 1);
    }
    if !before.is_alphanumeric()
        && let Some(length) = link(rest)
    {
        return (Kind::Link, length);
    }
    (Kind::Plain, first.len_utf8())
}

/// Which marks have a partner: the opening one stands before a word, the closing one behind, none crosses another pair.
fn paired(text: &str, atoms: &[Atom]) -> Vec<bool> {
    let mut paired = vec![false; atoms.len()];
    let mut open: [Option<usize>; MARKS.len()] = [None; MARKS.len()];
    for (at, atom) in atoms.iter().enumerate() {
        let Kind::Mark(mark) = atom.kind else {
            continue;
        };
        let before = atoms[..at]
            .last()
            .and_then(|atom| text[atom.range.clone()].chars().next_back());
        let after = atoms
            .get(at + 1)
            .and_then(|atom| text[atom.range.clone()].chars().next());
        let is_word = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        match open[mark] {
            // Nothing between two marks is nothing to mark.
            Some(begin) if begin + 1 < at && is_word(before) && !is_letter(after) => {
                (paired[begin], paired[at]) = (true, true);
                open[mark] = None;
                // What was opened inside and not closed stays a character.
                for other in &mut open {
                    *other = other.filter(|other| *other < begin);
                }
            }
            None if is_word(after) && !is_letter(before) => open[mark] = Some(at),
            _ => {}
        }
    }
    paired
}

/// The length of a link that begins here.
fn link(rest: &str) -> Option<usize> {
    let scheme = ["https://", "http://", "mailto:"]
        .into_iter()
        .find(|scheme| starts_with(rest, scheme))?;
    let ends = |c: char| c.is_whitespace() || is_harmful(c) || "<>\"`{}|^\\".contains(c);
    // No further than a link may go, or a text of nothing but beginnings would be read again and again.
    let window = &rest[..rest.floor_char_boundary(LINK_MAX + 1)];
    let end = match window.find(ends) {
        Some(end) => end,
        None if window.len() < rest.len() => return None,
        None => rest.len(),
    };
    let link = without_tail(&rest[..end]);
    let target = &link[scheme.len().min(link.len())..];
    let host = target.split(['/', '?', '#']).next().unwrap_or_default();
    // A host shows what it is: ASCII, and no name of somebody else in front of it.
    let web = !scheme.starts_with("mailto") && !host.contains('@');
    let mail = scheme.starts_with("mailto") && host.contains('@');
    let plain = !host.is_empty() && host.is_ascii() && link.len() <= LINK_MAX;
    (plain && (web || mail)).then_some(link.len())
}

fn starts_with(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// A sentence's end, and a closing bracket whose opening one stands before the link, do not belong to it.
fn without_tail(link: &str) -> &str {
    let mut rounds = link.matches('(').count() as isize - link.matches(')').count() as isize;
    let mut end = link.len();
    for c in link.chars().rev() {
        match c {
            ')' if rounds < 0 => rounds += 1,
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | ']' | '*' | '_' | '~' => {}
            _ => break,
        }
        end -= c.len_utf8();
    }
    &link[..end]
}

const fn toggle(style: &mut Style, mark: usize) {
    match mark {
        0 => style.bold = !style.bold,
        1 => style.italic = !style.italic,
        _ => style.strike = !style.strike,
    }
}

fn plain(text: &str) -> Span {
    Span {
        text: text.to_owned(),
        style: Style::default(),
        link: None,
        mention: None,
    }
}

fn push(to: &mut Vec<Span>, span: Span) {
    if span.text.is_empty() {
        return;
    }
    match to.last_mut() {
        Some(last)
            if last.style == span.style
                && last.link == span.link
                && last.mention == span.mention =>
        {
            last.text.push_str(&span.text);
        }
        _ => to.push(span),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    /// `<b>` and so on round what is so, for tests only.
    fn shown(text: &str) -> String {
        let spans = |spans: Vec<Span>| spans.iter().map(tagged).collect::<String>();
        let block = |block| match block {
            Block::Lines(lines) => spans(lines),
            Block::Quote(lines) => format!("[quote:{}]", spans(lines)),
            Block::Code(code) => format!("[code:{code}]"),
        };
        blocks(&Words::new(text)).into_iter().map(block).collect()
    }

    fn tagged(span: &Span) -> String {
        let Style {
            bold,
            italic,
            strike,
            code,
        } = span.style;
        let mut text = span.text.clone();
        for (on, tag) in [
            (code, 'c'),
            (strike, 's'),
            (italic, 'i'),
            (bold, 'b'),
            (span.link.is_some(), 'a'),
        ] {
            if on {
                text = format!("<{tag}>{text}</{tag}>");
            }
        }
        text
    }

    #[test]
    fn msg_12_marks_stand_round_words() {
        for (text, expected) in [
            (
                "*bold* _italic_ ~gone~ `x*y*`",
                "<b>bold</b> <i>italic</i> <s>gone</s> <c>x*y*</c>",
            ),
            ("*a _b_ c*", "<b>a </b><b><i>b</i></b><b> c</b>"),
            ("*a _b* c_", "<b>a _b</b> c_"),
            (
                "2 * 3 * 4, snake_case_name, a*b*c",
                "2 * 3 * 4, snake_case_name, a*b*c",
            ),
            ("** __ ~~ `` *", "** __ ~~ `` *"),
            ("*open", "*open"),
            ("*not\nover lines*", "*not\nover lines*"),
            ("(*so*), *so*!", "(<b>so</b>), <b>so</b>!"),
            ("> said\n> more\nno", "[quote:said\nmore]no"),
            ("a\n```\n*x*\n\n```\nb", "a[code:*x*\n]b"),
            ("```\nnever closed", "```\nnever closed"),
            ("```\n```", "[code:]"),
            ("<b>html</b> &amp;", "<b>html</b> &amp;"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn msg_12_links_show_where_they_lead() {
        for (text, link) in [
            (
                "see https://example.org/a_b_c?d=*e*, now",
                Some("https://example.org/a_b_c?d=*e"),
            ),
            ("(https://example.org/x)", Some("https://example.org/x")),
            (
                "https://example.org/x_(y).",
                Some("https://example.org/x_(y)"),
            ),
            ("HTTP://example.org", Some("HTTP://example.org")),
            ("mailto:bob@example.org!", Some("mailto:bob@example.org")),
            (
                "https://example.org/straße",
                Some("https://example.org/straße"),
            ),
            ("javascript:alert(1) file:///etc ftp://x.org", None),
            ("xhttps://example.org", None),
            ("https://bank.com@evil.org/", None),
            ("https://еxample.org/", None),
            ("https:// mailto:x http://", None),
        ] {
            let found: Vec<_> = blocks(&Words::new(text))
                .into_iter()
                .flat_map(|block| match block {
                    Block::Lines(spans) => spans,
                    other => panic!("{other:?}"),
                })
                .filter_map(|span| span.link.inspect(|link| assert_eq!(*link, span.text)))
                .collect();
            assert_eq!(
                found,
                link.map(str::to_owned).into_iter().collect::<Vec<_>>(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn msg_12_nothing_turns_what_follows() {
        assert_eq!(
            shown("photo\u{202E}gpj.exe\u{2066}\u{1b}[31m\u{2028}"),
            "photogpj.exe[31m"
        );
        assert_eq!(shown("```\n\u{202E}x\n```"), "[code:x]");
        assert_eq!(
            shown("שלום\u{200F}! 👩‍🚀 می\u{200C}خواهم\ta"),
            "שלום\u{200F}! 👩‍🚀 می\u{200C}خواهم\ta"
        );
    }

    #[test]
    fn msg_06_mentions_lie_over_the_marks() {
        let alice = AccountId([1; 32]);
        let words = Words {
            text: "hi *@Alice and* co".into(),
            mentions: vec![Mention {
                account: alice,
                start: 4,
                end: 10,
            }],
        };
        let Some(Block::Lines(spans)) = blocks(&words).pop() else {
            panic!("one block");
        };
        let found: Vec<_> = spans
            .iter()
            .map(|span| (span.text.as_str(), span.mention))
            .collect();
        assert_eq!(
            found,
            [
                ("hi ", None),
                ("@Alice", Some(alice)),
                (" and", None),
                (" co", None)
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_invent(text in "[a *_~`>\n\u{202E}é:/.@()h]{0,60}|.{0,60}") {
            let all: String = blocks(&Words::new(text.clone())).into_iter().map(|block| match block {
                Block::Lines(spans) | Block::Quote(spans) => {
                    spans.into_iter().map(|span| span.text).collect()
                }
                Block::Code(code) => code,
            }).collect();
            // What is shown stands in the text, in this order.
            let mut rest = text.chars();
            prop_assert!(all.chars().all(|c| rest.any(|other| other == c)), "{:?}", all);
        }
    }

    #[test]
    fn a_long_text_of_marks_takes_no_time() {
        let began = Instant::now();
        for piece in ["*a _b ~", "`", "```\n", "https://x/(", "> ", "*"] {
            let long = piece.repeat(crate::limits::TEXT_MAX / piece.len());
            assert!(!blocks(&Words::new(long)).is_empty());
        }
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
    }
}
