#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SAMPLE: &str = "\
# comment
[^guard_closed]
create = !
read = !
update = !
delete = !

[^guard_]
create = admin, Member
read: @
UPDATE = spl_role
; another comment
delete =

[x_any]
create = @
read = @
update = @
delete = @
";

fn caller(roles: &[&str]) -> Caller {
    Caller { roles: roles.iter().map(ToString::to_string).collect(), ..Caller::default() }
}

fn parse(text: &str, format: RuleFormat) -> Protections {
    Protections::parse(text, format).unwrap().0
}

fn may(protections: &Protections, operation: Operation, property: &str, caller: &Caller) -> bool {
    protections.allows(operation, property, caller, &Rules::defaults(), Dialect::V2)
}

/// A complete section whose four values are `value`.
fn section(header: &str, value: &str) -> String {
    format!("[{header}]\ncreate = {value}\nread = {value}\nupdate = {value}\ndelete = {value}\n")
}

#[test]
fn without_file_nothing_is_protected() {
    assert!(may(&Protections::none(), Operation::Delete, "anything", &Caller::default()));
}

#[test]
fn first_matching_section_decides() {
    // OPS-014, A27, V1-211: a later, more permissive section cannot open what an earlier one closes
    let protections = parse(SAMPLE, RuleFormat::Roles);
    let (admin, member) = (caller(&["admin"]), caller(&["member"]));
    assert!(!may(&protections, Operation::Create, "guard_closed", &admin));
    assert!(!may(&protections, Operation::Read, "guard_closed_x_any", &admin));
    assert!(may(&protections, Operation::Create, "guard_a", &member), "roles compare without case");
    assert!(may(&protections, Operation::Read, "guard_a", &Caller::default()), "@ is everybody");
    assert!(!may(&protections, Operation::Update, "guard_a", &admin));
    assert!(may(&protections, Operation::Update, "guard_a", &caller(&["spl_role"])));
    assert!(!may(&protections, Operation::Delete, "guard_a", &admin), "empty is nobody");
}

#[test]
fn expressions_are_searched_not_anchored() {
    let protections = parse(SAMPLE, RuleFormat::Roles);
    assert!(may(&protections, Operation::Create, "my_x_any_thing", &Caller::default()));
    assert!(!may(&protections, Operation::Read, "my_guard_a", &caller(&["admin"])), "^ anchors");
}

#[test]
fn what_no_section_matches_is_denied_to_everybody() {
    let protections = parse(SAMPLE, RuleFormat::Roles);
    for operation in Operation::ALL {
        assert!(!may(&protections, operation, "other", &caller(&["admin", "member", "spl_role"])));
    }
    let (empty, warnings) = Protections::parse("# nothing\n", RuleFormat::Roles).unwrap();
    assert!(!may(&empty, Operation::Read, "other", &caller(&["admin"])));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn service_roles_count() {
    let forwarded = Caller { service_roles: vec!["spl_role".to_owned()], ..caller(&["member"]) };
    assert!(may(&parse(SAMPLE, RuleFormat::Roles), Operation::Update, "guard_a", &forwarded));
    let rules =
        Rules::with_overrides(&BTreeMap::from([("special".to_owned(), "role:spl_role".to_owned())])).0;
    let policies = parse(&section(".*", "special"), RuleFormat::Policies);
    assert!(policies.allows(Operation::Read, "a", &forwarded, &rules, Dialect::V2));
}

#[test]
fn values_can_be_policy_rules() {
    let text = section("^open", "@")
        + &section("^shut", "!")
        + &section("^gone", "nowhere")
        + &section(".*", "creator");
    let protections = parse(&text, RuleFormat::Policies);
    let overrides = BTreeMap::from([("creator".to_owned(), "role:admin or role:maker".to_owned())]);
    let rules = Rules::with_overrides(&overrides).0;
    let may = |property, roles: &[&str]| {
        protections.allows(Operation::Update, property, &caller(roles), &rules, Dialect::V1)
    };
    assert!(may("a", &["maker"]) && may("a", &["admin"]) && !may("a", &["member"]));
    assert!(may("open", &[]) && !may("shut", &["admin"]));
    assert!(!may("gone", &["admin"]), "a rule that does not exist denies");
    assert_eq!(protections.rule_names(), BTreeSet::from(["creator", "nowhere"]));
}

#[test]
fn properties_of_the_service_are_not_the_operators() {
    let text = section("os_glance_x", "!") + &section("^os_glance", "broken, ,!") + &section(".*", "!");
    let (protections, warnings) = Protections::parse(&text, RuleFormat::Roles).unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(may(&protections, Operation::Create, "os_glance_import_task", &Caller::default()));
    assert!(!may(&protections, Operation::Create, "x_os_glance", &caller(&["admin"])));
}

#[test]
fn malformed_files_are_refused_by_name_of_the_section() {
    // OPS-013
    let roles = |text: &str| Protections::parse(text, RuleFormat::Roles).unwrap_err();
    let policies = |text: &str| Protections::parse(text, RuleFormat::Policies).unwrap_err();
    for (error, needle) in [
        (roles(&section("^bad(", "@")), "[^bad(]"),
        (roles(&section("^look(?=ahead)", "@")), "[^look(?=ahead)]"),
        (roles(&section("^mix", "@, !")), "'@' and '!'"),
        (roles(&section("^mix", "admin, @, !")), "[^mix]"),
        (roles("[^three]\ncreate = @\nread = @\nupdate = @\n"), "[^three] has no key 'delete'"),
        (roles("[^four]\ncreate = @\nraed = @\nupdate = @\ndelete = @\n"), "[^four] has no key 'read'"),
        (policies(&section("^many", "one, two")), "[^many]"),
        (roles(&(section("^twice", "@") + &section("^twice", "!"))), "[^twice]"),
        (roles("[^again]\nread = @\nread = !\n"), "key 'read' is there twice"),
        (roles("[^word]\nread\n"), "[^word]"),
        (roles("read = @\n"), "line 1"),
        (roles("[]\n"), "line 1"),
        (roles(&section("^percent", "%(x)s")), "[^percent]"),
        (roles(&section("^huge(a{1000}){1000}", "@")), "[^huge"),
    ] {
        assert!(error.contains(needle), "{needle}: {error}");
    }
}

#[test]
fn ini_details_are_those_of_the_reference() {
    let text = "[DEFAULT]\ndelete = !\n[^[ab]_[0-9]]  trailing\n create = admin,\n    member\n read=@ ; kept\n update = 100%%\n";
    let protections = parse(text, RuleFormat::Roles);
    assert!(
        may(&protections, Operation::Create, "b_7", &caller(&["member"])),
        "a deeper line continues the value"
    );
    assert!(may(&protections, Operation::Update, "a_1", &caller(&["100%"])));
    assert!(!may(&protections, Operation::Delete, "a_1", &caller(&["admin"])), "DEFAULT fills in");
    assert!(!may(&protections, Operation::Read, "a_1", &caller(&["admin"])), "comments are whole lines");
}

#[test]
fn empty_values_are_warned_of() {
    let (_, warnings) = Protections::parse(SAMPLE, RuleFormat::Roles).unwrap();
    assert_eq!(warnings, ["section [^guard_], key 'delete' is empty, so nobody may delete"]);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(lines in prop::collection::vec("[\\[\\]=:%!@a#, \t]{0,12}", 0..12)) {
        for format in [RuleFormat::Roles, RuleFormat::Policies] {
            let _ = Protections::parse(&lines.join("\n"), format);
        }
    }
}
