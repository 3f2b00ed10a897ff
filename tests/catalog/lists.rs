//! What lists contain.

use std::collections::BTreeSet;

use time::Duration;
use vitrine::catalog::images::Deleted;
use vitrine::domain::image::{Image, ImageId, Status, Visibility};
use vitrine::domain::member::MemberStatus;
use vitrine::domain::query::{
    Branch, Comparison, Filter, ImageQuery, IntAttribute, OwnerIs, SortDirection, SortKey, TextAttribute,
    TimeAttribute,
};

use super::{NO_LIMIT, World, image, world};

fn everything() -> ImageQuery {
    ImageQuery {
        branches: vec![Branch { visibility: Vec::new(), owner: OwnerIs::Any, shared_with: None }],
        filters: Vec::new(),
        include_deleted: false,
        sort: Vec::new(),
        ties: SortDirection::Descending,
        limit: 1000,
        marker: None,
    }
}

/// What a tenant of `project` sees in v1 (images-v1.md §4.4).
fn tenant(project: &str) -> ImageQuery {
    let not_mine = OwnerIs::Not(project.to_owned());
    let branches = vec![
        Branch { visibility: Vec::new(), owner: OwnerIs::Project(project.to_owned()), shared_with: None },
        Branch { visibility: vec![Visibility::Public], owner: not_mine.clone(), shared_with: None },
        Branch {
            visibility: vec![Visibility::Shared],
            owner: not_mine,
            shared_with: Some((project.to_owned(), None)),
        },
    ];
    ImageQuery { branches, ..everything() }
}

async fn ids(world: &World, query: &ImageQuery) -> Vec<ImageId> {
    world.catalog.list_images(query).await.unwrap().iter().map(|image| image.id).collect()
}

async fn set(world: &World, query: &ImageQuery) -> BTreeSet<ImageId> {
    let list = ids(world, query).await;
    let set: BTreeSet<_> = list.iter().copied().collect();
    assert_eq!(list.len(), set.len(), "no image twice");
    set
}

async fn add(world: &World, change: impl FnOnce(&mut Image)) -> Image {
    let mut new = image("p");
    change(&mut new);
    world.add(&new).await
}

async fn owned(world: &World, owner: Option<&str>, visibility: Visibility) -> ImageId {
    let change = |image: &mut Image| (image.owner, image.visibility) = (owner.map(str::to_owned), visibility);
    add(world, change).await.id
}

/// V1-082, V1-217, V1-221
#[tokio::test]
async fn a_tenant_sees_public_own_and_shared_images() {
    use Visibility::{Community, Private, Public, Shared};
    let world = world().await;
    let mut visible = BTreeSet::new();
    for visibility in [Public, Community, Shared, Private] {
        visible.insert(owned(&world, Some("me"), visibility).await);
        for owner in [Some("you"), None] {
            let foreign = owned(&world, owner, visibility).await;
            let member = owned(&world, owner, visibility).await;
            for project in ["me", "you", "other"] {
                world.catalog.put_member(member, project, None, false, NO_LIMIT).await.unwrap();
            }
            if visibility == Public {
                visible.insert(foreign);
            }
            if matches!(visibility, Public | Shared) {
                visible.insert(member);
            }
        }
    }
    // being a member of one's own image does not show it twice
    let own = owned(&world, Some("me"), Shared).await;
    world.catalog.put_member(own, "me", None, false, NO_LIMIT).await.unwrap();
    visible.insert(own);
    assert_eq!(set(&world, &tenant("me")).await, visible);
    assert_eq!(set(&world, &everything()).await.len(), 21);
}

#[tokio::test]
async fn a_branch_narrows_by_visibility_and_answer() {
    let world = world().await;
    let mut shared = Vec::new();
    for status in ["pending", "accepted", "rejected"] {
        let id = owned(&world, Some("you"), Visibility::Shared).await;
        world.catalog.put_member(id, "me", None, false, NO_LIMIT).await.unwrap();
        world.execute(&format!("UPDATE image_members SET status = '{status}' WHERE image_id = '{id}'")).await;
        shared.push(id);
    }
    let private = owned(&world, Some("you"), Visibility::Private).await;
    let community = owned(&world, Some("you"), Visibility::Community).await;
    let one = |branch| ImageQuery { branches: vec![branch], ..everything() };
    let with = |status| Some(("me".to_owned(), status));
    let branch = |visibility, owner, shared_with| one(Branch { visibility, owner, shared_with });
    for (n, status) in
        [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected].into_iter().enumerate()
    {
        let query = branch(vec![Visibility::Shared], OwnerIs::Any, with(Some(status)));
        assert_eq!(ids(&world, &query).await, [shared[n]]);
    }
    let not_public = vec![Visibility::Shared, Visibility::Private];
    let mut expected = BTreeSet::from_iter(shared);
    expected.insert(private);
    assert_eq!(set(&world, &branch(not_public, OwnerIs::Any, None)).await, expected);
    let own = branch(vec![Visibility::Community], OwnerIs::Project("you".to_owned()), None);
    assert_eq!(ids(&world, &own).await, [community]);
    assert!(ids(&world, &ImageQuery { branches: Vec::new(), ..everything() }).await.is_empty());
}

