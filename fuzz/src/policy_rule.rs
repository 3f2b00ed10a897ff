//! Files of the operator: policy rules (operations.md §5) and property protections (operations.md §4).
//!
//! Input: a byte to choose by, then a rule a line, `name: rule`, or a protection file.

use std::collections::BTreeSet;

use vitrine::config::RuleFormat;
use vitrine::domain::image::Status;
use vitrine::domain::policy::{Dialect, Problem, Rules, Target};
use vitrine::domain::protection::{Operation, Protections};

use super::{CALLERS, choice, image, rules};

const DIALECTS: [Dialect; 2] = [Dialect::V1, Dialect::V2];

/// Holds one input against what must be true of all.
pub fn run(data: &[u8]) {
    let Some((flags, data)) = choice(data) else { return };
    let Ok(text) = str::from_utf8(data) else { return };
    match flags % 3 {
        0 => check_rules(text),
        1 => check_protections(text, RuleFormat::Roles),
        _ => check_protections(text, RuleFormat::Policies),
    }
}

fn check_rules(text: &str) {
    let texts = rules(text);
    let (set, problems) = Rules::with_overrides(&texts);
    let broken: BTreeSet<&str> = problems
        .iter()
        .filter_map(|problem| match problem {
            Problem::Unparsable { rule, .. } => Some(rule.as_str()),
            _ => None,
        })
        .collect();
    let image = image(Status::Active);
    let targets =
        [Target::none(), Target::of_image(&image), Target::of_image(&image).with_member(Some("other"))];
    for (name, rule) in &texts {
        assert!(set.has(name));
        let only = |rule: String| Rules::with_overrides(&[(name.clone(), rule)].into()).0;
        let (alone, opposite) = (only(rule.clone()), only(format!("not ({rule})")));
        for caller in CALLERS.iter() {
            for (dialect, target) in DIALECTS.iter().flat_map(|d| targets.iter().map(move |t| (*d, t))) {
                let allows = |rules: &Rules| rules.allows(dialect, name, caller, target);
                // neither a broken rule nor its opposite lets anybody in
                assert!(!allows(&set) || !broken.contains(name.as_str()), "'{rule}' is broken and allows");
                assert!(!(allows(&alone) && allows(&opposite)), "'{rule}' and its opposite both hold");
            }
        }
    }
    for caller in CALLERS.iter() {
        for dialect in DIALECTS {
            set.is_admin(dialect, caller);
        }
    }
    for row in set.list() {
        assert!(row.overridden == texts.contains_key(row.action));
    }
    problems.iter().for_each(|problem| assert!(!problem.to_string().is_empty()));
}

fn check_protections(text: &str, format: RuleFormat) {
    let Ok((protections, warnings)) = Protections::parse(text, format) else { return };
    assert!(warnings.iter().all(|warning| !warning.is_empty()));
    let rules = Rules::defaults();
    for name in protections.rule_names() {
        rules.has(name);
    }
    let operations = [Operation::Create, Operation::Read, Operation::Update, Operation::Delete];
    for caller in CALLERS.iter() {
        for operation in operations {
            for property in ["x", "", "x_owner", "kernel_id", "é"] {
                for dialect in DIALECTS {
                    protections.allows(operation, property, caller, &rules, dialect);
                }
            }
            // the service's own are not the operator's to withhold
            assert!(protections.allows(operation, "os_glance_x", caller, &rules, Dialect::V2));
        }
    }
}
