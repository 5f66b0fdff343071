//! Changing a file of users, line by line: what else stands in it stays as it is.

use super::file::Section;
use super::rights::Pattern;

/// What a line begins with.
fn first(line: &str, section: Section) -> &str {
    let line = line.trim();
    match section {
        Section::Logins => line.split(':').next().unwrap_or_default(),
        _ => line.split_whitespace().next().unwrap_or_default(),
    }
}

/// `text` with these `lines` in place of those that `matches` in `section`, which is made where it is not there.
fn replaced(text: &str, section: Section, matches: impl Fn(&str) -> bool, lines: &[String]) -> String {
    let mut out: Vec<String> = Vec::new();
    let (mut now, mut at) = (Section::Logins, None);
    if section == Section::Logins {
        at = Some(0);
    }
    for line in text.lines() {
        if let Some(Ok(begun)) = Section::of(line.trim()) {
            now = begun;
        }
        let is_other = line.trim().is_empty() || line.trim().starts_with(['#', '[']);
        if now == section && !is_other && matches(line) {
            continue;
        }
        out.push(line.to_string());
        if now == section && !line.trim().is_empty() {
            at = Some(out.len());
        }
    }
    if !lines.is_empty() {
        let at = at.unwrap_or_else(|| {
            if out.last().is_some_and(|line| !line.trim().is_empty()) {
                out.push(String::new());
            }
            out.push(section.head().to_string());
            out.len()
        });
        out.splice(at..at, lines.iter().cloned());
    }
    out.iter().map(|line| format!("{line}\n")).collect()
}

/// With this user, whose password is known by `hash`.
pub fn with_login(text: &str, name: &str, hash: &str) -> String {
    let is = |line: &str| first(line, Section::Logins) == name;
    replaced(text, Section::Logins, is, &[format!("{name}:{hash}")])
}

/// With this right, in place of one for the same repositories.
pub fn with_right(text: &str, who: &str, word: &str, repositories: &str) -> String {
    let is = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.first() == Some(&who) && words.get(2) == Some(&repositories)
    };
    replaced(text, Section::Rights, is, &[format!("{who} {word} {repositories}")])
}

/// With this token: the line of it.
pub fn with_token(text: &str, line: &str) -> String {
    let name = first(line, Section::Tokens).to_string();
    replaced(text, Section::Tokens, |line| first(line, Section::Tokens) == name, &[line.to_string()])
}

/// Without this token.
pub fn without_token(text: &str, name: &str) -> String {
    replaced(text, Section::Tokens, |line| first(line, Section::Tokens) == name, &[])
}

/// With this quota, in place of one for the same repositories: the line of it.
pub fn with_quota(text: &str, line: &str) -> String {
    let of = Pattern::parse(first(line, Section::Quotas));
    replaced(text, Section::Quotas, |line| Pattern::parse(first(line, Section::Quotas)) == of, &[line.to_string()])
}

/// Without the quota of these repositories.
pub fn without_quota(text: &str, repositories: &Pattern) -> String {
    let is = |line: &str| Pattern::parse(first(line, Section::Quotas)).as_ref() == Ok(repositories);
    replaced(text, Section::Quotas, is, &[])
}

/// Without this user, and without what the user has.
pub fn without(text: &str, name: &str) -> String {
    let text = replaced(text, Section::Logins, |line| first(line, Section::Logins) == name, &[]);
    let of_user = |line: &str| line.split_whitespace().nth(1) == Some(name);
    let text = replaced(&text, Section::Tokens, of_user, &[]);
    replaced(&text, Section::Rights, |line| first(line, Section::Rights) == name, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_changed_and_all_others_stay() {
        let text = "# people\nalice:old\n\n[rights]\n# who\nalice full *\n";
        let text = with_login(text, "alice", "new");
        assert_eq!(text, "# people\nalice:new\n\n[rights]\n# who\nalice full *\n");
        let text = with_login(&text, "bob", "hash");
        let text = with_right(&text, "bob", "readonly", "*");
        let text = with_right(&text, "bob", "full", "x");
        let text = with_right(&text, "bob", "appendonly", "*");
        let text = with_token(&text, "robot bob full * never sha256:00");
        let text = with_token(&text, "robot bob full * never sha256:11");
        assert_eq!(
            text,
            "# people\nalice:new\nbob:hash\n\n[rights]\n# who\nalice full *\nbob full x\nbob appendonly *\n\n[tokens]\nrobot bob full * \
             never sha256:11\n"
        );
        assert_eq!(without_token(&text, "robot"), text.replace("robot bob full * never sha256:11\n", ""));
        let text = without(&text, "bob");
        assert_eq!(text, "# people\nalice:new\n\n[rights]\n# who\nalice full *\n\n[tokens]\n");
        let with = with_quota(&with_quota(&text, "org/ 1GB -"), "org/ 2GB 1GB");
        assert_eq!(with, text.clone() + "\n[quotas]\norg/ 2GB 1GB\n");
        assert_eq!(without_quota(&with, &Pattern::Below(b"org/".to_vec())), text.clone() + "\n[quotas]\n");
        assert_eq!(with_login("", "alice", "x"), "alice:x\n");
        assert_eq!(with_right("", "alice", "full", "*"), "[rights]\nalice full *\n");
    }
}
