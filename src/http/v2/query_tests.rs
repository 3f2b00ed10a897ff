#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::error::ErrorKind;

fn member() -> Caller {
    Caller { project: Some("me".to_owned()), ..Caller::default() }
}

fn admin(project: Option<&str>) -> Caller {
    Caller { is_admin: true, project: project.map(str::to_owned), ..Caller::default() }
}

fn read(raw: &str) -> Listing {
    parse(raw, &member(), &Limits::default()).unwrap_or_else(|error| panic!("{raw}: {error}"))
}

fn refused(raw: &str) {
    let error = parse(raw, &member(), &Limits::default()).map(|listing| listing.query).expect_err(raw);
    assert_eq!(error.kind(), ErrorKind::Invalid, "{raw}");
}

/// The filters of a query besides those of every list.
fn filters_of(raw: &str) -> Vec<Filter> {
    let usual = [Filter::Hidden(false), Filter::StatusNot(vec![Status::Killed])];
    read(raw).query.filters.into_iter().filter(|filter| !usual.contains(filter)).collect()
}

fn texts(attribute: TextAttribute, values: &[&str]) -> Vec<Filter> {
    vec![Filter::Text(attribute, values.iter().map(ToString::to_string).collect())]
}

fn names(values: &[&str]) -> Vec<Filter> {
    texts(TextAttribute::Name, values)
}

/// V2-035
#[test]
fn what_is_not_utf8_is_refused() {
    for raw in ["name=%FF", "%FF=x", "tag=%c3", "x=%ED%A0%80", "marker=%80"] {
        refused(raw);
    }
    assert_eq!(filters_of("name=%c3%a9+%F0%9F%98%80"), names(&["é \u{1F600}"]));
    assert_eq!(filters_of("name=%zz%2"), names(&["%zz%2"]), "no escape, so literal");
}

/// V2-097, V2-100 to V2-103
#[test]
fn page() {
    let query = read("").query;
    assert_eq!((query.limit, query.marker, query.include_deleted), (25, None, false));
    assert_eq!(query.sort, [(SortKey::CreatedAt, SortDirection::Descending)]);
    assert_eq!(query.ties, SortDirection::Descending);
    assert_eq!(query.filters, [Filter::Hidden(false), Filter::StatusNot(vec![Status::Killed])]);
    assert_eq!(read("limit=0").query.limit, 0);
    assert_eq!(read("limit=1&limit=7").query.limit, 7, "the last counts");
    for raw in ["limit=5000", "limit=1000000000000000000", "limit=340282366920938463463374607431768211"] {
        assert_eq!(read(raw).query.limit, 1000, "{raw}");
    }
    for raw in ["limit=-1", "limit=x", "limit=", "limit=1.5", "limit=1%00", "limit=%D9%A1"] {
        refused(raw);
    }
    let id = ImageId::random();
    assert_eq!(read(&format!("marker={id}")).query.marker, Some(id));
    for raw in ["marker=", "marker=x", "marker=%00"] {
        refused(raw);
    }
}

/// V2-098, V2-104
#[test]
fn links_keep_every_parameter_but_the_marker() {
    let id = ImageId::random();
    let listing =
        read(&format!("limit=5000&tag=a&name=a%20b&marker={id}&tag=b&sort_key=name&sort_key=id&%c3%a9=+%26"));
    let kept = "/v2/images?limit=5000&tag=a&name=a+b&tag=b&sort_key=name&sort_key=id&%C3%A9=+%26";
    assert_eq!(listing.first(), kept);
    let last = ImageId::random();
    assert_eq!(listing.next(last), format!("{kept}&marker={last}"));
    assert_eq!(read(listing.next(last).split_once('?').unwrap().1).query.marker, Some(last));
    for raw in ["", "&", &format!("marker={id}")] {
        assert_eq!(read(raw).first(), "/v2/images");
    }
    assert_eq!(read("").next(last), format!("/v2/images?marker={last}"));
}

