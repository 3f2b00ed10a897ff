//! Which images are listed for whom (images-v2.md §8.5, §18.1).

use serde_json::{Value, json};

use crate::support::api::{ADMIN, LONELY, OTHER, OWNER, ROOT, Service, THIRD};
use crate::support::v2::{behind_proxy, confirmed};

/// A member of project `beta` who may only read.
const OTHER_READER: &str = "ralf:beta:reader";

/// Images of two letters, of the owner (`n` for nobody) and the visibility; those of `alpha` that end in a digit are
/// shared with `beta`, whose answers differ.
async fn family(service: &Service) {
    for (owner, visibility) in [("alpha", "a"), ("beta", "b"), ("delta", "d"), ("", "n")]
        .iter()
        .flat_map(|owner| ["private", "shared", "community", "public"].map(|visibility| (owner, visibility)))
    {
        let project = if owner.0.is_empty() { Value::Null } else { json!(owner.0) };
        let name = format!("{}{}", owner.1, &visibility[..1].replace('p', &visibility[1..2]));
        service.create(ADMIN, json!({ "name": name, "owner": project, "visibility": visibility })).await;
    }
    for (name, status) in [("as1", "accepted"), ("as2", "pending"), ("as3", "rejected")] {
        let id = service.create_id(OWNER, json!({ "name": name })).await;
        service.share(&id, OWNER, "beta", None).await;
        let answer = format!("UPDATE image_members SET status = '{status}' WHERE image_id = '{id}'");
        service.sql(&answer).await;
    }
    // nobody's image has a member, and is nobody's all the same
    let nobodys = service.create_id(ADMIN, json!({ "name": "ns5", "owner": null })).await;
    service.share(&nobodys, ADMIN, "beta", None).await;
    // private again, its members recorded
    let id = service.create_id(OWNER, json!({ "name": "ar4" })).await;
    service.share(&id, OWNER, "beta", None).await;
    for id in [&nobodys, &id] {
        service.sql(&format!("UPDATE image_members SET status = 'accepted' WHERE image_id = '{id}'")).await;
    }
    service.set(&id, "visibility = 'private'").await;
}

/// Asserts that a list has exactly the images of these names, separated by spaces.
async fn assert_named(service: &Service, caller: &str, query: &str, expected: &str) {
    let mut found = service.names(caller, query).await;
    let mut expected: Vec<&str> = expected.split_whitespace().collect();
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected, "{caller}: {query}");
}

// letters: r private, s shared, c community, u public

#[tokio::test]
async fn v2_131_to_134_lists_of_a_project() {
    let service = Service::start().await;
    family(&service).await;
    let own = "ar as ac au as1 as2 as3 ar4";
    let public = "bu du nu";
    let community = "bc dc nc";
    for (query, expected) in [
        // V2-133
        ("", format!("{own} {public}")),
        // V2-134
        ("visibility=all", format!("{own} {public} {community}")),
        // V2-132
        ("visibility=community", format!("ac {community}")),
        ("visibility=shared", "as as1 as2 as3".to_owned()),
        // V2-131
        ("visibility=private", "ar ar4".to_owned()),
        ("visibility=public", format!("au {public}")),
        // empty text is a visibility that no image has (§8.3)
        ("visibility=", String::new()),
        // it is of what is shared with the caller
        ("member_status=all", format!("{own} {public}")),
        ("visibility=shared&member_status=rejected", "as as1 as2 as3".to_owned()),
    ] {
        assert_named(&service, OWNER, query, &expected).await;
    }
    // V2-130
    for word in ["foo", "Public", "ALL", "public,private", "eq:public"] {
        let answer = service.get(&format!("/v2/images?visibility={word}")).by(OWNER).send().await;
        assert_eq!(answer.status, 400, "{word}");
    }
}

