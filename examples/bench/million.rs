//! Lists of a tenant out of 1,000,000 images by the Images API v2: latency one request after the other, the plan of
//! each query, and how many requests one core of the service answers.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use vitrine::catalog::Catalog;
use vitrine::domain::caller::Caller;
use vitrine::domain::image::ImageId;
use vitrine::http::v2::query;

use crate::rates;
use crate::stack::{Replica, Stack};
use crate::table::{Goal, Row, Table};
use crate::wire::Connection;

const SEED: &str = include_str!("million.sql");
/// A project with some forty images and nine memberships, as most have.
const TENANT: &str = "project-4242";
/// A project with 5,000 images and 5,000 memberships.
const LARGE: &str = "project-2";
const ADMIN: &str = "root";
/// Its own shared images and those of all memberships.
const SHARED: &str = "limit=25&visibility=shared&member_status=all";
/// Requests of one figure.
const REQUESTS: usize = 500;
/// Pages before the deep one.
const DEPTH: usize = 1000;

/// One figure: who asks for which list, and how slow its median may be.
struct Figure {
    name: &'static str,
    project: &'static str,
    query: &'static str,
    /// Which page is asked for, counted from 1.
    page: usize,
    at_most_ms: f64,
}

const fn figure(
    name: &'static str,
    project: &'static str,
    query: &'static str,
    page: usize,
    at_most_ms: f64,
) -> Figure {
    Figure { name, project, query, page, at_most_ms }
}

const FIGURES: [Figure; 10] = [
    figure("tenant, page 1", TENANT, "limit=25", 1, 2.0),
    figure("tenant, page 1,000", TENANT, "limit=25", DEPTH, 2.0),
    figure("large tenant, page 1", LARGE, "limit=25", 1, 2.0),
    figure("large tenant, page 1,000", LARGE, "limit=25", DEPTH, 2.0),
    figure("large tenant, shared, page 1", LARGE, SHARED, 1, 2.0),
    figure("large tenant, shared, page 150", LARGE, SHARED, 150, 2.0),
    figure("administrator, page 1,000", ADMIN, "limit=25", DEPTH, 2.0),
    figure("tenant, by property", TENANT, "limit=25&os_distro=ubuntu", 1, 5.0),
    figure("large tenant, by rare property", LARGE, "limit=25&origin=vendor", 1, 5.0),
    figure("large tenant, by tag", LARGE, "limit=25&tag=golden", 1, 5.0),
];

/// Measures everything with a million images.
pub async fn lists(stack: &mut Stack, table: &mut Table, time: Duration) -> anyhow::Result<()> {
    eprintln!("bench: making 1,000,000 images");
    let (begin, vacuum) = SEED.split_once("VACUUM").context("seed")?;
    let database = stack.database().await?;
    database.batch_execute(begin).await.context("seed")?;
    for statement in format!("VACUUM{vacuum}").split_terminator(';').filter(|s| !s.trim().is_empty()) {
        database.execute(statement, &[]).await.context("seed")?;
    }
    let (replica, _) = stack.replica(&[]).await?;
    let catalog = Catalog::new(&stack.config.database)?;
    for figure in &FIGURES {
        let caller = caller(figure.project);
        let marker = marker(&catalog, &caller, figure, stack).await?;
        let text = match marker {
            Some(id) => format!("{}&marker={id}", figure.query),
            None => figure.query.to_owned(),
        };
        let listing = query::parse(&text, &caller, &stack.config.limits)?;
        let plan = catalog.explain_list(&listing.query).await?.unwrap_or_default();
        let median = latency(&replica, figure.project, &text).await?;
        table.add(Row {
            figure: format!("list of 25 of 1,000,000: {}", figure.name),
            value: median.as_secs_f64() * 1e3,
            unit: "ms",
            limit: Some(("planning and execution in PostgreSQL", milliseconds(&plan))),
            goal: Goal::AtMost(figure.at_most_ms),
        });
        table.note(format!("plan of {}: {}", figure.name, scans(&plan)));
    }
    per_core(&replica, &catalog, stack, table, time).await
}