/// V2-106, V2-107, V2-112
#[test]
fn sorting() {
    use SortDirection::{Ascending as Up, Descending as Down};
    use SortKey::{CreatedAt, Id, Name, Size};
    let cases = [
        ("sort_key=name&sort_dir=asc", vec![(Name, Up)], Up),
        ("sort_key=name", vec![(Name, Down)], Down),
        ("sort_dir=asc", vec![(CreatedAt, Up)], Up),
        ("sort_key=name&sort_key=size&sort_dir=asc", vec![(Name, Up), (Size, Up)], Up),
        ("sort_key=name&sort_key=size&sort_dir=asc&sort_dir=desc", vec![(Name, Up), (Size, Down)], Down),
        ("sort_key=name&sort_key=size&sort_dir=asc&sort_dir=asc", vec![(Name, Up), (Size, Up)], Down),
        ("sort=name:asc,size", vec![(Name, Up), (Size, Down)], Down),
        ("sort=name:asc", vec![(Name, Up)], Up),
        ("sort=name", vec![(Name, Down)], Down),
        ("sort=%20name:asc%20,id:", vec![(Name, Up), (Id, Down)], Down),
        ("sort=name:asc&sort=id", vec![(Id, Down)], Down),
    ];
    for (raw, keys, ties) in cases {
        let query = read(raw).query;
        assert_eq!((query.sort, query.ties), (keys, ties), "{raw}");
    }
    let every = SortKey::WORDS.map(|(word, _)| word).join(",");
    assert_eq!(read(&format!("sort={every}")).query.sort.len(), 8);
}

/// V2-108 to V2-111; A43: ten sort keys
#[test]
fn sorting_that_is_refused() {
    let raw = "sort=name&sort_key=name,sort=name&sort_dir=asc,sort_key=foo,sort_key=,sort_dir=up,sort_dir=ASC,\
        sort=name:up,sort=,sort=name:asc:asc,sort_dir=asc&sort_dir=asc,\
        sort_key=name&sort_key=id&sort_dir=asc&sort_dir=asc&sort_dir=desc";
    for raw in raw.split(',').chain(["sort=foo:asc", "sort=name,,id"]) {
        refused(raw);
    }
    refused(&format!("sort=name{}", ",id".repeat(9)));
    refused(&"sort_key=name&".repeat(10));
}

/// V2-113 to V2-117, V2-120
#[test]
fn texts_take_operators() {
    let cases = [
        ("name=x", names(&["x"])),
        ("name=", names(&[""])),
        ("name=eq:a:b", names(&["a:b"])),
        ("name=eq:", names(&[""])),
        ("name=in:a,b", names(&["a", "b"])),
        ("name=in:a,\"b,c\"", names(&["a", "b,c"])),
        ("name=in:\"a:b\"", names(&["a:b"])),
        ("name=in:\"a\\\"b\",\"\\n\"", names(&["a\"b", "\\n"])),
        ("name=in:", names(&[""])),
        ("name=in:\"\",a,", names(&["", "a", ""])),
        ("name=%25_", names(&["%_"])),
        ("name=a%00", names(&["a\0"])),
        ("name=a&name=b", names(&["b"])),
        ("name=2020-01-01T00:00:00Z", names(&["2020-01-01T00:00:00Z"])),
        ("disk_format=in:raw,qcow2", texts(TextAttribute::DiskFormat, &["raw", "qcow2"])),
        ("disk_format=eq:raw", texts(TextAttribute::DiskFormat, &["raw"])),
        ("container_format=in:ovf,bare", texts(TextAttribute::ContainerFormat, &["ovf", "bare"])),
    ];
    for (raw, expected) in cases {
        assert_eq!(filters_of(raw), expected, "{raw}");
    }
    for value in ["neq:a", "foo:bar", "gt:a", ":a", "IN:a"] {
        for name in ["name", "id", "status", "disk_format", "container_format"] {
            refused(&format!("{name}={value}"));
        }
    }
    for set in ["\"a", "a\"b\"", "\"a\"b", "\"a\\\"", "a\"", "\"a\"\"b\"", "\"", " \"a\""] {
        refused(&format!("name=in:{set}"));
    }
}

