//! Rows and what they come to.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;

const ID: &str = "6f2c1a34-0000-4000-8000-00000000000a";
const IMAGE: &[&str] = &[
    "id",
    "status",
    "created_at",
    "updated_at",
    "deleted_at",
    "deleted",
    "size",
    "visibility",
    "is_public",
    "min_disk",
];

/// An image with these columns and one object.
fn record(columns: &[(&str, &str)]) -> Record {
    let defaults = [("id", ID), ("status", "active"), ("created_at", "2024-01-02 03:04:05"), ("size", "3")];
    let value = |name: &str| {
        let given = columns.iter().chain(&defaults).find(|(column, _)| *column == name);
        given.map(|(_, value)| (*value).to_owned())
    };
    let image = Row::new(IMAGE, IMAGE.iter().map(|name| value(name)).collect());
    let place =
        location(&format!("s3://key:canary@s3.example/glance/{ID}"), Some("{\"store\": \"fast\", \"a\": 1}"));
    Record { image, locations: vec![place], ..Record::default() }
}

fn location(value: &str, metadata: Option<&str>) -> Row {
    Row::new(&["value", "meta_data"], vec![Some(value.to_owned()), metadata.map(str::to_owned)])
}

fn pair(columns: &'static [&'static str], values: [&str; 2]) -> Row {
    Row::new(columns, values.iter().map(|value| Some((*value).to_owned())).collect())
}

fn property(name: &str, value: &str) -> Row {
    pair(&["name", "value"], [name, value])
}

fn adopted(record: &Record) -> Adoption {
    match judge(record) {
        Verdict::Adopt(adoption) => *adoption,
        other => panic!("{other:?}"),
    }
}

