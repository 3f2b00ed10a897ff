//! Plans of every shape of list on 100,000 images: no sequential scan of `images`, no sort of an unbounded part of it.

mod metadefs;
mod queue;
mod tasks;

use serde_json::Value;
use time::{Duration, OffsetDateTime};
use vitrine::catalog::Catalog;
use vitrine::domain::image::{ImageId, Status, Visibility};
use vitrine::domain::member::MemberStatus;
use vitrine::domain::query::{
    Branch, Comparison, Filter, ImageQuery, IntAttribute, OwnerIs, SortDirection, SortKey, TextAttribute,
    TimeAttribute,
};

use crate::support::db::test_database;

/// 100,000 images of 2,000 projects, a fifth of them deleted, 2 % public; 20,000 memberships, 5,000 of them of one
/// project, with each answer; a tag on a third of the images, others on few. The newest image has the id that ends in 1.
const SEED: &str = "
    SELECT setseed(0.5);
    INSERT INTO images (id, owner, name, status, visibility, os_hidden, protected, disk_format, container_format,
      min_disk, min_ram, size, checksum, os_hash_algo, os_hash_value, tags, properties,
      created_at, updated_at, deleted_at)
    SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
      'project-' || n % 2000,
      CASE WHEN n % 50 = 0 THEN NULL ELSE 'image-' || n % 40000 END,
      (CASE WHEN n % 5 = 3 THEN 'deleted' WHEN n % 31 = 0 THEN 'queued' WHEN n % 97 = 0 THEN 'killed'
        ELSE 'active' END)::image_status,
      (CASE WHEN n % 50 < 1 THEN 'public' WHEN n % 50 < 2 THEN 'community' WHEN n % 50 < 35 THEN 'shared'
        ELSE 'private' END)::image_visibility,
      n % 200 = 0, n % 100 = 0,
      (ARRAY['qcow2', 'raw', 'iso', NULL])[1 + n % 4], (ARRAY['bare', 'bare', 'ovf'])[1 + n % 3],
      n % 3, 512 * (n % 4), (random() * 1e10)::bigint, md5(n::text), 'sha512', md5(n::text) || md5((n + 1)::text),
      CASE WHEN n % 10 = 0 THEN ARRAY['tag-' || n % 1000] ELSE '{}' END
        || CASE WHEN n % 3 = 1 THEN ARRAY['base'] ELSE '{}' END,
      jsonb_build_object('os_distro', (ARRAY['debian', 'fedora', 'ubuntu'])[1 + n % 3], 'build', 'b' || n % 20000),
      now() - n * interval '5 minutes', now() - n * interval '5 minutes' + random() * interval '1 day',
      CASE WHEN n % 5 = 3 THEN now() - random() * interval '30 days' END
    FROM generate_series(1, 100000) AS n;
    INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, image_created_at)
    SELECT id, 'project-' || (n % 1999), false,
      (ARRAY['pending', 'accepted', 'rejected'])[1 + n % 3]::member_status, now(), now(), created_at
    FROM (SELECT id, created_at, row_number() OVER (ORDER BY md5(id::text)) AS n FROM images
      WHERE visibility = 'shared') AS shared
    WHERE n <= 15000;
    INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, image_created_at)
    SELECT id, 'popular', false, (ARRAY['pending', 'accepted', 'rejected'])[1 + n % 3]::member_status, now(), now(),
      created_at
    FROM (SELECT id, created_at, row_number() OVER (ORDER BY md5(id::text || 'x')) AS n FROM images
      WHERE visibility = 'shared') AS shared
    WHERE n <= 5000;
    ANALYZE images; ANALYZE image_members;";

const KEYS: [SortKey; 8] = [
    SortKey::CreatedAt,
    SortKey::Name,
    SortKey::Status,
    SortKey::ContainerFormat,
    SortKey::DiskFormat,
    SortKey::Size,
    SortKey::Id,
    SortKey::UpdatedAt,
];
const POPULAR: &str = "tenant with 5,000 memberships";
const POPULAR_V2: &str = "tenant with 5,000 memberships, shared only";
const DIRECTIONS: [SortDirection; 2] = [SortDirection::Ascending, SortDirection::Descending];