/// A43: filters of any length cost a bounded time
#[test]
fn filters_are_limited_in_number() {
    assert_eq!(filters_of(&format!("name=in:a{}", ",b".repeat(999))).len(), 1);
    refused(&format!("name=in:a{}", ",b".repeat(1000)));
    read(&"tag=a&".repeat(200));
    refused(&"tag=a&".repeat(201));
}

/// The link to the next page has one parameter more, and must not lead nowhere.
#[test]
fn a_marker_does_not_count_as_a_parameter() {
    let id = ImageId::random();
    let next = read(&"tag=a&".repeat(200)).next(id);
    let raw = next.strip_prefix("/v2/images?").unwrap();
    assert_eq!(read(raw).next(id), next);
    refused(&format!("{}marker={id}", "tag=a&".repeat(201)));
    refused(&format!("{}marker={id}&marker={id}", "tag=a&".repeat(200)));
}

/// V2-118
#[test]
fn statuses() {
    assert_eq!(filters_of("status=in:queued,active"), [Filter::Status(vec![Status::Queued, Status::Active])]);
    for raw in ["deleted", "killed", "pending_delete", "in:killed,deleted", "foo", "", "ACTIVE"] {
        assert_eq!(filters_of(&format!("status={raw}")), [Filter::Status(vec![])], "{raw}");
    }
}

/// V2-119
#[test]
fn ids() {
    let (a, b) = (ImageId::random(), ImageId::random());
    assert_eq!(filters_of(&format!("id=in:{a},{b},x")), [Filter::Id(vec![a, b])]);
    assert_eq!(filters_of(&format!("id={}", a.to_string().to_uppercase())), [Filter::Id(vec![a])]);
    for raw in ["id=x", "id=", "id=in:", "id=%00"] {
        assert_eq!(filters_of(raw), [Filter::Nothing], "{raw}");
    }
}

/// V2-121, V2-122
#[test]
fn times_compare_by_the_second() {
    let (from, until) = (datetime!(2020-01-01 0:00:00 UTC), datetime!(2020-01-01 0:00:01 UTC));
    let created = |comparison, instant| Filter::Time(TimeAttribute::CreatedAt, comparison, instant);
    let cases = [
        ("", vec![created(Comparison::Ge, from), created(Comparison::Lt, until)]),
        ("eq:", vec![created(Comparison::Ge, from), created(Comparison::Lt, until)]),
        ("neq:", vec![Filter::TimeOutside(TimeAttribute::CreatedAt, from, until)]),
        ("gt:", vec![created(Comparison::Ge, until)]),
        ("gte:", vec![created(Comparison::Ge, from)]),
        ("lt:", vec![created(Comparison::Lt, from)]),
        ("lte:", vec![created(Comparison::Lt, until)]),
    ];
    for (operator, expected) in cases {
        for time in
            ["2020-01-01T00:00:00Z", "2020-01-01T02:00:00%2B02:00", "2020-01-01", "2020-01-01T00:00:00.9"]
        {
            assert_eq!(filters_of(&format!("created_at={operator}{time}")), expected, "{operator}{time}");
        }
    }
    let updated = |comparison, instant| Filter::Time(TimeAttribute::UpdatedAt, comparison, instant);
    let same = [updated(Comparison::Ge, from), updated(Comparison::Lt, until)];
    assert_eq!(filters_of("updated_at=2020-01-01T00:00:00Z"), same);
    filters_of("updated_at=gt:9999-12-31T23:59:59Z");
    for value in [
        "foo:2020-01-01T00:00:00Z",
        "gt:yesterday",
        "in:2020-01-01T00:00:00Z",
        "nonsense",
        "",
        "gt:",
        "9999-12-31T23:59:59-23:00",
        "eq:eq:2020-01-01",
    ] {
        refused(&format!("created_at={value}"));
        refused(&format!("updated_at={value}"));
    }
}

