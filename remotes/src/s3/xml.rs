//! The little XML that is read here: a short document with one level below its root, such as S3's errors and what it says of a copy.

use std::borrow::Cow;

/// A document that came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document<'a> {
    /// The name of its root, as it is written.
    pub(super) root: &'a str,
    inner: &'a str,
}

impl<'a> Document<'a> {
    /// Finds the root. Blanks, declarations and comments may stand before it; behind it blanks and comments. `None` where there
    /// is none, or it is not closed.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = skip(text.trim_start_matches('\u{feff}'))?;
        let rest = text.strip_prefix('<')?;
        let name = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/'))?;
        let (root, rest) = rest.split_at(name);
        let attributes = end_of_tag(rest)?;
        let (attributes, rest) = (&rest[..attributes], &rest[attributes + 1..]);
        if root.is_empty() || !root.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':')) {
            return None;
        }
        if attributes.ends_with('/') {
            return skip(rest)?.is_empty().then_some(Self { root, inner: "" });
        }
        let close = rest.rfind("</")?;
        let (inner, behind) = (&rest[..close], &rest[close + 2..]);
        let behind = behind.strip_prefix(root)?.trim_ascii_start().strip_prefix('>')?;
        skip(behind)?.is_empty().then_some(Self { root, inner })
    }

    /// The text of the element `name`.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        element(self.inner, name)
    }
}

/// What follows blanks, declarations and comments. `None` where one of those does not end.
fn skip(mut text: &str) -> Option<&str> {
    loop {
        text = text.trim_ascii_start();
        let end = match text {
            _ if text.starts_with("<?") => "?>",
            _ if text.starts_with("<!--") => "-->",
            _ => return Some(text),
        };
        text = text.split_once(end)?.1;
    }
}

/// Where a tag ends: at the first `>` that is not in quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        None
    })
}

/// The text of an element of a short document, wherever it is: enough for S3's errors and upload ids, also from servers whose
/// documents have other roots than S3's.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let open = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let close = xml[open..].find(&format!("</{name}>"))?;
    Some(unescaped(&xml[open..open + close]))
}

/// The text that stands for `text` in a document. What is no reference stays as it is.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match rest.split_once(';').and_then(|(name, behind)| Some((referred(&name[1..])?, behind))) {
            Some((c, behind)) => {
                out.push(c);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of a reference.
fn referred(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
            let is_number = digits.chars().all(|digit| digit.is_digit(radix));
            let code = is_number.then(|| u32::from_str_radix(digits, radix));
            char::from_u32(code?.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_whole_document_is_found() {
        let result = "<ETag>&quot;ab&quot;</ETag>";
        for (text, root) in [
            (format!("<CopyObjectResult>{result}</CopyObjectResult>"), "CopyObjectResult"),
            (
                format!(
                    "\n <?xml version=\"1.0\"?>\n<!-- > --><CopyObjectResult xmlns=\"a>b\">{result}</CopyObjectResult >\n"
                ),
                "CopyObjectResult",
            ),
            (format!("\u{feff}<Error>\n{result}</Error><!-- x -->"), "Error"),
        ] {
            let document = Document::read(&text).expect(&text);
            assert_eq!((document.root, document.text("ETag").as_deref()), (root, Some("\"ab\"")), "{text}");
            let end = text.rfind("</").expect("one") + root.len() + 2;
            for (cut, _) in text.char_indices().filter(|(at, _)| *at <= end) {
                assert_eq!(Document::read(&text[..cut]), None, "{}", &text[..cut]);
            }
        }
        assert_eq!(Document::read("<A x='/>'/>").expect("empty").text("ETag"), None);
    }

    #[test]
    fn what_is_no_document_has_no_root() {
        for text in [
            "",
            "  ",
            "text",
            "<",
            "<>",
            "</a>",
            "<a>",
            "<a></b>",
            "<a></a>x",
            "<a/><b/>",
            "<a/>x",
            "<!DOCTYPE html><html></html>",
            "<a",
            "<a x='></a>",
            "<?xml",
            "<!-- <a></a>",
        ] {
            assert_eq!(Document::read(text), None, "{text}");
        }
    }

    #[test]
    fn elements_are_found_whatever_the_root() {
        let xml = "<InitiateMultipartUpload><UploadId>7</UploadId></InitiateMultipartUpload>";
        assert_eq!(element(xml, "UploadId").as_deref(), Some("7"));
        assert_eq!(element(xml, "Key"), None);
        assert_eq!(element("<Code>x", "Code"), None);
    }

    #[test]
    fn references_are_resolved_and_all_else_stays() {
        for (text, expected) in [
            ("plain", "plain"),
            ("&lt;&gt;&amp;&apos;&quot;", "<>&'\""),
            ("&#34;a&#x22;", "\"a\""),
            ("a & b; &unknown; &#x110000; &#+1; &#; &", "a & b; &unknown; &#x110000; &#+1; &#; &"),
            ("&amp;lt;", "&lt;"),
        ] {
            assert_eq!(unescaped(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_does_harm(text in "[<>/a &;#x\"'=!?ä\\-\n]{0,40}") {
            if let Some(document) = Document::read(&text) {
                proptest::prop_assert!(text.contains(document.root) && !document.root.is_empty());
                let _ = document.text("a");
            }
            proptest::prop_assert!(unescaped(&text).len() <= text.len());
        }
    }
}
