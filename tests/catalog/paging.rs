//! V1-100, R-25: pages are complete, free of duplicates, and in order, for random lists over random images.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use vitrine::catalog::images::Deleted;
use vitrine::domain::image::{Image, ImageId, Status, Visibility};
use vitrine::domain::member::MemberStatus;
use vitrine::domain::query::{Branch, Filter, ImageQuery, OwnerIs, SortDirection, SortKey};

use super::{NO_LIMIT, World, image, world};

const KEYS: [SortKey; 8] = [
    SortKey::Name,
    SortKey::Status,
    SortKey::ContainerFormat,
    SortKey::DiskFormat,
    SortKey::Size,
    SortKey::Id,
    SortKey::CreatedAt,
    SortKey::UpdatedAt,
];
const OWNERS: [&str; 3] = ["me", "you", "them"];

fn some<'a>(random: &mut StdRng, from: &[&'a str]) -> Option<&'a str> {
    from.choose(random).copied().filter(|_| random.random_bool(0.8))
}

/// Images with few distinct values, so that every key has ties.
async fn populate(world: &World, random: &mut StdRng) {
    for _ in 0..120 {
        let mut new = image(OWNERS.choose(random).unwrap());
        new.name = some(random, &["", "a", "B", "é"]).map(str::to_owned);
        new.status = *[Status::Queued, Status::Active, Status::Killed].choose(random).unwrap();
        new.visibility =
            *[Visibility::Public, Visibility::Community, Visibility::Shared, Visibility::Private]
                .choose(random)
                .unwrap();
        new.disk_format = some(random, &["raw", "qcow2"]).map(str::to_owned);
        new.container_format = some(random, &["bare", ""]).map(str::to_owned);
        new.size = random.random_bool(0.8).then(|| random.random_range(0..3));
        if random.random_bool(0.1) {
            new.owner = None;
        }
        let added = world.add(&new).await;
        if random.random_bool(0.5) {
            world.catalog.put_member(added.id, "me", None, false, NO_LIMIT).await.unwrap();
            let answer = *["pending", "accepted", "rejected"].choose(random).unwrap();
            let set = format!("UPDATE image_members SET status = '{answer}' WHERE image_id = '{}'", added.id);
            world.execute(&set).await;
        }
        if random.random_bool(0.2) {
            let done = world
                .catalog
                .delete_image(added.id, false, |now| now.revision == added.revision)
                .await
                .unwrap();
            assert!(matches!(done, Deleted::Done { .. }));
        }
    }
    // ties in time as well
    let coarse = "UPDATE images SET created_at = date_trunc('second', created_at) - (abs(hashtext(id::text)) % 3) * interval '1 s',
        updated_at = date_trunc('second', updated_at) - (abs(hashtext(id::text)) % 2) * interval '1 s';
        UPDATE image_members SET image_created_at = images.created_at FROM images WHERE images.id = image_id";
    world.execute(coarse).await;
}

fn direction(random: &mut StdRng) -> SortDirection {
    if random.random_bool(0.5) { SortDirection::Ascending } else { SortDirection::Descending }
}

fn query(random: &mut StdRng) -> ImageQuery {
    let branch = |visibility, owner, shared_with| Branch { visibility, owner, shared_with };
    let me = || "me".to_owned();
    let answers = [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected];
    let branches = match random.random_range(0..6) {
        0 | 1 => vec![
            branch(vec![], OwnerIs::Project(me()), None),
            branch(vec![Visibility::Public, Visibility::Community], OwnerIs::Not(me()), None),
            branch(
                vec![Visibility::Shared],
                OwnerIs::Another(me()),
                Some((me(), answers.choose(random).copied())),
            ),
        ],
        2 => vec![
            branch(vec![Visibility::Shared], OwnerIs::Project(me()), None),
            branch(vec![Visibility::Shared], OwnerIs::Another(me()), Some((me(), None))),
        ],
        3 => vec![
            branch(vec![], OwnerIs::Project(me()), None),
            branch(vec![Visibility::Public], OwnerIs::Not(me()), None),
            branch(vec![Visibility::Shared], OwnerIs::Not(me()), Some((me(), None))),
        ],
        4 => vec![
            branch(vec![Visibility::Shared, Visibility::Private], OwnerIs::Any, None),
            branch(vec![Visibility::Community], OwnerIs::Project(me()), None),
        ],
        _ => vec![branch(vec![], OwnerIs::Any, None)],
    };
    let one = direction(random);
    let uniform = random.random_bool(0.5);
    let next = |random: &mut StdRng| if uniform { one } else { direction(random) };
    let sort =
        (0..random.random_range(0..4)).map(|_| (*KEYS.choose(random).unwrap(), next(random))).collect();
    let ties = next(random);
    let filters =
        if random.random_bool(0.5) { vec![Filter::StatusNot(vec![Status::Killed])] } else { vec![] };
    ImageQuery {
        branches,
        filters,
        include_deleted: random.random_bool(0.4),
        sort,
        ties,
        limit: 1000,
        marker: None,
    }
}

