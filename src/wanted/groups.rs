//! The standard groups, and what `standard` means in each.

/// What clients want: all but what lies in an archive directory and has reached an archive.
macro_rules! client {
    () => {
        "(include=* and ((exclude=*/archive/* and exclude=archive/*) or (not (copies=archive:1 or copies=smallarchive:1)))) \
         or approxlackingcopies=1"
    };
}

/// What has reached no archive.
macro_rules! archive {
    () => {
        "not (copies=archive:1 or copies=smallarchive:1)"
    };
}

/// The groups that have a standard expression, with it. Source: git-annex's page on standard groups.
pub const STANDARD_GROUPS: [(&str, &str); 10] = [
    ("client", client!()),
    ("transfer", concat!("not (inallgroup=client and copies=client:2) and (", client!(), ")")),
    ("backup", "anything"),
    ("incrementalbackup", "((not copies=backup:1) and (not copies=incrementalbackup:1)) or approxlackingcopies=1"),
    (
        "smallarchive",
        concat!("((include=*/archive/* or include=archive/*) and ", archive!(), ") or approxlackingcopies=1"),
    ),
    ("archive", concat!("(", archive!(), ") or approxlackingcopies=1")),
    ("source", "not (copies=1)"),
    ("manual", concat!("present and (", client!(), ")")),
    ("public", "inpreferreddir"),
    ("unwanted", "not anything"),
];

/// The standard expression of a group that has one.
pub fn standard(group: &[u8]) -> Option<&'static str> {
    STANDARD_GROUPS.iter().find(|(name, _)| name.as_bytes() == group).map(|(_, expression)| *expression)
}

#[cfg(test)]
mod tests {
    use super::super::Expression;
    use super::*;

    #[test]
    fn every_standard_expression_parses_without_a_warning() {
        for (group, text) in STANDARD_GROUPS {
            let expression = Expression::parse(text.as_bytes()).expect(group);
            assert_eq!(expression.warnings(), [], "{group}");
            assert_eq!(standard(group.as_bytes()), Some(text));
        }
        assert_eq!(standard(b"friends"), None);
    }
}