/// The last image before the page of the figure. Shorter lists start over at their first page.
async fn marker(
    catalog: &Catalog,
    caller: &Caller,
    figure: &Figure,
    stack: &Stack,
) -> anyhow::Result<Option<ImageId>> {
    let mut marker = None;
    // pages of the largest size get there sooner
    let mut left = (figure.page - 1) * 25;
    while left > 0 {
        let limit = left.min(1000);
        // of a parameter given twice the last one counts
        let text = match marker {
            Some(id) => format!("{}&limit={limit}&marker={id}", figure.query),
            None => format!("{}&limit={limit}", figure.query),
        };
        let images = catalog.list_images(&query::parse(&text, caller, &stack.config.limits)?.query).await?;
        ensure!(images.len() == limit, "{} is not that long", figure.name);
        marker = images.last().map(|image| image.id);
        left -= limit;
    }
    Ok(marker)
}

fn caller(project: &str) -> Caller {
    let admin = project == ADMIN;
    let roles = if admin { ["admin", "member", "reader"].as_slice() } else { &["member", "reader"] };
    Caller {
        user: Some("bench".to_owned()),
        project: Some(project.to_owned()),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        is_admin: admin,
        ..Caller::default()
    }
}

fn request(project: &str, path: &str) -> String {
    let role = if project == ADMIN { "admin" } else { "member" };
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nX-Auth-Token: bench:{project}:{role}\r\n\r\n")
}

/// Median of requests one after the other, connection kept.
async fn latency(replica: &Replica, project: &str, query: &str) -> anyhow::Result<Duration> {
    let mut connection = Connection::open(replica.api).await?;
    let request = request(project, &format!("/v2/images?{query}"));
    let mut times = Vec::with_capacity(REQUESTS);
    for n in 0..REQUESTS + REQUESTS / 5 {
        let begun = Instant::now();
        let status = connection.ask(&request).await?;
        ensure!(status == 200, "status {status}");
        if n >= REQUESTS / 5 {
            times.push(begun.elapsed());
        }
    }
    times.sort();
    times.get(times.len() / 2).copied().context("nothing was measured")
}

/// Requests a second, and how many of them one core of the service would answer alone.
async fn per_core(
    replica: &Replica,
    catalog: &Catalog,
    stack: &Stack,
    table: &mut Table,
    time: Duration,
) -> anyhow::Result<()> {
    let query = query::parse("limit=1", &caller(TENANT), &stack.config.limits)?.query;
    let image = catalog.list_images(&query).await?.pop().context("the tenant has no image")?.id;
    for (name, path) in [
        ("GET /v2/images/{id}", format!("/v2/images/{image}")),
        ("GET /v2/images?limit=25", "/v2/images?limit=25".to_owned()),
    ] {
        let before = replica.processor_time()?;
        let begun = Instant::now();
        let rate = rates::requests(replica, time, |_| request(TENANT, &path)).await?;
        let (used, passed) = (replica.processor_time()? - before, begun.elapsed());
        rates::add(table, name, &rate, None);
        let cores = used.as_secs_f64() / passed.as_secs_f64();
        table.add(Row {
            figure: format!("{name}, per core of the service ({cores:.2} in use)"),
            value: rate.per_second / cores,
            unit: "/s",
            limit: None,
            goal: Goal::None,
        });
    }
    Ok(())
}

/// Milliseconds that the database takes to plan and execute.
fn milliseconds(plan: &Value) -> f64 {
    let part = |name: &str| plan[0][name].as_f64().unwrap_or_default();
    part("Planning Time") + part("Execution Time")
}

/// The scans of a plan with the rows they read.
fn scans(plan: &Value) -> String {
    fn visit(node: &Value, found: &mut Vec<String>) {
        let kind = node["Node Type"].as_str().unwrap_or_default();
        if kind.ends_with("Scan") {
            let place = node["Index Name"].as_str().or(node["Relation Name"].as_str()).unwrap_or_default();
            let rows = node["Actual Rows"].as_f64().unwrap_or_default()
                * node["Actual Loops"].as_f64().unwrap_or_default();
            found.push(format!("{kind} {place} ({rows:.0} rows)"));
        }
        for child in node["Plans"].as_array().into_iter().flatten() {
            visit(child, found);
        }
    }
    let mut found = Vec::new();
    visit(&plan[0]["Plan"], &mut found);
    found.join(", ")
}