/// The order of the list, worked out apart from the database.
fn compare(query: &ImageQuery, a: &Image, b: &Image) -> std::cmp::Ordering {
    let ties = [(SortKey::CreatedAt, query.ties), (SortKey::Id, query.ties)];
    query.sort.iter().chain(&ties).fold(std::cmp::Ordering::Equal, |so_far, (key, direction)| {
        let order = match key {
            SortKey::Name => a.name.clone().unwrap_or_default().cmp(&b.name.clone().unwrap_or_default()),
            SortKey::Status => a.status.as_str().cmp(b.status.as_str()),
            SortKey::ContainerFormat => a
                .container_format
                .clone()
                .unwrap_or_default()
                .cmp(&b.container_format.clone().unwrap_or_default()),
            SortKey::DiskFormat => {
                a.disk_format.clone().unwrap_or_default().cmp(&b.disk_format.clone().unwrap_or_default())
            }
            SortKey::Size => a.size.unwrap_or(0).cmp(&b.size.unwrap_or(0)),
            SortKey::Id => a.id.to_string().cmp(&b.id.to_string()),
            SortKey::CreatedAt => a.created_at.cmp(&b.created_at),
            SortKey::UpdatedAt => a.updated_at.cmp(&b.updated_at),
        };
        so_far.then(if *direction == SortDirection::Ascending { order } else { order.reverse() })
    })
}

async fn page_through(world: &World, query: &ImageQuery, size: u32) -> Vec<ImageId> {
    let mut query = ImageQuery { limit: size, ..query.clone() };
    let mut all = Vec::new();
    loop {
        let page = world.catalog.list_images(&query).await.unwrap();
        all.extend(page.iter().map(|image| image.id));
        match page.last() {
            Some(last) if page.len() == size as usize => query.marker = Some(last.id),
            _ => return all,
        }
    }
}

#[tokio::test]
async fn pages_are_complete_and_free_of_duplicates() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let world = world().await;
    populate(&world, &mut random).await;
    let everything = ImageQuery {
        branches: vec![Branch { visibility: vec![], owner: OwnerIs::Any, shared_with: None }],
        filters: vec![],
        include_deleted: true,
        sort: vec![],
        ties: SortDirection::Descending,
        limit: 1000,
        marker: None,
    };
    let mut all = world.catalog.list_images(&everything).await.unwrap();
    assert_eq!(all.len(), 120);
    for round in 0..150 {
        let query = query(&mut random);
        let whole = world.catalog.list_images(&query).await.unwrap();
        assert!(whole.is_sorted_by(|a, b| compare(&query, a, b).is_lt()), "round {round}: {query:?}");
        let whole: Vec<_> = whole.iter().map(|image| image.id).collect();
        let size = random.random_range(1..20);
        assert_eq!(page_through(&world, &query, size).await, whole, "round {round}, size {size}: {query:?}");
        // any image may be the marker, also one the list does not contain
        let marker = all.choose(&mut random).unwrap().clone();
        let rest = world
            .catalog
            .list_images(&ImageQuery { marker: Some(marker.id), ..query.clone() })
            .await
            .unwrap();
        all.sort_by(|a, b| compare(&query, a, b));
        let later = all.iter().skip_while(|image| image.id != marker.id).skip(1);
        let expected: Vec<_> = later.map(|image| image.id).filter(|id| whole.contains(id)).collect();
        assert_eq!(rest.iter().map(|i| i.id).collect::<Vec<_>>(), expected, "round {round}: {query:?}");
    }
}