#[tokio::test]
async fn v2_133_to_136_lists_of_a_member() {
    let service = Service::start().await;
    family(&service).await;
    let own = "br bs bc bu";
    let public = "au du nu";
    let community = "ac dc nc";
    for caller in [OTHER, OTHER_READER] {
        for (query, expected) in [
            // V2-136: only what was accepted
            ("", format!("{own} {public} as1")),
            ("member_status=accepted", format!("{own} {public} as1")),
            // V2-135
            ("member_status=pending", format!("{own} {public} as2")),
            ("member_status=rejected", format!("{own} {public} as3")),
            ("member_status=all", format!("{own} {public} as1 as2 as3")),
            ("visibility=shared", "bs as1".to_owned()),
            ("visibility=shared&member_status=pending", "bs as2".to_owned()),
            ("visibility=shared&member_status=all", "bs as1 as2 as3".to_owned()),
            ("visibility=all", format!("{own} {public} {community} as1")),
            ("visibility=all&member_status=all", format!("{own} {public} {community} as1 as2 as3")),
            ("visibility=community", format!("bc {community}")),
            ("visibility=public&member_status=pending", format!("bu {public}")),
            ("visibility=private", "br".to_owned()),
            ("owner=alpha", "au as1".to_owned()),
            ("owner=alpha&member_status=all&visibility=all", "au ac as1 as2 as3".to_owned()),
        ] {
            assert_named(&service, caller, query, &expected).await;
        }
    }
    // V2-135
    for word in ["foo", "", "Accepted", "accepted,pending"] {
        let answer = service.get(&format!("/v2/images?member_status={word}")).by(OTHER).send().await;
        assert_eq!(answer.status, 400, "{word}");
    }
    // an answer changes the list at once
    service.sql("UPDATE image_members SET status = 'accepted'").await;
    assert_named(&service, OTHER, "", &format!("{own} {public} as1 as2 as3")).await;
    service.sql("DELETE FROM image_members").await;
    assert_named(&service, OTHER, "", &format!("{own} {public}")).await;
}

#[tokio::test]
async fn v2_131_to_134_lists_of_a_stranger() {
    let service = Service::start().await;
    family(&service).await;
    let public = "au bu du nu";
    let community = "ac bc dc nc";
    for (query, expected) in [
        ("", public.to_owned()),
        ("member_status=all", public.to_owned()),
        ("visibility=all", format!("{public} {community}")),
        ("visibility=community", community.to_owned()),
        ("visibility=shared", String::new()),
        ("visibility=private", String::new()),
        ("visibility=public", public.to_owned()),
        ("owner=alpha&visibility=all", "au ac".to_owned()),
    ] {
        assert_named(&service, THIRD, query, &expected).await;
    }
}

#[tokio::test]
async fn v2_133_134_and_137_lists_of_administrators() {
    let service = Service::start().await;
    family(&service).await;
    let private = "ar ar4 br dr nr";
    let shared = "as as1 as2 as3 bs ds ns ns5";
    let public = "au bu du nu";
    for (caller, own) in [(ADMIN, "dc"), (ROOT, "")] {
        for (query, expected) in [
            // V2-133, V2-137
            ("", format!("{private} {shared} {public} {own}")),
            ("member_status=rejected", format!("{private} {shared} {public} {own}")),
            // V2-134
            ("visibility=all", format!("{private} {shared} {public} ac bc dc nc")),
            ("visibility=community", "ac bc dc nc".to_owned()),
            ("visibility=shared", shared.to_owned()),
            // V2-137
            ("visibility=private", private.to_owned()),
            ("visibility=public", public.to_owned()),
            ("visibility=", String::new()),
            ("owner=alpha", "ar ar4 as as1 as2 as3 au".to_owned()),
            ("owner=alpha&visibility=private", "ar ar4".to_owned()),
        ] {
            assert_named(&service, caller, query, &expected).await;
        }
    }
}