fn branch(visibility: &[Visibility], owner: OwnerIs) -> Branch {
    Branch { visibility: visibility.to_vec(), owner, shared_with: None }
}

fn scopes() -> Vec<(&'static str, Vec<Branch>)> {
    use Visibility::{Community, Private, Public, Shared};
    let own = |project: &str| OwnerIs::Project(project.to_owned());
    let not = |project: &str| OwnerIs::Not(project.to_owned());
    let shared = |project: &str, status| Branch {
        visibility: vec![Shared],
        owner: not(project),
        shared_with: Some((project.to_owned(), status)),
    };
    let from_others = |project: &str, status| Branch {
        owner: OwnerIs::Another(project.to_owned()),
        ..shared(project, status)
    };
    let tenant = |project: &str| {
        vec![branch(&[], own(project)), branch(&[Public], not(project)), shared(project, None)]
    };
    let accepted = Some(MemberStatus::Accepted);
    vec![
        ("tenant", tenant("project-7")),
        (POPULAR, tenant("popular")),
        (
            "tenant, v2",
            vec![
                branch(&[], own("project-7")),
                branch(&[Public], not("project-7")),
                from_others("project-7", accepted),
            ],
        ),
        (POPULAR_V2, vec![branch(&[Shared], own("popular")), from_others("popular", None)]),
        ("tenant, images of one owner", vec![branch(&[Public], own("project-9"))]),
        (
            "tenant, all community",
            vec![branch(&[], own("project-7")), branch(&[Public, Community], not("project-7"))],
        ),
        ("no project", vec![branch(&[Public], OwnerIs::Any)]),
        (
            "admin, not public",
            vec![branch(&[Shared, Private], OwnerIs::Any), branch(&[Community], own("project-7"))],
        ),
        (
            "admin, v1 all",
            vec![branch(&[Public, Shared, Private], OwnerIs::Any), branch(&[Community], own("project-7"))],
        ),
        ("admin, no project", vec![branch(&[Public, Shared, Private], OwnerIs::Any)]),
        ("admin, community", vec![branch(&[Community], OwnerIs::Any)]),
        ("admin, images of one owner", vec![branch(&[Public, Shared, Private], own("project-9"))]),
        ("admin, everything", vec![branch(&[], OwnerIs::Any)]),
    ]
}

fn id(n: u32) -> ImageId {
    format!("00000000-0000-4000-8000-{n:012}").parse().unwrap()
}

/// A filter with a name, whether it comes with deleted images, and whether it is tried with every sort key.
struct Case {
    name: &'static str,
    filters: Vec<Filter>,
    include_deleted: bool,
    every_sort: bool,
}

