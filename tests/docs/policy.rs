//! `docs/reference/policy.md`: every action with its default rules.

use std::fmt::Write as _;

use vitrine::domain::policy::Rules;

use super::{assert_current, cell};

#[test]
fn the_table_of_policies_is_current() {
    let mut page = "# Policies\n\nDefault rules, as `vitrine policy list` prints them with those of the installation. A policy file \
        (`policy.file`, YAML or JSON in the upstream format) replaces single rules for both APIs.\n\n\
        | action | governs | rule | rule in v1 |\n|---|---|---|---|\n"
        .to_owned();
    let code =
        |rule: &str| if rule.is_empty() { "everybody".to_owned() } else { format!("`{}`", cell(rule)) };
    for action in Rules::defaults().list() {
        let v1 = if action.v1 == action.v2 { "the same".to_owned() } else { code(action.v1) };
        let about = cell(action.description);
        writeln!(page, "| `{}` | {about} | {} | {v1} |", action.action, code(action.v2)).unwrap();
    }
    assert_current("policy.md", &page);
}