async fn matching(world: &World, filters: Vec<Filter>) -> BTreeSet<ImageId> {
    let found = set(world, &ImageQuery { filters: filters.clone(), ..everything() }).await;
    // each branch takes the filters
    assert_eq!(set(world, &ImageQuery { filters, ..tenant("p") }).await, found);
    found
}

/// V1-066 to V1-076, V1-084, V1-085, V1-234
#[tokio::test]
async fn filters() {
    let world = world().await;
    let a = add(&world, |i| {
        i.name = Some("a".to_owned());
        i.disk_format = Some("qcow2".to_owned());
        i.container_format = Some("docker".to_owned());
        i.checksum = Some("c".to_owned());
        (i.os_hash_algo, i.os_hash_value) = (Some("md".to_owned()), Some("h".to_owned()));
        (i.size, i.virtual_size, i.min_ram, i.min_disk) = (Some(20), Some(30), 514, 7);
        i.tags = vec!["t".to_owned(), "u".to_owned()];
        i.properties.insert("pants".to_owned(), Some("are on".to_owned()));
        i.properties.insert("null".to_owned(), None);
        i.properties.insert("empty".to_owned(), Some(String::new()));
        (i.protected, i.os_hidden, i.visibility) = (true, true, Visibility::Public);
        i.status = Status::Active;
    })
    .await;
    let empty = add(&world, |i| {
        (i.name, i.size, i.disk_format) = (Some(String::new()), Some(0), Some(String::new()));
    })
    .await;
    let null = add(&world, |_| {}).await;
    let (only_a, all) = (BTreeSet::from([a.id]), BTreeSet::from([a.id, empty.id, null.id]));
    let not_a = BTreeSet::from([empty.id, null.id]);
    let text =
        |attribute, texts: &[&str]| Filter::Text(attribute, texts.iter().map(ToString::to_string).collect());
    let property = |name: &str, value: &str| Filter::Property(name.to_owned(), value.to_owned());
    let outside = |from, until| Filter::TimeOutside(TimeAttribute::CreatedAt, from, until);
    let after_a = a.created_at + Duration::MICROSECOND;
    let cases: Vec<(Vec<Filter>, &BTreeSet<ImageId>)> = vec![
        (vec![], &all),
        (vec![text(TextAttribute::Name, &["a"])], &only_a),
        (vec![text(TextAttribute::Name, &["b", "a"])], &only_a),
        (vec![text(TextAttribute::DiskFormat, &["qcow2"])], &only_a),
        (vec![text(TextAttribute::ContainerFormat, &["docker", "ovf"])], &only_a),
        (vec![text(TextAttribute::Checksum, &["c"])], &only_a),
        (vec![text(TextAttribute::OsHashAlgo, &["md"])], &only_a),
        (vec![text(TextAttribute::OsHashValue, &["h"])], &only_a),
        (vec![Filter::Int(IntAttribute::VirtualSize, Comparison::Eq, 30)], &only_a),
        (vec![Filter::Int(IntAttribute::VirtualSize, Comparison::Ge, i64::MIN)], &only_a),
        (vec![text(TextAttribute::Owner, &["p"])], &all),
        (vec![Filter::Int(IntAttribute::MinRam, Comparison::Eq, 514)], &only_a),
        (vec![Filter::Int(IntAttribute::MinDisk, Comparison::Gt, 6)], &only_a),
        (vec![Filter::Int(IntAttribute::MinDisk, Comparison::Ne, 7)], &not_a),
        (vec![Filter::Int(IntAttribute::MinDisk, Comparison::Lt, 7)], &not_a),
        (
            vec![
                Filter::Int(IntAttribute::Size, Comparison::Ge, 20),
                Filter::Int(IntAttribute::Size, Comparison::Le, 20),
            ],
            &only_a,
        ),
        (vec![Filter::Int(IntAttribute::Size, Comparison::Ge, i64::MIN), Filter::Protected(true)], &only_a),
        (vec![Filter::Time(TimeAttribute::CreatedAt, Comparison::Le, a.created_at)], &only_a),
        (vec![Filter::Time(TimeAttribute::UpdatedAt, Comparison::Gt, a.updated_at)], &not_a),
        (vec![outside(a.created_at, after_a)], &not_a),
        (vec![outside(a.created_at - Duration::DAY, a.created_at)], &all),
        (vec![Filter::EmptyProperty("null".to_owned())], &only_a),
        (vec![Filter::EmptyProperty("empty".to_owned())], &only_a),
        (vec![Filter::Status(vec![Status::Active, Status::Killed])], &only_a),
        (vec![Filter::StatusNot(vec![Status::Active, Status::Killed])], &not_a),
        (vec![Filter::StatusNot(vec![Status::Active])], &not_a),
        (vec![Filter::StatusNot(vec![])], &all),
        (vec![Filter::Visibility(vec![Visibility::Public])], &only_a),
        (vec![Filter::Visibility(vec![Visibility::Public, Visibility::Shared])], &all),
        (vec![Filter::Protected(false)], &not_a),
        (vec![Filter::Hidden(true)], &only_a),
        (vec![Filter::Hidden(false)], &not_a),
        (vec![property("pants", "are on")], &only_a),
        (vec![Filter::Tag("t".to_owned()), Filter::Tag("u".to_owned())], &only_a),
        (vec![Filter::Id(vec![a.id, ImageId::random()])], &only_a),
    ];
    for (filters, expected) in cases {
        let found = matching(&world, filters.clone()).await;
        assert_eq!(found, *expected, "{filters:?}");
    }
    let nothing = [
        text(TextAttribute::Name, &["A"]),
        text(TextAttribute::Name, &[]),
        text(TextAttribute::Name, &["a\0", "\0"]),
        text(TextAttribute::Name, &["%"]),
        text(TextAttribute::Checksum, &[""]),
        property("pants", "off"),
        property("Pants", "are on"),
        property("null", ""),
        property("pa\0nts", "are on"),
        Filter::EmptyProperty("pants".to_owned()),
        Filter::EmptyProperty("none".to_owned()),
        Filter::EmptyProperty("\0".to_owned()),
        Filter::Tag("T".to_owned()),
        Filter::Tag("\0".to_owned()),
        Filter::Id(vec![]),
        Filter::Status(vec![]),
        Filter::Visibility(vec![]),
        Filter::Nothing,
    ];
    for filter in nothing {
        assert!(matching(&world, vec![filter.clone()]).await.is_empty(), "{filter:?}");
    }
    // null is not the empty text and not 0
    let empty_name = vec![text(TextAttribute::Name, &[""])];
    assert_eq!(matching(&world, empty_name).await, BTreeSet::from([empty.id]));
    assert_eq!(
        matching(&world, vec![text(TextAttribute::DiskFormat, &["", "x"])]).await,
        BTreeSet::from([empty.id])
    );
    let no_bytes = vec![Filter::Int(IntAttribute::Size, Comparison::Le, 0)];
    assert_eq!(matching(&world, no_bytes).await, BTreeSet::from([empty.id]));
}