fn cases(newest: OffsetDateTime) -> Vec<Case> {
    let text = |attribute, text: &str| Filter::Text(attribute, vec![text.to_owned()]);
    let size = |comparison, n| Filter::Int(IntAttribute::Size, comparison, n);
    let since = |days| Filter::Time(TimeAttribute::UpdatedAt, Comparison::Gt, newest + Duration::days(days));
    let property = |name: &str, value: &str| Filter::Property(name.to_owned(), value.to_owned());
    let updated = |comparison, at| Filter::Time(TimeAttribute::UpdatedAt, comparison, at);
    let (from, until) = (newest - Duration::days(40), newest - Duration::days(40) + Duration::SECOND);
    let second = [updated(Comparison::Ge, from), updated(Comparison::Lt, until)];
    let outside = Filter::TimeOutside(TimeAttribute::UpdatedAt, from, until);
    let rarities = vec![
        Filter::Hidden(false),
        Filter::StatusNot(vec![Status::Killed]),
        property("os_distro", "debian"),
        property("build", "b77"),
    ];
    let names = (0..50).map(|n| format!("image-{n}")).collect();
    let mut cases = Vec::new();
    let mut add = |name, filters, include_deleted, every_sort| {
        cases.push(Case { name, filters, include_deleted, every_sort });
    };
    add("no filter", vec![], false, true);
    add("v1", vec![Filter::StatusNot(vec![Status::Killed]), Filter::Hidden(false)], false, true);
    add("changes since long ago", vec![since(-2000)], true, true);
    add("changes since two days", vec![since(-2)], true, true);
    add("changes in the future", vec![since(2)], true, false);
    add("name", vec![text(TextAttribute::Name, "image-77")], false, true);
    add("unknown name", vec![text(TextAttribute::Name, "nobody")], false, false);
    add("names", vec![Filter::Text(TextAttribute::Name, names)], false, false);
    add("property", vec![property("build", "b77")], false, true);
    add("common property", vec![property("os_distro", "debian")], false, false);
    add("tag", vec![Filter::Tag("tag-70".to_owned())], false, true);
    add("common tag", vec![Filter::Tag("base".to_owned())], false, false);
    add("two tags", vec![Filter::Tag("base".to_owned()), Filter::Tag("tag-70".to_owned())], false, false);
    add("unknown tag", vec![Filter::Tag("nobody".to_owned())], false, false);
    add("empty property", vec![Filter::EmptyProperty("build".to_owned())], false, false);
    add("hash algorithm", vec![text(TextAttribute::OsHashAlgo, "sha512")], false, false);
    add("unknown hash algorithm", vec![text(TextAttribute::OsHashAlgo, "md5")], false, false);
    add(
        "unknown virtual size",
        vec![Filter::Int(IntAttribute::VirtualSize, Comparison::Ge, 1)],
        false,
        false,
    );
    add("one second", second.to_vec(), false, true);
    add("not one second", vec![outside], false, false);
    add("v2, hidden", vec![Filter::StatusNot(vec![Status::Killed]), Filter::Hidden(true)], false, true);
    add("v2, rarities", rarities, false, false);
    add("size range", vec![size(Comparison::Ge, 1_000_000), size(Comparison::Le, 2_000_000)], false, true);
    add("size at least", vec![size(Comparison::Ge, 1_000_000)], false, false);
    add("unknown size", vec![size(Comparison::Ge, i64::MAX)], false, false);
    add("status", vec![Filter::Status(vec![Status::Queued])], false, false);
    add("unknown status", vec![Filter::Status(vec![Status::Saving])], false, false);
    add("disk format", vec![text(TextAttribute::DiskFormat, "iso")], false, false);
    add("unknown disk format", vec![text(TextAttribute::DiskFormat, "vdi")], false, false);
    add("container format", vec![text(TextAttribute::ContainerFormat, "ovf")], false, false);
    add("memory", vec![Filter::Int(IntAttribute::MinRam, Comparison::Eq, 512)], false, false);
    add("unknown memory", vec![Filter::Int(IntAttribute::MinRam, Comparison::Eq, 514)], false, false);
    add("unknown disk", vec![Filter::Int(IntAttribute::MinDisk, Comparison::Eq, 77)], false, false);
    add("protected", vec![Filter::Protected(true)], false, false);
    add("hidden", vec![Filter::Hidden(true)], false, false);
    add("checksum", vec![text(TextAttribute::Checksum, "nobody")], false, false);
    add("hash", vec![text(TextAttribute::OsHashValue, "nobody")], false, false);
    add("owner", vec![text(TextAttribute::Owner, "project-9")], false, false);
    cases
}

/// Orders, each with the direction of what is appended to it.
fn sorts(every: bool) -> Vec<(Vec<(SortKey, SortDirection)>, SortDirection)> {
    let [up, down] = DIRECTIONS;
    let mixed = (vec![(SortKey::Name, up), (SortKey::CreatedAt, down)], down);
    if !every {
        return vec![(vec![], down), (vec![(SortKey::Name, up)], up), (vec![(SortKey::Status, down)], down)];
    }
    let single = KEYS.iter().flat_map(|key| DIRECTIONS.map(|direction| (vec![(*key, direction)], direction)));
    // names are rarely alike, so the tie-breakers sort little whatever their direction
    single.chain([mixed, (vec![(SortKey::Name, up)], down)]).collect()
}

/// What the database did for one list.
#[derive(Debug, Default)]
struct Work {
    /// Rows of images read, kept or not.
    read: f64,
    /// Rows of memberships read, kept or not.
    members: f64,
    /// Memberships whose image matched.
    matched: f64,
    /// Rows that went into the largest sort.
    sorted: f64,
    scanned: bool,
}