#[tokio::test]
async fn lists_of_those_who_are_of_no_project() {
    let service = Service::start_with(|config| {
        behind_proxy(config);
        config.identity.allow_anonymous_access = true;
    })
    .await;
    for (owner, visibility) in ["alpha", "beta"]
        .iter()
        .flat_map(|owner| ["private", "shared", "community", "public"].map(|visibility| (owner, visibility)))
    {
        let document = json!({ "name": visibility, "owner": owner, "visibility": visibility });
        let request = service.post("/v2/images").json(&document);
        confirmed(request, "adam", "delta", "admin,member,reader").send().await.expect(201);
    }
    let listed = async |query: &str| {
        let list = service.get(&format!("/v2/images?{query}")).send().await.expect(200).json();
        let images = list["images"].as_array().unwrap();
        images.iter().map(|image| image["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["public"; 2]);
    assert_eq!(listed("visibility=public").await, ["public"; 2]);
    assert_eq!(listed("owner=alpha").await, ["public"]);
    for query in ["visibility=private", "visibility=shared", "member_status=all&visibility=shared"] {
        assert_eq!(listed(query).await, [""; 0], "{query}");
    }
    // one of no project who is known is held by the policy: there is no project of his own to list
    let request = confirmed(service.get("/v2/images"), "luis", "", "member,reader");
    request.send().await.expect(403);
}

/// §18.1: what nobody owns is open to others only where it is public or community.
#[tokio::test]
async fn a_shared_image_that_nobody_owns_has_no_members_that_see_it() {
    let service = Service::start().await;
    let id = service.create_id(ADMIN, json!({})).await;
    service.share(&id, ADMIN, "beta", None).await;
    let status = async |path: &str| service.get(path).by(OTHER).send().await.status;
    let (image, file) = (format!("/v2/images/{id}"), format!("/v2/images/{id}/file"));
    assert_eq!((status(&image).await, status(&file).await), (200, 204));
    service.set(&id, "owner = NULL").await;
    assert_eq!((status(&image).await, status(&file).await), (404, 404));
    service.get(&image).by(ADMIN).send().await.expect(200);
    service.set(&id, "visibility = 'community'").await;
    assert_eq!((status(&image).await, status(&file).await), (200, 204));
}

#[tokio::test]
async fn policy_decides_who_may_list_and_which_rows() {
    let rules = json!({ "get_images": "role:auditor", "get_image": "role:admin or project_id:%(owner)s" });
    let service = Service::start_with_rules(&rules).await;
    family(&service).await;
    for caller in [OWNER, ADMIN, LONELY] {
        service.get("/v2/images").by(caller).send().await.expect(403);
        // before the query is looked at
        service.get("/v2/images?limit=x").by(caller).send().await.expect(403);
    }
    // rows that it denies are left out
    let auditor = "anna:alpha:auditor";
    assert_named(&service, auditor, "", "ar as ac au as1 as2 as3 ar4").await;
    assert_named(&service, auditor, "visibility=all", "ar as ac au as1 as2 as3 ar4").await;
    assert_named(&service, auditor, "owner=beta", "").await;

    // V2-099: a page without any row that may be seen does not end the list
    let mut found = Vec::new();
    let (mut next, mut empty) = (Some("/v2/images?limit=1".to_owned()), 0);
    while let Some(path) = next {
        let page = service.get(&path).by(auditor).send().await.expect(200).json();
        let images = page["images"].as_array().unwrap();
        empty += usize::from(images.is_empty() && page["next"].is_string());
        found.extend(images.iter().map(|image| image["name"].as_str().unwrap().to_owned()));
        next = page["next"].as_str().map(str::to_owned);
    }
    found.sort_unstable();
    assert_eq!(found, ["ac", "ar", "ar4", "as", "as1", "as2", "as3", "au"]);
    assert!(empty > 1, "no page was empty");

    // without any role there is nothing to list
    let service = Service::start().await;
    service.get("/v2/images").by("nora:alpha:nothing").send().await.expect(403);
}