/// V1-086; images-v1.md §4.3
#[tokio::test]
async fn deleted_images_are_listed_on_request_only_and_match_no_property() {
    let world = world().await;
    let mut ids_of = Vec::new();
    for delayed in [false, true] {
        let (active, _) = world.active("p", 1).await;
        let mut changed = active.clone();
        changed.properties.insert("k".to_owned(), Some("v".to_owned()));
        let changed = world.catalog.update_image(&changed).await.unwrap().unwrap();
        let done = world
            .catalog
            .delete_image(active.id, delayed, |now| now.revision == changed.revision)
            .await
            .unwrap();
        assert!(matches!(done, Deleted::Done { .. }));
        ids_of.push(active.id);
    }
    let present = world.queued("p").await;
    for base in [everything(), tenant("p")] {
        assert_eq!(ids(&world, &base).await, [present.id]);
        let mut query = ImageQuery { include_deleted: true, ..base };
        assert_eq!(ids(&world, &query).await, [present.id, ids_of[1], ids_of[0]]);
        query.marker = Some(ids_of[1]);
        assert_eq!(ids(&world, &query).await, [ids_of[0]], "V1-270: a deleted marker");
        query.marker = None;
        query.filters = vec![Filter::Property("k".to_owned(), "v".to_owned())];
        assert!(ids(&world, &query).await.is_empty());
        query.filters =
            vec![Filter::Time(TimeAttribute::UpdatedAt, Comparison::Gt, present.updated_at - Duration::DAY)];
        assert_eq!(ids(&world, &query).await.len(), 3);
        query.filters = vec![Filter::Time(TimeAttribute::UpdatedAt, Comparison::Gt, present.updated_at)];
        assert!(ids(&world, &query).await.is_empty());
    }
}

