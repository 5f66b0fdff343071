//! Markdown, as far as the pages of this repository use it: headings, links, code spans, and lines of code.

use std::collections::{BTreeSet, HashMap};

/// What a piece of a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Heading,
    /// The target of a link.
    Link,
    /// What is in backticks.
    Span,
    /// A line in a block of code; one that ends in a backslash goes on with the next.
    Code,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub kind: Kind,
    /// From 1.
    pub line: usize,
    pub text: String,
}

/// The pieces of a page, in their order but for spans, which come before the links of their paragraph.
pub fn pieces(source: &str) -> Vec<Piece> {
    let mut reader = Reader::default();
    let (mut fenced, mut indented, mut blank) = (false, false, true);
    for (at, line) in source.lines().enumerate() {
        let number = at + 1;
        if line.trim_start().starts_with("```") {
            reader.end_of_paragraph();
            fenced = !fenced;
        } else if fenced {
            reader.code(number, line);
        } else if line.starts_with("    ") && (blank || indented) {
            indented = true;
            reader.code(number, line);
        } else if line.trim().is_empty() {
            reader.end_of_paragraph();
        } else {
            indented = false;
            reader.text(number, line);
        }
        blank = line.trim().is_empty();
    }
    reader.end_of_paragraph();
    reader.found
}

/// The names that links can use for the headings of a page, as GitHub makes them.
pub fn anchors(pieces: &[Piece]) -> BTreeSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = pieces.iter().filter(|piece| piece.kind == Kind::Heading);
    let anchor = |heading: &Piece| {
        let slug = slug(&heading.text);
        let again = seen.entry(slug.clone()).and_modify(|n| *n += 1).or_insert(0);
        if *again == 0 { slug } else { format!("{slug}-{again}") }
    };
    headings.map(anchor).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

#[derive(Default)]
struct Reader {
    found: Vec<Piece>,
    paragraph: String,
    begun: usize,
    /// True where the line of code before ended in a backslash.
    continued: bool,
}

impl Reader {
    fn push(&mut self, kind: Kind, line: usize, text: &str) {
        self.found.push(Piece { kind, line, text: text.to_string() });
    }

    fn code(&mut self, number: usize, line: &str) {
        let continued = self.continued;
        self.end_of_paragraph();
        let (line, goes_on) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match self.found.last_mut() {
            Some(before) if continued => before.text.push_str(line),
            _ => self.push(Kind::Code, number, line),
        }
        self.continued = goes_on;
    }

    fn text(&mut self, number: usize, line: &str) {
        self.continued = false;
        if let Some(heading) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
            self.end_of_paragraph();
            self.push(Kind::Heading, number, heading.trim());
            self.inline(number, heading);
            return;
        }
        if self.paragraph.is_empty() {
            self.begun = number;
        }
        self.paragraph.push_str(line);
        self.paragraph.push('\n');
    }

    fn end_of_paragraph(&mut self) {
        self.continued = false;
        let paragraph = std::mem::take(&mut self.paragraph);
        self.inline(self.begun, &paragraph);
    }

    /// Spans and links of running text that begins in line `begun`.
    fn inline(&mut self, begun: usize, text: &str) {
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('`') {
            plain.push_str(&rest[..open]);
            let ticks = rest[open..].chars().take_while(|c| *c == '`').count();
            let fence = &rest[open..open + ticks];
            rest = &rest[open + ticks..];
            // A backtick without another is one like any other letter.
            let Some(end) = rest.find(fence) else { continue };
            let line = begun + newlines(&plain);
            self.push(Kind::Span, line, rest[..end].replace('\n', " ").trim());
            plain.extend(rest[..end].chars().filter(|c| *c == '\n'));
            rest = &rest[end + ticks..];
        }
        plain.push_str(rest);
        let mut at = 0;
        while let Some(open) = plain[at..].find("](") {
            let target = at + open + 2;
            let end = plain[target..].find(')').map_or(plain.len(), |end| target + end);
            let line = begun + newlines(&plain[..target]);
            self.push(Kind::Link, line, plain[target..end].trim());
            at = end;
        }
    }
}

fn newlines(text: &str) -> usize {
    text.matches('\n').count()
}

#[test]
fn pieces_are_told_apart() {
    let page = "# A `b`\ntext `c\nd` and [e `f`](g.md#h),\n[i](j)\n\n    k \\\n      l # m\n\n```sh\n`n` [o](p)\n```\n- q\n    r `s`\n";
    let found: Vec<(Kind, usize, String)> = pieces(page).into_iter().map(|p| (p.kind, p.line, p.text)).collect();
    let expected = [
        (Kind::Heading, 1, "A `b`"),
        (Kind::Span, 1, "b"),
        (Kind::Span, 2, "c d"),
        (Kind::Span, 3, "f"),
        (Kind::Link, 3, "g.md#h"),
        (Kind::Link, 4, "j"),
        (Kind::Code, 6, "    k       l # m"),
        (Kind::Code, 10, "`n` [o](p)"),
        (Kind::Span, 13, "s"),
    ];
    assert_eq!(found, expected.map(|(kind, line, text)| (kind, line, text.to_string())));
}

#[test]
fn anchors_are_those_of_github() {
    let page = pieces("# Who has the connections\n## `a`, b: c's\n## Dup\n## Dup\n## under_score-1\n");
    let expected = ["who-has-the-connections", "a-b-cs", "dup", "dup-1", "under_score-1"];
    assert_eq!(anchors(&page), expected.map(String::from).into());
}
