//! Memberships (images-v1.md §9).

use vitrine::catalog::images::Deleted;
use vitrine::catalog::members::MembersChanged;
use vitrine::domain::image::{ImageId, Visibility};
use vitrine::domain::member::MemberStatus;
use vitrine::domain::query::{Branch, ImageQuery, OwnerIs, SortDirection};

use super::{NO_LIMIT, World, world};

async fn put(world: &World, id: ImageId, member: &str, can_share: Option<bool>) {
    let put = world.catalog.put_member(id, member, can_share, false, NO_LIMIT).await.unwrap();
    assert_eq!(put, MembersChanged::Done);
}

async fn members(world: &World, id: ImageId) -> Vec<(String, bool)> {
    let members = world.catalog.members(id).await.unwrap();
    members.into_iter().map(|m| (m.member, m.can_share)).collect()
}

fn pairs(list: &[(&str, bool)]) -> Vec<(String, bool)> {
    list.iter().map(|(member, can_share)| ((*member).to_owned(), *can_share)).collect()
}

fn given(list: &[(&str, Option<bool>)]) -> Vec<(String, Option<bool>)> {
    list.iter().map(|(member, can_share)| ((*member).to_owned(), *can_share)).collect()
}

/// V1-188, V1-207
#[tokio::test]
async fn members_keep_the_order_in_which_they_joined() {
    let world = world().await;
    let id = world.queued("p").await.id;
    for member in ["z", "a", "m"] {
        put(&world, id, member, None).await;
    }
    put(&world, id, "z", Some(true)).await;
    put(&world, id, "m", None).await;
    assert_eq!(members(&world, id).await, pairs(&[("z", true), ("a", false), ("m", false)]));
    let first = world.catalog.members(id).await.unwrap().remove(0);
    assert_eq!((first.image_id, first.status), (id, MemberStatus::Pending));
    assert!(first.updated_at > first.created_at);
}

/// V1-194: a member that was removed starts anew.
#[tokio::test]
async fn a_removed_member_can_be_added_again() {
    let world = world().await;
    let id = world.queued("p").await.id;
    put(&world, id, "m", Some(true)).await;
    put(&world, id, "n", None).await;
    assert!(world.catalog.delete_member(id, "m").await.unwrap());
    assert!(!world.catalog.delete_member(id, "m").await.unwrap());
    assert!(!world.catalog.delete_member(ImageId::random(), "n").await.unwrap());
    put(&world, id, "m", None).await;
    assert_eq!(members(&world, id).await, pairs(&[("n", false), ("m", false)]));
}

#[tokio::test]
async fn an_existing_member_can_be_left_as_it_is() {
    let world = world().await;
    let id = world.queued("p").await.id;
    put(&world, id, "m", Some(true)).await;
    world.catalog.put_member(id, "m", Some(false), true, NO_LIMIT).await.unwrap();
    world.catalog.put_member(id, "n", Some(true), true, NO_LIMIT).await.unwrap();
    assert_eq!(members(&world, id).await, pairs(&[("m", true), ("n", true)]));
}

/// V1-197: the quota counts one more, also where the member exists.
#[tokio::test]
async fn the_quota_is_judged_before_anything_is_written() {
    let world = world().await;
    let id = world.queued("p").await.id;
    for member in ["a", "b"] {
        assert_eq!(world.catalog.put_member(id, member, None, false, 2).await.unwrap(), MembersChanged::Done);
    }
    for member in ["c", "a"] {
        let put = world.catalog.put_member(id, member, Some(true), false, 2).await.unwrap();
        assert_eq!(put, MembersChanged::OverQuota { attempted: 3 });
    }
    assert_eq!(members(&world, id).await, pairs(&[("a", false), ("b", false)]));
    let none = world.catalog.put_member(world.queued("p").await.id, "a", None, false, 0).await.unwrap();
    assert_eq!(none, MembersChanged::OverQuota { attempted: 1 });
}

#[tokio::test]
async fn concurrent_additions_stay_within_the_quota() {
    let world = world().await;
    let id = world.queued("p").await.id;
    let puts = (0..20).map(|n| {
        let catalog = world.catalog.clone();
        async move { catalog.put_member(id, &format!("m{n}"), None, false, 10).await.unwrap() }
    });
    let done = futures_util::future::join_all(puts).await;
    assert_eq!(done.iter().filter(|put| **put == MembersChanged::Done).count(), 10);
    assert_eq!(members(&world, id).await.len(), 10);
}

/// V1-195
#[tokio::test]
async fn a_replacement_keeps_those_that_stay() {
    let world = world().await;
    let id = world.queued("p").await.id;
    for (member, can_share) in [("a", true), ("b", false), ("c", true)] {
        put(&world, id, member, Some(can_share)).await;
    }
    let new = given(&[("z", Some(true)), ("c", None), ("y", None), ("b", Some(true))]);
    world.catalog.replace_members(id, &new, None).await.unwrap();
    let expected = pairs(&[("b", true), ("c", true), ("z", true), ("y", false)]);
    assert_eq!(members(&world, id).await, expected);
    let untouched = world.catalog.members(id).await.unwrap().remove(1);
    assert_eq!(untouched.updated_at, untouched.created_at);
    world.catalog.replace_members(id, &[], None).await.unwrap();
    assert!(members(&world, id).await.is_empty());
}