impl Work {
    fn of(plan: &Value) -> Self {
        let mut work = Self::default();
        work.add(plan);
        work
    }

    fn add(&mut self, node: &Value) {
        let kind = node["Node Type"].as_str().unwrap();
        let rows = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"]
            .map(|field| total(node, field))
            .iter()
            .sum::<f64>();
        if node["Relation Name"] == "images" {
            self.scanned |= kind == "Seq Scan";
            self.read += rows;
        }
        if node["Relation Name"] == "image_members" {
            self.members += rows;
        }
        if kind == "Nested Loop" && node["Plans"][0]["Relation Name"] == "image_members" {
            self.matched += total(node, "Actual Rows");
        }
        if kind == "Sort" {
            self.sorted = self.sorted.max(total(&node["Plans"][0], "Actual Rows"));
        }
        for inner in node["Plans"].as_array().into_iter().flatten() {
            self.add(inner);
        }
    }
}

/// A number that the plan gives per loop, over all loops.
fn total(node: &Value, field: &str) -> f64 {
    node[field].as_f64().unwrap_or(0.0) * node["Actual Loops"].as_f64().unwrap_or(0.0)
}

/// Most rows that a sort may take in: 2 % of the images, or what is shared with the project that asks.
fn sort_limit(scope: &str) -> f64 {
    if [POPULAR, POPULAR_V2].contains(&scope) { 5_000.0 } else { 2_000.0 }
}

