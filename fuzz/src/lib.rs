//! The fuzz targets, and what they share: values to work on, and what must hold for every text that is let through.
//! The tests of the service run them too, over their seeds.

pub mod create_document;
pub mod filter;
pub mod headers;
pub mod inspect;
pub mod patch;
pub mod policy_rule;
pub mod script;
pub mod v1_query;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use time::macros::datetime;
use vitrine::config::{Images, Limits};
use vitrine::domain::caller::Caller;
use vitrine::domain::image::{Image, ImageId, Properties, Status, Visibility};
use vitrine::domain::query::{ImageQuery, OwnerIs};
use vitrine::domain::schema::{ImageSchema, default_extension};
use vitrine::error::{Error, ErrorKind};

/// The project of the callers that have one.
pub const PROJECT: &str = "me";

/// The schema of an installation without configuration of its own.
pub static SCHEMA: LazyLock<ImageSchema> = LazyLock::new(|| {
    let images = Images::default();
    ImageSchema::new(&images.disk_formats, &images.container_formats, &default_extension())
        .expect("the shipped extension is sound")
});

/// The limits of that installation.
pub static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

/// Every kind of caller that lists and rules tell apart.
pub static CALLERS: LazyLock<Vec<Caller>> = LazyLock::new(|| {
    let of = |project: Option<&str>, roles: &[&str], is_admin| Caller {
        user: project.map(|_| "olga".to_owned()),
        project: project.map(str::to_owned),
        roles: roles.iter().map(ToString::to_string).collect(),
        is_admin,
        ..Caller::default()
    };
    vec![
        of(Some(PROJECT), &["member", "reader"], false),
        of(Some(PROJECT), &["admin", "member", "reader"], true),
        of(None, &["admin"], true),
        of(None, &[], false),
        Caller::anonymous(),
        Caller { service_roles: vec!["service".to_owned()], ..of(Some("other"), &["reader"], false) },
        Caller { system_scope: Some("all".to_owned()), ..of(None, &["admin"], true) },
    ]
});

/// An image with a value in every attribute.
pub fn image(status: Status) -> Image {
    let text = |text: &str| Some(text.to_owned());
    let properties: [(&str, Option<String>); 5] = [
        ("x", text("1")),
        ("kernel_id", None),
        ("os_distro", text("debian")),
        ("hidden", text("from some")),
        ("os_glance_importing_to_stores", text("fast")),
    ];
    Image {
        id: ImageId("9b1faf51-237a-4893-b5a3-6b4c931efba0".parse().expect("a constant")),
        owner: text(PROJECT),
        name: text("disk"),
        status,
        visibility: Visibility::Shared,
        os_hidden: false,
        protected: false,
        disk_format: text("qcow2"),
        container_format: text("bare"),
        min_disk: 1,
        min_ram: 512,
        size: Some(196_608),
        virtual_size: Some(1 << 30),
        checksum: text("98c67e7cfb1ce0e9805a7b6ba7d55b89"),
        os_hash_algo: text("sha512"),
        os_hash_value: text("cf83e1357eefb8bd"),
        tags: vec!["a".to_owned(), "b".to_owned()],
        properties: properties.map(|(name, value)| (name.to_owned(), value)).into(),
        created_at: datetime!(2026-01-02 03:04:05.678901 UTC),
        updated_at: datetime!(2026-02-03 04:05:06 UTC),
        deleted_at: None,
        revision: 7,
        importing_to: Some(vec!["fast".to_owned()]),
        failed_import: Some(Vec::new()),
    }
}

/// The first byte, to choose by, and what follows it.
pub fn choice(data: &[u8]) -> Option<(usize, &[u8])> {
    data.split_first().map(|(first, rest)| (usize::from(*first), rest))
}

/// A refusal is the client's fault, and repeats no more of what the client sent than fits in an answer.
pub fn check_refusal(error: &Error) {
    assert!(
        !matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable { .. }),
        "the service takes the blame: {error:?}"
    );
}

/// As [`check_refusal`], where texts of clients are clipped.
pub fn check_clipped_refusal(error: &Error) {
    check_refusal(error);
    // 400 characters of the reason, 255 of a name, four bytes each, and the sentence around them
    assert!(error.message().len() <= 4096, "a message of {} bytes", error.message().len());
}

/// What PostgreSQL and the API can hold (hardening.md A44).
pub fn check_storable(text: &str) {
    assert!(!text.contains('\0'), "a null character in {text:?}");
    assert!(text.chars().all(|c| u32::from(c) <= 0xFFFF), "a character beyond U+FFFF in {text:?}");
}

/// Properties as they may be stored.
pub fn check_properties(properties: &Properties) {
    for (name, value) in properties {
        check_storable(name);
        if let Some(value) = value {
            check_storable(value);
        }
    }
}

/// What any list may ask for, whoever wrote the query: bounded work (A43), and nothing that the caller may not see.
pub fn check_query(query: &ImageQuery, caller: &Caller) {
    assert!(query.limit <= LIMITS.api_limit_max, "a page of {}", query.limit);
    assert!((1..=8).contains(&query.sort.len()), "{} sort keys", query.sort.len());
    assert!(query.branches.len() <= 3, "{} branches", query.branches.len());
    if caller.is_admin {
        return;
    }
    for branch in &query.branches {
        let open = |v: &Visibility| matches!(v, Visibility::Public | Visibility::Community);
        let is_open = !branch.visibility.is_empty() && branch.visibility.iter().all(open);
        let is_own = matches!(&branch.owner, OwnerIs::Project(p) if caller.project.as_ref() == Some(p));
        let is_member = branch.shared_with.as_ref().is_some_and(|(p, _)| caller.project.as_ref() == Some(p));
        assert!(is_open || is_own || is_member, "{caller:?} sees {branch:?}");
    }
}

/// Rules by name: one `name: text` a line.
pub fn rules(text: &str) -> BTreeMap<String, String> {
    let mut rules: BTreeMap<String, String> = BTreeMap::new();
    for line in text.split('\n') {
        let (name, rule) = line.split_once(": ").unwrap_or(("modify_image", line));
        rules.insert(name.to_owned(), rule.to_owned());
    }
    rules
}