/// images-v1.md §9.2: a member that may share adds others and gives up itself, nothing else.
#[tokio::test]
async fn a_member_replaces_nobody_but_itself() {
    let world = world().await;
    let id = world.queued("p").await.id;
    for member in ["a", "me", "b"] {
        put(&world, id, member, Some(true)).await;
    }
    world
        .catalog
        .replace_members(id, &given(&[("a", Some(false)), ("new", None)]), Some("me"))
        .await
        .unwrap();
    assert_eq!(members(&world, id).await, pairs(&[("a", true), ("b", true), ("new", false)]));
}

#[tokio::test]
async fn a_deleted_image_gets_no_members() {
    let world = world().await;
    let image = world.queued("p").await;
    assert!(matches!(
        world.catalog.delete_image(image.id, false, |now| now.revision == image.revision).await.unwrap(),
        Deleted::Done { .. }
    ));
    put(&world, image.id, "m", None).await;
    world.catalog.replace_members(image.id, &given(&[("m", None)]), None).await.unwrap();
    assert!(members(&world, image.id).await.is_empty());
    put(&world, ImageId::random(), "m", None).await;
}

/// V1-204, V1-205, V1-206
#[tokio::test]
async fn memberships_of_a_project() {
    let world = world().await;
    let mut ids = Vec::new();
    for owner in ["p", "q", "p"] {
        let id = world.queued(owner).await.id;
        put(&world, id, "m", None).await;
        ids.push(id);
    }
    let of = async |member: &str, owner| {
        let memberships = world.catalog.memberships(member, owner).await.unwrap();
        memberships.into_iter().map(|m| m.image_id).collect::<Vec<_>>()
    };
    assert_eq!(of("m", None).await, ids);
    assert_eq!(of("m", Some("p")).await, [ids[0], ids[2]]);
    assert!(of("stranger", None).await.is_empty());
}

/// What is shared with `project`, newest first.
async fn shared_with(world: &World, project: &str) -> Vec<ImageId> {
    let branch = Branch {
        visibility: vec![Visibility::Shared],
        owner: OwnerIs::Not(project.to_owned()),
        shared_with: Some((project.to_owned(), None)),
    };
    let query = ImageQuery {
        branches: vec![branch],
        filters: vec![],
        include_deleted: false,
        sort: vec![],
        ties: SortDirection::Descending,
        limit: 100,
        marker: None,
    };
    world.catalog.list_images(&query).await.unwrap().iter().map(|image| image.id).collect()
}

/// During a rollout the previous release adds members by its own statements, which do not know when an image was
/// created.
#[tokio::test]
async fn the_previous_release_can_add_members() {
    const PUT_MEMBER: &str = "
        INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at)
        VALUES ($1, $2, $3, 'pending', statement_timestamp(), statement_timestamp())
        ON CONFLICT ON CONSTRAINT image_members_pkey DO UPDATE
        SET can_share = $4, updated_at = statement_timestamp()
        WHERE $4::boolean IS NOT NULL";
    const PUT_MEMBERS: &str = "
        INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at)
        SELECT $1, given.member, coalesce(given.can_share, false), 'pending', statement_timestamp(),
          statement_timestamp()
        FROM unnest($2::text[], $3::boolean[]) WITH ORDINALITY AS given (member, can_share, place)
        ORDER BY given.place
        ON CONFLICT ON CONSTRAINT image_members_pkey DO NOTHING";
    let world = world().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.queued("p").await.id);
    }
    // in another order than that of the images
    put(&world, ids[1], "m", None).await;
    let more: &[Option<bool>] = &[None, Some(true)];
    world.sql.execute(PUT_MEMBERS, &[&ids[3].0, &["m", "n"].as_slice(), &more]).await.unwrap();
    world.catalog.replace_members(ids[2], &given(&[("m", None)]), None).await.unwrap();
    for change in [None, Some(true)] {
        world.sql.execute(PUT_MEMBER, &[&ids[0].0, &"m", &false, &change]).await.unwrap();
    }
    assert_eq!(members(&world, ids[0]).await, pairs(&[("m", true)]));
    assert_eq!(members(&world, ids[3]).await, pairs(&[("m", false), ("n", true)]));
    ids.reverse();
    assert_eq!(shared_with(&world, "m").await, ids);
    let wrong = "SELECT count(*) FROM image_members JOIN images ON images.id = image_members.image_id
        WHERE image_members.image_created_at <> images.created_at";
    assert_eq!(world.sql.query_one(wrong, &[]).await.unwrap().get::<_, i64>(0), 0);
}