/// V2-123
#[test]
fn numbers() {
    use Comparison::{Eq, Ge, Le};
    let cases = [
        ("size_min=1", Filter::Int(IntAttribute::Size, Ge, 1)),
        ("size_max=10", Filter::Int(IntAttribute::Size, Le, 10)),
        ("size_max=99999999999999999999", Filter::Int(IntAttribute::Size, Le, i64::MAX)),
        ("size_min=-99999999999999999999", Filter::Int(IntAttribute::Size, Ge, i64::MIN)),
        ("virtual_size_min=1", Filter::Int(IntAttribute::VirtualSize, Ge, 1)),
        ("min_ram_min=5", Filter::Int(IntAttribute::MinRam, Ge, 5)),
        ("min_disk_max=6", Filter::Int(IntAttribute::MinDisk, Le, 6)),
        ("size=7", Filter::Int(IntAttribute::Size, Eq, 7)),
        ("virtual_size=7", Filter::Int(IntAttribute::VirtualSize, Eq, 7)),
        ("min_ram=7", Filter::Int(IntAttribute::MinRam, Eq, 7)),
        ("min_disk=7", Filter::Int(IntAttribute::MinDisk, Eq, 7)),
        ("min_disk=x", Filter::Nothing),
        ("size=", Filter::Nothing),
    ];
    for (raw, expected) in cases {
        assert_eq!(filters_of(raw), [expected], "{raw}");
    }
    for name in ["size", "virtual_size", "min_ram", "min_disk"] {
        for value in ["x", "", "1.5", "1e3"] {
            refused(&format!("{name}_min={value}"));
            refused(&format!("{name}_max={value}"));
        }
    }
}

/// V2-124
#[test]
fn tags() {
    let tag = |tag: &str| Filter::Tag(tag.to_owned());
    assert_eq!(filters_of("tag=a&tag=+B+&tag=a"), [tag("a"), tag("B")]);
    assert_eq!(filters_of("tag="), [tag("")]);
}

/// V2-125, V2-139, V2-140; §8.3
#[test]
fn exact_texts_and_properties() {
    assert_eq!(filters_of("checksum=eq:a"), texts(TextAttribute::Checksum, &["eq:a"]));
    assert_eq!(filters_of("os_hash_value=a"), texts(TextAttribute::OsHashValue, &["a"]));
    assert_eq!(filters_of("os_hash_algo=sha512"), texts(TextAttribute::OsHashAlgo, &["sha512"]));
    let property = |name: &str, value: &str| vec![Filter::Property(name.to_owned(), value.to_owned())];
    assert_eq!(filters_of("os_distro=in:a,b+c"), property("os_distro", "in:a,b c"));
    assert_eq!(filters_of("name_min=1"), property("name_min", "1"));
    assert_eq!(filters_of("created_at_max=x"), property("created_at_max", "x"));
    for internal in
        ["locations", "members", "properties", "tags", "self", "deleted_at", "is_public", "revision"]
    {
        assert_eq!(filters_of(&format!("{internal}=x")), property(internal, "x"));
    }
    assert_eq!(filters_of("kernel_id="), [Filter::EmptyProperty("kernel_id".to_owned())]);
    assert_eq!(filters_of("flag"), [Filter::EmptyProperty("flag".to_owned())]);
}

