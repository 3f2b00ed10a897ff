//! The rule language, targets, and overrides.
#![expect(clippy::unwrap_used, reason = "tests")]

mod personas;

use std::collections::BTreeMap;

use proptest::prelude::*;
use time::OffsetDateTime;

use super::check::Check;
use super::*;
use crate::domain::caller::Caller;
use crate::domain::image::{Image, ImageId, Status, Visibility};
use crate::error::ErrorKind;

fn caller(project: &str, roles: &[&str]) -> Caller {
    Caller {
        user: Some("alice".to_owned()),
        project: Some(project.to_owned()),
        user_domain: Some("home".to_owned()),
        roles: roles.iter().map(ToString::to_string).collect(),
        ..Caller::default()
    }
}

fn image(owner: &str, visibility: Visibility) -> Image {
    Image {
        id: ImageId::random(),
        owner: Some(owner.to_owned()),
        name: Some("cirros".to_owned()),
        status: Status::Active,
        visibility,
        os_hidden: false,
        protected: true,
        disk_format: None,
        container_format: Some("bare".to_owned()),
        min_disk: 5,
        min_ram: 0,
        size: Some(7),
        virtual_size: None,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        tags: Vec::new(),
        properties: BTreeMap::new(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
        deleted_at: None,
        revision: 1,
        importing_to: None,
        failed_import: None,
    }
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn rules(pairs: &[(&str, &str)]) -> Rules {
    Rules::with_overrides(&texts(pairs)).0
}

/// Verdict of one rule on a member of project `one` and an image of project `one`.
fn holds(text: &str) -> bool {
    holds_for(text, &caller("one", &["member", "reader"]))
}

fn holds_for(text: &str, caller: &Caller) -> bool {
    let mut image = image("one", Visibility::Shared);
    image.properties.insert("x_key".to_owned(), Some("test_1234".to_owned()));
    rules(&[("t", text)]).allows(Dialect::V2, "t", caller, &Target::of_image(&image))
}

#[track_caller]
fn all(verdict: bool, texts: &[&str]) {
    for text in texts {
        assert_eq!(holds(text), verdict, "{text}");
    }
}

#[test]
fn constants_and_single_checks() {
    all(
        true,
        &["", "@", "role:member", "role:MEMBER", "role:Member", "user_id:alice", "user_domain_id:home"],
    );
    all(true, &["project_id:%(project_id)s", "tenant:%(owner)s", "project_id:one", "roles:reader"]);
    all(true, &["is_admin:False", "is_admin_project:True", "user_id:ali%(x)sce or @", "project_id==one"]);
    all(false, &["!", "role:admin", "role:mem", "user_id:bob", "project_id:%(id)s", "is_admin:True"]);
    all(false, &["nonsense:x", "user.id:alice", "domain_id:home", "system_scope:all", "project_id:"]);
}

#[test]
fn literals_against_the_target() {
    all(
        true,
        &["'shared':%(visibility)s", "\"shared\":%(visibility)s", "True:%(protected)s", "5:%(min_disk)s"],
    );
    all(
        true,
        &["'test_1234'==%(x_key)s", "'test_1234':%(x_key)s", "'a shared':a%%20 or @", "False:%(os_hidden)s"],
    );
    all(true, &["'shared-one':%(visibility)s-%(owner)s", "'100%':100%%", "'a b':%(x_key)s or @"]);
    all(
        false,
        &[
            "'public':%(visibility)s",
            "False:%(protected)s",
            "'SHARED':%(visibility)s",
            "None:%(disk_format)s",
        ],
    );
    all(false, &["not ('test_1234'==%(x_key)s and role:member)", "''==%(disk_format)s"]);
    assert!(!holds("'5':%(missing)s"), "a missing attribute is a no");
    assert!(holds("not '5':%(missing)s"), "and its negation a yes");
}

#[test]
fn operators_and_precedence() {
    all(true, &["@ or @ and !", "@ or ! and !", "not ! and @", "not ! or !", "! and ! or @", "not not @"]);
    all(true, &["@ AND @", "! Or @", "NOT !", "(@)", "((@ or !) and (not !))", "( @ or ! ) and @"]);
    all(
        false,
        &["(@ or @) and !", "not (! or @)", "not @ or !", "@ and not @", "! or ! and @", "not @ and !"],
    );
    all(true, &["role:member and (role:admin or project_id:%(project_id)s)"]);
}

#[test]
fn lists_of_lists() {
    all(
        true,
        &[
            "[]",
            r#"[["@"]]"#,
            r#"["role:admin", "role:member"]"#,
            r#"[["!"], ["role:member", "user_id:alice"]]"#,
        ],
    );
    all(true, &[r#" [[], "role:reader"]"#, r#"[["project_id:%(project_id)s"]]"#]);
    all(
        false,
        &["[[]]", r#"[["role:member", "role:admin"]]"#, r#"["!"]"#, r#"[["role:member", ""]]"#, "[1]", "[["],
    );
}

#[test]
fn a_rule_that_cannot_be_parsed_denies_and_is_reported() {
    let broken = [
        " ",
        "role",
        "(",
        ")",
        "(@",
        "@)",
        "@ @",
        "not",
        "and",
        "@ and",
        "or @",
        "'text'",
        "'a:%(x)s",
        "a\\b:c",
        ":x",
        "rule:",
        "'it\\'s':%(x)s",
        "x:%(y",
        "x:%(y)d",
        "x:%s",
        "http://judge/x",
        "https:judge",
        "{\"a\":\"b\"}",
        "null",
        "true",
        "5",
        "[[\"role\"]]",
        "@ not @",
        "@ and(@)or !",
    ];
    for text in broken {
        let (rules, problems) = Rules::with_overrides(&texts(&[("get_images", text)]));
        let [Problem::Unparsable { rule, .. }] = problems.as_slice() else { panic!("{text}: {problems:?}") };
        assert_eq!(rule, "get_images");
        let admin = caller("one", &["admin", "reader"]);
        assert!(!rules.allows(Dialect::V2, "get_images", &admin, &Target::of_project(Some("one"))), "{text}");
    }
}

#[test]
fn what_cannot_be_judged_denies_even_negated() {
    let around = |middle: &str| rules(&[("broken", "role"), ("self", "not rule:self"), ("t", middle)]);
    let user = caller("one", &["member"]);
    let verdict = |text: &str| around(text).allows(Dialect::V2, "t", &user, &Target::none());
    for bad in ["rule:broken", "rule:self", "rule:nowhere", "rule:t"] {
        assert!(!verdict(bad), "{bad}");
        assert!(!verdict(&format!("not {bad}")), "not {bad}");
        assert!(!verdict(&format!("@ and not ({bad} or !)")), "{bad}");
        assert!(verdict(&format!("{bad} or @")), "what is certain decides: {bad}");
        assert!(verdict(&format!("not ({bad} and !)")), "what is certain decides: {bad}");
    }
}

#[test]
fn rules_that_grow_exponentially_are_cut_off() {
    let names: Vec<String> = (0..40).map(|n| format!("r{n}")).collect();
    let map =
        names.iter().zip(1..).map(|(name, n)| (name.clone(), format!("rule:r{n} or rule:r{n}"))).collect();
    let (rules, problems) = Rules::with_overrides(&map);
    assert!(problems.contains(&Problem::Missing { rule: "r39".to_owned(), missing: "r40".to_owned() }));
    assert!(!rules.allows(Dialect::V2, "r0", &caller("one", &[]), &Target::none()));
}

#[test]
fn problems_name_the_rule() {
    let map = texts(&[
        ("delete_imag", "!"),
        ("helper", "role:x"),
        ("delete_image", "rule:helper or rule:nowhere"),
        ("a", "rule:b"),
        ("b", "not rule:a"),
    ]);
    let (_, problems) = Rules::with_overrides(&map);
    let own = |text: &str| text.to_owned();
    let expected = [
        Problem::Cyclic { rule: own("a") },
        Problem::Cyclic { rule: own("b") },
        Problem::Unknown { rule: own("delete_imag") },
        Problem::Missing { rule: own("delete_image"), missing: own("nowhere") },
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for problem in expected {
        assert!(problems.contains(&problem), "{problem}");
        assert!(problem.to_string().contains('\''), "{problem}");
    }
}

#[test]
fn length_and_nesting_are_bounded() {
    let deep = |n: usize| format!("{}@{}", "(".repeat(n), ")".repeat(n));
    assert!(holds(&deep(63)));
    assert_eq!(Check::parse(&deep(64)), Err(SyntaxError::TooDeep));
    assert_eq!(Check::parse(&"not ".repeat(3000)), Err(SyntaxError::TooDeep));
    assert_eq!(Check::parse(&"@ or ".repeat(4000)), Err(SyntaxError::TooLong));
    assert!(Check::parse(&format!("{}!", "@ and ".repeat(2000))).is_ok());
}

#[test]
fn target_of_an_image() {
    let mut image = image("one", Visibility::Public);
    for name in ["owner", "project_id", "member_id", "disk_format", "user_id", "kernel_id", "a.b"] {
        image.properties.insert(name.to_owned(), Some("forged".to_owned()));
    }
    image.properties.insert("empty".to_owned(), None);
    let target = Target::of_image(&image);
    let get = |name: &str| target.get(name).map(std::borrow::Cow::into_owned);
    assert_eq!(
        get("owner").as_deref(),
        Some("one"),
        "core attributes win over properties (images-v1.md §8.2)"
    );
    assert_eq!(get("project_id").as_deref(), Some("one"));
    assert_eq!(get("disk_format"), None, "also where they have no value");
    assert_eq!(get("member_id"), None, "no property can pose as a membership");
    assert_eq!(get("user_id"), None);
    assert_eq!(get("kernel_id").as_deref(), Some("forged"));
    assert_eq!(get("a.b").as_deref(), Some("forged"));
    assert_eq!(get("empty"), None);
    assert_eq!(get("is_public").as_deref(), Some("True"));
    assert_eq!(get("deleted").as_deref(), Some("False"));
    assert_eq!(get("status").as_deref(), Some("active"));
    assert_eq!(get("size").as_deref(), Some("7"));
    assert_eq!(get("id"), Some(image.id.to_string()));
    let shared = target.clone().with_member(Some("two")).with("name", None);
    assert_eq!(shared.get("member_id").as_deref(), Some("two"));
    assert_eq!(shared.get("name"), None);
}

#[test]
fn callers_without_project_own_nothing() {
    let mut orphan = image("one", Visibility::Private);
    orphan.owner = None;
    let nobody = Caller { roles: vec!["member".to_owned(), "reader".to_owned()], ..Caller::default() };
    let target = Target::of_image(&orphan);
    assert!(!Rules::defaults().allows(Dialect::V2, "modify_image", &nobody, &target));
    assert!(!Rules::defaults().allows(Dialect::V2, "get_images", &nobody, &Target::of_project(None)));
}

#[test]
fn an_override_counts_for_both_dialects_and_leaves_the_rest() {
    // OPS-016, V1-099, V1-185
    let rules = rules(&[("get_image", "!"), ("publicize_image", ""), ("unheard_of", "role:member")]);
    let member = caller("one", &["member", "reader"]);
    let mine = image("one", Visibility::Private);
    let target = Target::of_image(&mine);
    for dialect in [Dialect::V1, Dialect::V2] {
        assert!(!rules.allows(dialect, "get_image", &member, &target), "{dialect:?}");
        assert!(rules.allows(dialect, "publicize_image", &member, &target), "{dialect:?}");
        assert!(rules.allows(dialect, "download_image", &member, &target), "{dialect:?}");
        assert!(rules.allows(dialect, "modify_image", &member, &target), "{dialect:?}");
        assert!(rules.allows(dialect, "unheard_of", &member, &target), "{dialect:?}");
        assert!(!rules.allows(dialect, "manage_image_cache", &member, &target), "{dialect:?}");
    }
}

#[test]
fn an_action_without_rule_falls_to_default() {
    let (member, admin) = (caller("one", &["member"]), caller("one", &["admin"]));
    let asks = |rules: &Rules, dialect, who| rules.allows(dialect, "new_action", who, &Target::none());
    assert!(asks(&Rules::defaults(), Dialect::V2, &member));
    assert!(!asks(&Rules::defaults(), Dialect::V1, &member));
    assert!(asks(&Rules::defaults(), Dialect::V1, &admin));
    let closed = rules(&[("default", "!")]);
    assert!(!asks(&closed, Dialect::V2, &admin) && !asks(&closed, Dialect::V1, &admin));
    assert!(
        !closed.allows(Dialect::V2, "get_tasks", &admin, &Target::none()),
        "rules that refer to it follow"
    );
}

#[test]
fn a_refusal_is_forbidden_with_the_standard_text() {
    let member = caller("one", &["member"]);
    let error =
        Rules::defaults().check(Dialect::V1, "publicize_image", &member, &Target::none()).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Forbidden, "Access was denied to this resource.")
    );
    Rules::defaults().check(Dialect::V1, "add_image", &member, &Target::none()).unwrap();
}

#[test]
fn the_list_shows_what_is_in_force() {
    let rules = rules(&[("add_image", "role:x"), ("helper", "role:y")]);
    let rows: Vec<_> = rules.list().collect();
    let row = |name: &str| rows.iter().find(|row| row.action == name).unwrap();
    assert_eq!(
        (row("add_image").v1, row("add_image").v2, row("add_image").overridden),
        ("role:x", "role:x", true)
    );
    assert_eq!((row("copy_from").v1, row("copy_from").overridden), ("rule:v1_writer", false));
    assert_eq!(row("publicize_image").v2, "rule:context_is_admin");
    assert_eq!((row("helper").v1, row("helper").overridden), ("role:y", true));
    assert!(rows.iter().filter(|row| row.action != "helper").all(|row| !row.description.is_empty()));
}

#[test]
fn every_default_parses_and_refers_to_known_rules() {
    let rules = Rules::defaults();
    let texts = rules
        .list()
        .flat_map(|row| [(format!("{}.1", row.action), row.v1), (row.action.to_owned(), row.v2)])
        .map(|(name, text)| (name, text.to_owned()))
        .collect();
    let problems = Rules::with_overrides(&texts).1;
    assert!(
        problems.iter().all(|problem| matches!(problem, Problem::Unknown { rule } if rule.ends_with(".1"))),
        "{problems:?}"
    );
}

proptest! {
    #[test]
    fn any_text_is_parsed_and_judged_without_panic(text in ".{0,200}") {
        holds(&text);
    }

    #[test]
    fn any_words_of_the_language_are_too(words in prop::collection::vec(
        prop::sample::select(vec!["(", ")", "and", "or", "not", "@", "!", "role:a", "rule:t", "'x':%(owner)s", "[", "\"", "%("]), 0..60)) {
        holds(&words.join(" "));
        holds(&words.concat());
    }

    #[test]
    fn an_expression_means_what_its_operators_say(a: bool, b: bool, c: bool, d: bool) {
        let s = |value: bool| if value { "@" } else { "!" };
        prop_assert_eq!(holds(&format!("{} or {} and not {} or {}", s(a), s(b), s(c), s(d))), a || (b && !c) || d);
        prop_assert_eq!(holds(&format!("({} or {}) and not ({} and {})", s(a), s(b), s(c), s(d))), (a || b) && !(c && d));
    }
}