#[tokio::test]
async fn no_list_scans_or_sorts_all_images() {
    let database = test_database().await;
    database.client().await.batch_execute(SEED).await.unwrap();
    let catalog = Catalog::new(&database.config()).unwrap();
    let newest = catalog.image(id(1), None).await.unwrap().unwrap().image.created_at;
    let mut faults = Vec::new();
    let mut plans = 0;
    for (scope, branches) in scopes() {
        for case in cases(newest) {
            for (sort, ties) in sorts(case.every_sort) {
                for marker in [None, Some(id(50_001))] {
                    let query = ImageQuery {
                        branches: branches.clone(),
                        filters: case.filters.clone(),
                        include_deleted: case.include_deleted,
                        sort: sort.clone(),
                        ties,
                        limit: 25,
                        marker,
                    };
                    let plan = catalog.explain_list(&query).await.unwrap().unwrap();
                    let work = Work::of(&plan[0]["Plan"]);
                    plans += 1;
                    // without a filter that rejects rows, a page reads no more than what it could have to sort, and what is public
                    let walks =
                        case.every_sort && case.filters.is_empty() && work.read > sort_limit(scope) + 2_200.0;
                    if work.scanned || work.sorted > sort_limit(scope) || walks {
                        let marked = if marker.is_some() { "after a marker" } else { "first page" };
                        faults.push(format!("{scope}, {}, by {sort:?}, {marked}: {work:?}", case.name));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} of {plans} plans:\n{}", faults.len(), faults.join("\n"));
}

/// Lists of memberships in the order of creation, with a name: each answer and any, each direction.
fn membership_lists(project: &str) -> Vec<(String, ImageQuery)> {
    let text = |attribute, text: &str| Filter::Text(attribute, vec![text.to_owned()]);
    let filters = [
        ("no filter", vec![]),
        ("v2", vec![Filter::StatusNot(vec![Status::Killed]), Filter::Hidden(false)]),
        ("common property", vec![Filter::Property("os_distro".to_owned(), "debian".to_owned())]),
        ("rare tag", vec![Filter::Tag("tag-70".to_owned())]),
        ("unknown name", vec![text(TextAttribute::Name, "nobody")]),
    ];
    let answers =
        [None, Some(MemberStatus::Pending), Some(MemberStatus::Accepted), Some(MemberStatus::Rejected)];
    let mut lists = Vec::new();
    for (name, filters) in &filters {
        for answer in answers {
            for owner in [OwnerIs::Not(project.to_owned()), OwnerIs::Another(project.to_owned())] {
                for direction in DIRECTIONS {
                    for include_deleted in [false, true] {
                        let query = ImageQuery {
                            branches: vec![Branch {
                                visibility: vec![Visibility::Shared],
                                owner: owner.clone(),
                                shared_with: Some((project.to_owned(), answer)),
                            }],
                            filters: filters.clone(),
                            include_deleted,
                            sort: vec![(SortKey::CreatedAt, direction)],
                            ties: direction,
                            limit: 25,
                            marker: None,
                        };
                        let deleted = if include_deleted { ", deleted ones too" } else { "" };
                        lists.push((format!("{project}, {name}, {answer:?}, {direction:?}{deleted}"), query));
                    }
                }
            }
        }
    }
    lists
}

/// A page of what is shared with a project reads the images of that page, and those before them that do not match.
#[tokio::test]
async fn a_page_of_memberships_reads_one_page() {
    // a project that got its memberships after the planner last looked
    const SUDDEN: &str = "
        INSERT INTO image_members (image_id, member, can_share, status, created_at, updated_at, image_created_at)
        SELECT image_id, 'sudden', can_share, status, created_at, updated_at, image_created_at FROM image_members
        WHERE member = 'popular'";
    let database = test_database().await;
    let sql = database.client().await;
    sql.batch_execute(SEED).await.unwrap();
    sql.batch_execute(SUDDEN).await.unwrap();
    let catalog = Catalog::new(&database.config()).unwrap();
    let mut faults = Vec::new();
    let mut plans = 0;
    for (name, list) in ["popular", "sudden"].iter().flat_map(|project| membership_lists(project)) {
        for marker in [None, Some(id(5_001)), Some(id(50_001)), Some(id(99_501))] {
            let query = ImageQuery { marker, ..list.clone() };
            let work = Work::of(&catalog.explain_list(&query).await.unwrap().unwrap()[0]["Plan"]);
            plans += 1;
            // a fifth of the images is deleted
            let unfiltered = name.contains("no filter") && work.read > 50.0;
            // without statistics the planner may take the index of any answer, and step over the others; the images of a
            // rare tag are found first, and need not be as many as the memberships
            let rare = name.contains("rare tag");
            let popular = name.starts_with("popular");
            let astray = popular && if rare { work.read > 300.0 } else { work.members > work.read };
            if work.scanned || work.matched > 25.0 || work.sorted > 25.0 || unfiltered || astray {
                faults.push(format!("{name}, after {marker:?}: {work:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {plans} plans:\n{}", faults.len(), faults.join("\n"));
    // the check must be able to fail
    sql.batch_execute("DROP INDEX members_by_created, members_any_by_created").await.unwrap();
    let (_, list) = membership_lists("popular").remove(0);
    let work = Work::of(&catalog.explain_list(&list).await.unwrap().unwrap()[0]["Plan"]);
    assert!(work.read > 3_000.0, "{work:?}");
}

/// The check must be able to fail.
#[tokio::test]
async fn a_missing_index_is_noticed() {
    let database = test_database().await;
    let sql = database.client().await;
    sql.batch_execute(SEED).await.unwrap();
    sql.batch_execute("DROP INDEX images_by_name, images_min_ram").await.unwrap();
    let catalog = Catalog::new(&database.config()).unwrap();
    let query = ImageQuery {
        branches: vec![branch(&[], OwnerIs::Any)],
        filters: vec![],
        include_deleted: false,
        sort: vec![(SortKey::Name, SortDirection::Ascending)],
        ties: SortDirection::Ascending,
        limit: 25,
        marker: None,
    };
    let work = async |query| Work::of(&catalog.explain_list(query).await.unwrap().unwrap()[0]["Plan"]);
    assert!(work(&query).await.sorted > 2_000.0);
    let rare = vec![Filter::Int(IntAttribute::MinRam, Comparison::Eq, 514)];
    sql.batch_execute("DROP INDEX images_virtual_size").await.unwrap();
    let unknown = vec![Filter::Int(IntAttribute::VirtualSize, Comparison::Ge, 1)];
    let unknown = ImageQuery { filters: unknown, sort: vec![], ..query.clone() };
    assert!(work(&unknown).await.read > 50_000.0);
    assert!(work(&ImageQuery { filters: rare, sort: vec![], ..query.clone() }).await.scanned);
}