/// V2-127 to V2-129, V2-138
#[test]
fn flags_and_former_parameters() {
    assert_eq!(filters_of("protected=true"), [Filter::Protected(true)]);
    assert_eq!(filters_of("protected=false"), [Filter::Protected(false)]);
    for raw in ["True", "1", "", "TRUE"] {
        refused(&format!("protected={raw}"));
    }
    let hidden = |raw| {
        read(raw).query.filters.into_iter().filter(|f| matches!(f, Filter::Hidden(_))).collect::<Vec<_>>()
    };
    assert_eq!(hidden("os_hidden=true"), [Filter::Hidden(true)]);
    assert_eq!(hidden("os_hidden=TRUE"), [Filter::Hidden(true)]);
    assert_eq!(hidden("os_hidden=False"), [Filter::Hidden(false)]);
    for raw in
        ["os_hidden=x", "os_hidden=", "os_hidden=1", "changes-since=2020-01-01T00:00:00Z", "changes-since="]
    {
        refused(raw);
    }
    assert_eq!(filters_of("deleted=true"), []);
}

fn of(visibility: &[Visibility], owner: OwnerIs) -> Branch {
    Branch { visibility: visibility.to_vec(), owner, shared_with: None }
}

fn mine(visibility: &[Visibility]) -> Branch {
    of(visibility, OwnerIs::Project("me".to_owned()))
}

fn others(visibility: &[Visibility]) -> Branch {
    of(visibility, OwnerIs::Not("me".to_owned()))
}

/// A25: not listed before it is accepted, unless asked for.
fn shared(answer: Option<MemberStatus>) -> Branch {
    let owner = OwnerIs::Another("me".to_owned());
    Branch { visibility: vec![Visibility::Shared], owner, shared_with: Some(("me".to_owned(), answer)) }
}

/// V2-130 to V2-136
#[test]
fn what_a_project_lists() {
    use Visibility::{Community, Private, Public, Shared};
    let accepted = Some(MemberStatus::Accepted);
    let cases = [
        ("", vec![mine(&[]), others(&[Public]), shared(accepted)]),
        ("member_status=pending", vec![mine(&[]), others(&[Public]), shared(Some(MemberStatus::Pending))]),
        ("member_status=all", vec![mine(&[]), others(&[Public]), shared(None)]),
        ("visibility=all", vec![mine(&[]), others(&[Public, Community]), shared(accepted)]),
        ("visibility=public", vec![of(&[Public], OwnerIs::Any)]),
        ("visibility=community", vec![of(&[Community], OwnerIs::Any)]),
        ("visibility=shared", vec![mine(&[Shared]), shared(accepted)]),
        (
            "visibility=shared&member_status=rejected",
            vec![mine(&[Shared]), shared(Some(MemberStatus::Rejected))],
        ),
        ("visibility=private", vec![mine(&[Private])]),
        ("visibility=", vec![]),
    ];
    for (raw, expected) in cases {
        assert_eq!(read(raw).query.branches, expected, "{raw}");
    }
    for raw in
        ["visibility=foo", "visibility=Public", "member_status=foo", "member_status=", "visibility=%00"]
    {
        refused(raw);
        assert!(parse(raw, &admin(None), &Limits::default()).is_err(), "{raw}");
    }
}

/// V2-137; §8.5
#[test]
fn what_administrators_and_strangers_list() {
    use Visibility::{Community, Private, Public, Shared};
    let branches =
        |raw: &str, caller: &Caller| parse(raw, caller, &Limits::default()).unwrap().query.branches;
    let known = of(&[Public, Shared, Private], OwnerIs::Any);
    assert_eq!(branches("member_status=pending", &admin(Some("me"))), [known.clone(), mine(&[Community])]);
    assert_eq!(branches("", &admin(None)), [known]);
    let anyone = |visibility: &[Visibility]| of(visibility, OwnerIs::Any);
    for caller in [admin(None), admin(Some("me"))] {
        assert_eq!(branches("visibility=all", &caller), [anyone(&[])]);
        for (word, visibility) in
            [("community", Community), ("shared", Shared), ("private", Private), ("public", Public)]
        {
            assert_eq!(branches(&format!("visibility={word}"), &caller), [anyone(&[visibility])]);
        }
        assert_eq!(branches("visibility=", &caller), []);
    }
    // without a project there is only what everybody may find
    for caller in [Caller::anonymous(), Caller::default()] {
        assert_eq!(branches("", &caller), [anyone(&[Public])]);
        assert_eq!(branches("visibility=public", &caller), [anyone(&[Public])]);
        assert_eq!(branches("visibility=all", &caller), [anyone(&[Public, Community])]);
        assert_eq!(branches("visibility=community", &caller), [anyone(&[Community])]);
        for raw in ["visibility=shared", "visibility=private", "visibility="] {
            assert_eq!(branches(raw, &caller), []);
        }
    }
}