/// images-v2.md §18.1: a membership does not show an image without an owner; v1 shows it.
#[tokio::test]
async fn an_image_without_an_owner_is_another_projects_or_not() {
    let world = world().await;
    let (foreign, ownerless) =
        (owned(&world, Some("you"), Visibility::Shared).await, owned(&world, None, Visibility::Shared).await);
    for image in [foreign, ownerless] {
        world.catalog.put_member(image, "me", None, false, NO_LIMIT).await.unwrap();
    }
    let shared = |owner| {
        let shared_with = Some(("me".to_owned(), Some(MemberStatus::Pending)));
        let branches = vec![Branch { visibility: vec![Visibility::Shared], owner, shared_with }];
        ImageQuery { branches, ..everything() }
    };
    assert_eq!(ids(&world, &shared(OwnerIs::Another("me".to_owned()))).await, [foreign]);
    assert_eq!(ids(&world, &shared(OwnerIs::Not("me".to_owned()))).await, [ownerless, foreign]);
    assert!(ids(&world, &shared(OwnerIs::Another("you".to_owned()))).await.is_empty());
}

/// V2-106, V2-107: what is appended to the sort keys has a direction of its own.
#[tokio::test]
async fn ties_follow_their_own_direction() {
    let world = world().await;
    let mut made = Vec::new();
    for name in ["b", "a", "b"] {
        made.push(add(&world, |i| i.name = Some(name.to_owned())).await.id);
    }
    let by_name =
        |ties| ImageQuery { sort: vec![(SortKey::Name, SortDirection::Ascending)], ties, ..everything() };
    let up = by_name(SortDirection::Ascending);
    assert_eq!(ids(&world, &up).await, [made[1], made[0], made[2]]);
    let down = by_name(SortDirection::Descending);
    assert_eq!(ids(&world, &down).await, [made[1], made[2], made[0]]);
    assert_eq!(ids(&world, &ImageQuery { marker: Some(made[2]), ..down }).await, [made[0]]);
}

/// V1-065, V1-091, V1-093, V1-095, V1-096
#[tokio::test]
async fn order_limit_and_marker() {
    let world = world().await;
    let mut made = Vec::new();
    for (name, size) in [(Some("b"), Some(5)), (None, None), (Some("B"), Some(0)), (Some("a"), Some(9))] {
        let change = |i: &mut Image| (i.name, i.size) = (name.map(str::to_owned), size);
        made.push(add(&world, change).await.id);
    }
    let query = everything();
    let newest_first: Vec<_> = made.iter().rev().copied().collect();
    assert_eq!(ids(&world, &query).await, newest_first);
    assert_eq!(ids(&world, &ImageQuery { limit: 2, ..query.clone() }).await, newest_first[..2]);
    assert!(ids(&world, &ImageQuery { limit: 0, ..query.clone() }).await.is_empty());
    let after = |id| ImageQuery { marker: Some(id), ..query.clone() };
    assert_eq!(ids(&world, &after(made[3])).await, newest_first[1..]);
    assert!(ids(&world, &after(made[0])).await.is_empty());
    assert!(ids(&world, &after(ImageId::random())).await.is_empty());
    let by = |key, direction| ImageQuery { sort: vec![(key, direction)], ties: direction, ..query.clone() };
    let names = by(SortKey::Name, SortDirection::Ascending);
    assert_eq!(ids(&world, &names).await, [made[1], made[2], made[3], made[0]], "byte order, null first");
    let sizes = by(SortKey::Size, SortDirection::Descending);
    assert_eq!(ids(&world, &sizes).await, [made[3], made[0], made[2], made[1]], "null as 0, newer first");
}

/// V1-067; statuses sort by their word.
#[tokio::test]
async fn statuses_sort_by_word() {
    let world = world().await;
    let mut words = vec!["uploading", "active", "saving", "killed", "importing", "queued", "deactivated"];
    for word in &words {
        add(&world, |i| i.status = word.parse().unwrap()).await;
    }
    words.sort_unstable();
    let query = ImageQuery { sort: vec![(SortKey::Status, SortDirection::Ascending)], ..everything() };
    let listed = world.catalog.list_images(&query).await.unwrap();
    assert_eq!(listed.iter().map(|i| i.status.as_str()).collect::<Vec<_>>(), words);
}
