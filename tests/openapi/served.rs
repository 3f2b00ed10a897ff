//! `/openapi.json`, `/docs` and `vitrine openapi` (contract.md §5).

use super::{document, operations};
use crate::support::api::Service;

#[tokio::test]
async fn the_document_is_served_to_everybody() {
    let service = Service::start().await;
    // not even a wrong token is looked at
    let answer = service.get("/openapi.json").header("X-Auth-Token", "nonsense").send().await.expect(200);
    assert_eq!(answer.header("Content-Type").as_deref(), Some("application/json"));
    assert!(answer.header("x-openstack-request-id").is_some());
    assert_eq!(answer.json(), document());
    let head = service.head("/openapi.json").send().await.expect(200);
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn the_page_loads_nothing_but_its_style() {
    let service = Service::start().await;
    let answer = service.get("/docs").send().await.expect(200);
    assert_eq!(answer.header("Content-Type").as_deref(), Some("text/html; charset=UTF-8"));
    assert_eq!(answer.header("X-Content-Type-Options").as_deref(), Some("nosniff"));
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    let page = String::from_utf8(answer.body).unwrap();
    for loader in
        ["<script", "<img", "<iframe", "style=", "src=", "http://", "https://", "onclick", "javascript:"]
    {
        assert!(!page.contains(loader), "{loader} on the page");
    }
    let links: Vec<&str> = page.match_indices("href=\"").map(|(at, _)| &page[at + 6..]).collect();
    for link in links {
        let link = link.split('"').next().unwrap();
        let local = link.starts_with('#') || ["docs/style.css", "openapi.json"].contains(&link);
        assert!(local, "{link}");
        if let Some(anchor) = link.strip_prefix('#') {
            assert!(page.contains(&format!("id=\"{anchor}\"")), "nothing is at {link}");
        }
    }
    let style = service.get("/docs/style.css").send().await.expect(200);
    assert_eq!(style.header("Content-Type").as_deref(), Some("text/css; charset=UTF-8"));
}

#[tokio::test]
async fn the_page_lists_every_operation() {
    let service = Service::start().await;
    let page = String::from_utf8(service.get("/docs").send().await.expect(200).body).unwrap();
    for operation in operations(&document()) {
        assert!(page.contains(&format!("<details id=\"{}\">", operation.id)), "{}", operation.id);
        assert!(page.contains(&format!("<code>{}</code>", operation.path)), "{}", operation.path);
    }
    // a list without a script: elements are closed as they were opened
    for element in ["details", "summary", "section", "table", "tr", "td", "ul", "li", "p", "code", "pre"] {
        let (opened, closed) = (format!("<{element}>"), format!("</{element}>"));
        let opened = page.matches(&opened).count() + page.matches(&format!("<{element} ")).count();
        assert_eq!(opened, page.matches(&closed).count(), "{element}");
    }
}

#[tokio::test]
async fn nothing_but_reading_is_allowed() {
    let service = Service::start().await;
    for path in ["/openapi.json", "/docs", "/docs/style.css"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = service.request(method, path).send().await.expect(405);
            assert_eq!(answer.header("Allow").as_deref(), Some("GET, HEAD"), "{method} {path}");
        }
        // what is beside it names no version
        service.get(&format!("{path}/")).send().await.expect(300);
        service.get(&format!("{path}x")).send().await.expect(300);
    }
    // a version in `Accept` does not hide them
    let vendor = "application/vnd.openstack.images-v2";
    service.get("/docs").header("Accept", vendor).send().await.expect(200);
}