/// V2-126, A29: the owner narrows what is listed anyway
#[test]
fn owner_only_narrows() {
    use Visibility::{Community, Private, Public, Shared};
    let by = |visibility: &[Visibility], owner: &str| of(visibility, OwnerIs::Project(owner.to_owned()));
    let from_you =
        Branch { owner: OwnerIs::Project("you".to_owned()), ..shared(Some(MemberStatus::Accepted)) };
    assert_eq!(read("owner=me").query.branches, [mine(&[])]);
    assert_eq!(read("owner=you").query.branches, [by(&[Public], "you"), from_you.clone()]);
    assert_eq!(read("visibility=all&owner=you").query.branches, [by(&[Public, Community], "you"), from_you]);
    assert_eq!(read("visibility=private&owner=you").query.branches, []);
    let all = parse("owner=you", &admin(Some("me")), &Limits::default()).unwrap().query.branches;
    assert_eq!(all, [by(&[Public, Shared, Private], "you")]);
    let own = parse("owner=me", &admin(Some("me")), &Limits::default()).unwrap().query.branches;
    assert_eq!(own, [by(&[Public, Shared, Private], "me"), mine(&[Community])]);
    let public = parse("owner=", &Caller::anonymous(), &Limits::default()).unwrap().query.branches;
    assert_eq!(public, [by(&[Public], "")]);
}

fn parameter() -> impl Strategy<Value = String> {
    let names = "limit,marker,sort,sort_key,sort_dir,visibility,member_status,os_hidden,protected,name,id,status,\
        created_at,size_min,min_ram_max,size,tag,owner,changes-since,deleted,locations,os_distro";
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    let name = prop_oneof![4 => proptest::sample::select(names), 1 => "\\PC{0,6}"];
    let known =
        ["name:asc", "asc", "name", "all", "true", "in:\"a\\\"\",b", "gt:2020-01-01T00:00:00Z", "9", "%FF"];
    let known: Vec<String> = known.map(str::to_owned).to_vec();
    let value = prop_oneof![2 => proptest::sample::select(known), 1 => "\\PC{0,12}", 1 => "(in:|eq:)?[\",\\\\:%0-9a]{0,9}"];
    (name, value).prop_map(|(name, value)| format!("{name}={value}"))
}

proptest! {
    /// A43: whatever is sent gives a list or a refusal, and links lead to the same list.
    #[test]
    fn any_query_is_a_list_or_refused(parts in proptest::collection::vec(parameter(), 0..5), noise in any::<String>()) {
        for raw in [parts.join("&"), noise] {
            for caller in [member(), admin(None), Caller::anonymous()] {
                match parse(&raw, &caller, &Limits::default()) {
                    Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Invalid),
                    Ok(listing) => {
                        let link = listing.first();
                        let again = parse(link.strip_prefix(COLLECTION).unwrap().trim_start_matches('?'), &caller, &Limits::default());
                        let expected = ImageQuery { marker: None, ..listing.query.clone() };
                        prop_assert_eq!(again.unwrap().query, expected);
                    }
                }
            }
        }
    }
}
