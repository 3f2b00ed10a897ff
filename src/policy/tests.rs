#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::config::RuleFormat;
use crate::domain::caller::Caller;
use crate::domain::policy::{Dialect, Target};
use crate::domain::protection::Operation;

/// A directory of its own for each test, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vitrine-policy-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn with_file(path: PathBuf) -> config::Policy {
    config::Policy { file: Some(path), ..config::Policy::default() }
}

fn may(rules: &Rules, action: &str) -> bool {
    let caller = Caller { roles: vec!["member".to_owned()], ..Caller::default() };
    rules.allows(Dialect::V1, action, &caller, &Target::none())
}

/// Looks at the file as if `looks` intervals had passed, and answers what counts then.
fn later(handle: &PolicyHandle, looks: u32) -> Arc<Rules> {
    handle.inner.look(Instant::now() + LOOK_EVERY * looks);
    Arc::clone(&handle.inner.rules.read().unwrap())
}

#[test]
fn yaml_and_json_are_read() {
    let yaml = "---\n# overrides\n\"get_images\": \"!\"\nget_image: role:admin or\n  role:member # folded\nold: [[\"role:a\"], [\"role:b\", \"role:c\"]]\nnothing:\nflag: true\n";
    let texts = parse_texts(yaml).unwrap();
    assert_eq!(texts["get_images"], "!");
    assert_eq!(texts["get_image"], "role:admin or role:member");
    assert_eq!(texts["old"], r#"[["role:a"],["role:b","role:c"]]"#);
    assert_eq!((texts["nothing"].as_str(), texts["flag"].as_str()), ("null", "true"));
    assert_eq!(parse_texts("{\n\t\"a\": \"@\",\n\t\"b\": [[\"role:x\"]]\n}").unwrap().len(), 2);
    assert_eq!(
        parse_texts("a: '!'\na: '@'\n").unwrap()["a"],
        "@",
        "the last one counts, as in the reference"
    );
    for empty in ["", "\n", "# only comments\n#\"add_image\": \"role:x\"\n", "---\n", "{}", "null"] {
        assert!(parse_texts(empty).unwrap().is_empty(), "{empty:?}");
    }
    for bad in ["- a\n- b\n", "just text", "{\"a\": ", "a: b: c", "a: [", "5"] {
        assert!(parse_texts(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn values_that_are_no_rules_deny() {
    let (rules, problems) =
        Rules::with_overrides(&parse_texts("get_images:\nget_image: true\nadd_image: {a: b}\n").unwrap());
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(!may(&rules, "get_images") && !may(&rules, "get_image") && !may(&rules, "add_image"));
}

#[test]
fn no_files_mean_the_defaults() {
    let handle = PolicyHandle::load(&config::Policy::default()).unwrap();
    assert!(may(&handle.rules(), "get_images") && !may(&handle.rules(), "publicize_image"));
    assert!(may(&PolicyHandle::defaults().rules(), "get_images"));
    let anyone = Caller::default();
    assert!(handle.protections().allows(Operation::Delete, "a", &anyone, &handle.rules(), Dialect::V2));
}

#[test]
fn a_missing_or_malformed_file_stops_the_start() {
    // OPS-013
    let dir = Dir::new();
    let error = PolicyHandle::load(&with_file(dir.0.join("absent.yaml"))).unwrap_err();
    assert!(matches!(error, LoadError::Read { .. }) && error.to_string().contains("absent.yaml"), "{error}");
    let error = PolicyHandle::load(&with_file(dir.write("bad.yaml", "- no\n- map\n"))).unwrap_err();
    assert!(matches!(error, LoadError::Invalid { .. }) && error.to_string().contains("bad.yaml"), "{error}");
    let error = PolicyHandle::load(&with_file(dir.write("big.yaml", &"#".repeat(1 << 21)))).unwrap_err();
    assert!(error.to_string().contains("larger"), "{error}");
    let protect = |path| config::Policy {
        property_protection_file: Some(path),
        property_protection_rule_format: RuleFormat::Policies,
        ..config::Policy::default()
    };
    let error = PolicyHandle::load(&protect(dir.0.join("absent.conf"))).unwrap_err();
    assert!(error.to_string().contains("absent.conf"), "{error}");
    let error = PolicyHandle::load(&protect(dir.write("bad.conf", "[x]\nread = @\n"))).unwrap_err();
    assert!(error.to_string().contains("bad.conf") && error.to_string().contains("[x]"), "{error}");
}

#[test]
fn a_change_counts_without_restart() {
    // OPS-016
    let dir = Dir::new();
    let path = dir.write("policy.json", "{}");
    let handle = PolicyHandle::load(&with_file(path)).unwrap();
    let clone = handle.clone();
    assert!(may(&handle.rules(), "get_images"));
    dir.write("policy.json", r#"{"get_images": "!"}"#);
    assert!(may(&later(&handle, 0), "get_images"), "not looked at before the time");
    let rules = later(&handle, 2);
    assert!(!may(&rules, "get_images") && may(&rules, "get_image"), "one rule changed, the rest stays");
    assert!(!may(&clone.rules(), "get_images"), "clones see the same");
    dir.write("policy.json", "{}");
    assert!(may(&later(&handle, 4), "get_images"));
}

#[test]
fn a_file_put_in_place_of_the_old_counts_too() {
    let dir = Dir::new();
    let path = dir.write("policy.yaml", "get_images: '@'\n");
    let handle = PolicyHandle::load(&with_file(path.clone())).unwrap();
    fs::rename(dir.write("new.yaml", "get_images: '!'\n"), path).unwrap();
    assert!(!may(&later(&handle, 2), "get_images"));
}

#[test]
fn a_change_that_leaves_the_same_stamp_is_found_by_the_second_reading() {
    let dir = Dir::new();
    let path = dir.write("policy.yaml", "get_images: '@'\n");
    let handle = PolicyHandle::load(&with_file(path.clone())).unwrap();
    dir.write("policy.yaml", "get_images: '!'\n");
    let lock = || handle.inner.watch.as_ref().unwrap().lock().unwrap();
    lock().seen = stamp(&path);
    assert!(!may(&later(&handle, 2), "get_images"), "after the start");
    assert!(lock().settled, "then the stamp is enough");
    dir.write("policy.yaml", "get_images: '@' # longer\n");
    assert!(may(&later(&handle, 4), "get_images"));
    dir.write("policy.yaml", "get_images: '!'\n");
    lock().seen = stamp(&path);
    assert!(!may(&later(&handle, 6), "get_images"), "after every change");
}

#[test]
fn a_broken_or_missing_new_file_keeps_the_rules() {
    let dir = Dir::new();
    let path = dir.write("policy.yaml", "get_images: '!'\n");
    let handle = PolicyHandle::load(&with_file(path.clone())).unwrap();
    dir.write("policy.yaml", "get_images: [\n");
    assert!(!may(&later(&handle, 2), "get_images"));
    fs::remove_file(&path).unwrap();
    assert!(!may(&later(&handle, 4), "get_images"));
    dir.write("policy.yaml", "get_image: '!'\n");
    let rules = later(&handle, 6);
    assert!(may(&rules, "get_images") && !may(&rules, "get_image"));
}

#[test]
fn an_unparsable_rule_denies_but_does_not_stop_the_start() {
    let dir = Dir::new();
    let path = dir.write("policy.yaml", "get_images: 'role'\ntypo_image: '@'\n");
    let handle = PolicyHandle::load(&with_file(path)).unwrap();
    assert!(!may(&handle.rules(), "get_images") && may(&handle.rules(), "get_image"));
}

#[test]
fn protections_are_read_with_the_configured_format() {
    let dir = Dir::new();
    let text = "[.*]\ncreate = context_is_admin\nread = @\nupdate = helper\ndelete = !\n";
    let config = config::Policy {
        file: Some(dir.write("policy.yaml", "helper: role:member\n")),
        property_protection_file: Some(dir.write("protect.conf", text)),
        property_protection_rule_format: RuleFormat::Policies,
    };
    let handle = PolicyHandle::load(&config).unwrap();
    let member = Caller { roles: vec!["member".to_owned()], ..Caller::default() };
    let rules = handle.rules();
    let may = |operation| handle.protections().allows(operation, "a", &member, &rules, Dialect::V2);
    assert!(may(Operation::Read) && may(Operation::Update));
    assert!(!may(Operation::Create) && !may(Operation::Delete));
}
