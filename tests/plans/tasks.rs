//! Plans of lists of tasks: a page reads one page, whoever asks and however many tasks there are.

use serde_json::Value;
use uuid::Uuid;
use vitrine::catalog::Catalog;
use vitrine::domain::query::SortDirection;
use vitrine::domain::task::{TaskQuery, TaskScope, TaskSortKey};

use super::total;
use crate::support::db::test_database;

/// 50,000 tasks of 500 projects, one of which has a tenth of them.
const SEED: &str = "
    INSERT INTO tasks (id, kind, status, owner, input, due_at, created_at, updated_at, expires_at)
    SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'api_image_import',
      (CASE WHEN n % 100 = 0 THEN 'pending' WHEN n % 7 = 0 THEN 'failure' ELSE 'success' END)::task_status,
      CASE WHEN n % 10 = 0 THEN 'busy' ELSE 'project-' || n % 499 END, '{}', now(),
      now() - n * interval '1 second', now(), CASE WHEN n % 100 <> 0 THEN now() + interval '1 day' END
    FROM generate_series(1, 50000) AS n;
    ANALYZE tasks;";

/// Most rows that a page may read: who has few tasks may have all of them sorted.
const MOST: f64 = 100.0;

/// Rows of tasks that were read, and whether the table was scanned.
fn work(node: &Value) -> (f64, bool) {
    let mut read = 0.0;
    let mut astray = node["Node Type"] == "Seq Scan";
    if node["Relation Name"] == "tasks" {
        read += total(node, "Actual Rows") + total(node, "Rows Removed by Filter");
    }
    for inner in node["Plans"].as_array().into_iter().flatten() {
        let (rows, wrong) = work(inner);
        (read, astray) = (read + rows, astray || wrong);
    }
    (read, astray)
}

#[tokio::test]
async fn a_page_of_tasks_reads_one_page() {
    let database = test_database().await;
    database.client().await.batch_execute(SEED).await.unwrap();
    let catalog = Catalog::new(&database.config()).unwrap();
    let marker = |n: u32| -> Uuid { format!("00000000-0000-4000-8000-{n:012}").parse().unwrap() };
    let mut faults = Vec::new();
    for (scope, markers) in [
        (TaskScope::All, [None, Some(marker(10)), Some(marker(25_000))]),
        (TaskScope::Project("busy".to_owned()), [None, Some(marker(10)), Some(marker(25_000))]),
        // 7 more than a multiple of 499, and no multiple of 10
        (TaskScope::Project("project-7".to_owned()), [None, Some(marker(7)), Some(marker(24_957))]),
        (TaskScope::Project("nobody".to_owned()), [None, None, None]),
    ] {
        for direction in [SortDirection::Ascending, SortDirection::Descending] {
            for marker in markers {
                let query = TaskQuery {
                    scope: scope.clone(),
                    status: None,
                    kind: None,
                    sort: TaskSortKey::CreatedAt,
                    direction,
                    limit: 25,
                    marker,
                };
                let plan = catalog.explain_tasks(&query).await.unwrap().unwrap();
                let (read, astray) = work(&plan[0]["Plan"]);
                if astray || read > MOST {
                    faults.push(format!("{scope:?}, {direction:?}, after {marker:?}: {read} rows\n{plan:#}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