fn left_out(record: &Record) -> String {
    match judge(record) {
        Verdict::LeaveOut(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_active_image_keeps_what_it_has() {
    let mut record = record(&[("visibility", "community"), ("min_disk", "2")]);
    record.tags = ["b", "a", "b"].map(|tag| pair(&["value", "deleted"], [tag, "0"])).to_vec();
    record.tags.push(pair(&["value", "deleted"], ["gone", "1"]));
    record.properties = vec![
        property("checksum", "of v1"),
        property("os_distro", "debian"),
        property("os_glance_importing_to_stores", ""),
        property("os_glance_failed_import", "slow, far"),
        property("os_glance_stage_host", "http://worker"),
        Row::new(&["name", "value"], vec![Some("empty".to_owned()), None]),
    ];
    record.members =
        vec![pair(&["member", "status"], ["beta", "accepted"]), pair(&["member"], ["gamma", "x"])];
    let adoption = adopted(&record);
    let image = &adoption.image;
    assert_eq!((image.id.to_string(), image.status, image.size), (ID.to_owned(), Status::Active, Some(3)));
    assert_eq!((image.visibility, image.min_disk, image.min_ram), (Visibility::Community, 2, 0));
    assert_eq!((image.updated_at, image.tags.join(" ")), (image.created_at, "b a".to_owned()));
    let expected = [("checksum", Some("of v1")), ("empty", None), ("os_distro", Some("debian"))];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
    assert_eq!(image.properties, Properties::from(expected));
    assert_eq!(image.importing_to, Some(Vec::new()));
    assert_eq!(image.failed_import, Some(vec!["slow".to_owned(), "far".to_owned()]));
    let statuses: Vec<_> = adoption.members.iter().map(|m| (m.member.as_str(), m.status)).collect();
    assert_eq!(statuses, [("beta", MemberStatus::Accepted), ("gamma", MemberStatus::Pending)]);
    let [place] = &adoption.places[..] else { panic!("{:?}", adoption.places) };
    assert_eq!((place.store.as_deref(), &place.metadata), (Some("fast"), &json!({"a": 1})));
    assert!(!format!("{adoption:?}").contains("canary"));
}

#[test]
fn deleted_images_keep_their_id_and_nothing_else() {
    for columns in [&[("status", "deleted")][..], &[("deleted", "1")], &[("status", "pending_delete")]] {
        let adoption = adopted(&record(columns));
        assert_eq!((adoption.image.status, adoption.places.len()), (Status::Deleted, 0), "{columns:?}");
        assert_eq!(adoption.image.deleted_at, Some(adoption.image.created_at));
        assert_eq!(adoption.notes.len(), usize::from(columns == [("status", "pending_delete")]));
    }
    let mut pending = record(&[("status", "pending_delete")]);
    let value = format!("s3://key:canary@s3.example/glance/{ID}");
    pending.locations = vec![pair(&["value", "status"], [&value, "pending_delete"])];
    let note = adopted(&pending).notes.join("");
    assert!(note.contains(&format!("(3 bytes each: s3://s3.example/glance/{ID})")), "{note}");
    assert_eq!(judge(&record(&[("status", "deleted"), ("id", "old-name")])), Verdict::Nothing);
}

#[test]
fn older_databases_say_is_public() {
    assert_eq!(adopted(&record(&[("is_public", "1")])).image.visibility, Visibility::Public);
    let mut private = record(&[("is_public", "0")]);
    assert_eq!(adopted(&private).image.visibility, Visibility::Private);
    private.members = vec![pair(&["member", "status"], ["beta", "pending"])];
    assert_eq!(adopted(&private).image.visibility, Visibility::Shared);
}

#[test]
fn what_cannot_be_kept_is_left_out() {
    for (columns, reason) in [
        (("id", "old-name"), "UUID"),
        (("status", "saving"), "on its way"),
        (("status", "importing"), "on its way"),
        (("status", "odd"), "status is unknown"),
        (("status", "queued"), "has a location"),
        (("size", "-1"), "`size` is -1"),
        (("size", "many"), "no number"),
        (("created_at", "yesterday"), "no time"),
        (("visibility", "odd"), "visibility is unknown"),
        (("min_disk", "2147483648"), "min_disk"),
        (("deleted", "perhaps"), "no truth value"),
    ] {
        let found = left_out(&record(&[columns]));
        assert!(found.contains(reason), "{columns:?}: {found}");
    }
    let mut nowhere = record(&[]);
    nowhere.locations.clear();
    assert!(left_out(&nowhere).contains("no location"));
    let mut unsized_image = record(&[]);
    unsized_image.image = Row::new(&["id", "status", "created_at"], unsized_image.image_values());
    assert!(left_out(&unsized_image).contains("size"));
    assert!(left_out(&Record { overfull: true, ..record(&[]) }).contains("more properties"));
}

impl Record {
    /// Id, status and time of creation.
    fn image_values(&self) -> Vec<Option<String>> {
        ["id", "status", "created_at"].map(|column| self.image.owned(column)).to_vec()
    }
}

#[test]
fn objects_are_named_after_their_image() {
    let id: ImageId = ID.parse().unwrap();
    assert!(is_named_after(ID, id) && is_named_after(&ID.replace('-', "").to_uppercase(), id));
    for key in ["", "images", "6f2c1a34-0000-4000-8000-00000000000b"] {
        assert!(!is_named_after(key, id), "{key}");
    }
}

#[test]
fn what_is_not_as_in_glance_is_named() {
    let mut there = record(&[("visibility", "shared")]);
    there.tags = ["a", "b"].map(|tag| pair(&["value", "deleted"], [tag, "0"])).to_vec();
    there.properties = vec![property("kept", "1"), property("other", "1"), property("new", "1")];
    there.members = vec![
        pair(&["member", "status"], ["kept", "accepted"]),
        pair(&["member", "status"], ["answered", "accepted"]),
        pair(&["member", "status"], ["new", "pending"]),
    ];
    let there = adopted(&there);
    let (mut here, mut members) = (there.image.clone(), there.members.clone());
    here.tags.reverse();
    here.updated_at += time::Duration::days(1);
    assert_eq!(there.differences(&here, &members), Vec::<String>::new(), "order and times do not count");
    here.name = Some("mine".to_owned());
    here.tags.pop();
    here.properties.insert("other".to_owned(), None);
    here.properties.remove("new");
    here.properties.insert("gone".to_owned(), None);
    members[1].status = MemberStatus::Rejected;
    members[2].member = "gone".to_owned();
    let expected = [
        "name",
        "tags",
        "property `gone`",
        "property `new`",
        "property `other`",
        "member `answered`",
        "member `gone`",
        "member `new`",
    ];
    assert_eq!(there.differences(&here, &members), expected);
    members.truncate(1);
    members[0].can_share = true;
    assert!(there.differences(&here, &members).contains(&"member `kept`".to_owned()));
}

#[test]
fn digests_that_become_known_are_no_other_data() {
    let there = adopted(&record(&[]));
    let with = |change: fn(&mut Image)| {
        let mut here = there.image.clone();
        change(&mut here);
        there.is_of_other_data(&here)
    };
    assert!(!with(|_| {}));
    assert!(with(|here| here.size = Some(4)) && with(|here| here.checksum = Some("x".to_owned())));
    assert!(with(|here| here.os_hash_value = Some("x".to_owned())));
    let known =
        Adoption { image: Image { checksum: Some("x".to_owned()), ..there.image.clone() }, ..there.clone() };
    assert!(!known.is_of_other_data(&there.image));
}
