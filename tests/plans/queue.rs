//! Plans of what every replica asks again and again: the next task, what a sweep finds, the next events. None may cost
//! more as more waits.

use serde_json::Value;
use tokio_postgres::Client;

use super::total;
use crate::support::db::test_database;

/// 50,000 tasks, of which 10,000 of one project and one each of 100 others are due; 50,000 objects, of which 100 are
/// being written by somebody dead and 5,000 by somebody alive; 50,000 images, of which 1,000 are being imported; 50,000
/// events for 5,000 subjects.
const SEED: &str = "
    INSERT INTO tasks (id, kind, status, owner, image_id, input, due_at, created_at, updated_at, expires_at)
    SELECT gen_random_uuid(), 'api_image_import',
      (CASE WHEN n <= 10100 THEN 'pending' WHEN n <= 10110 THEN 'processing' ELSE 'success' END)::task_status,
      CASE WHEN n <= 10000 THEN 'busy' ELSE 'project-' || n % 100 END, gen_random_uuid(), '{}',
      now() + CASE WHEN n BETWEEN 10101 AND 10110 THEN interval '1 minute' ELSE -n * interval '1 second' END,
      now(), now(), CASE WHEN n > 10110 THEN now() + interval '1 day' END
    FROM generate_series(1, 50000) AS n;
    INSERT INTO images (id, owner, status, visibility, os_hidden, protected, min_disk, min_ram, tags, properties,
      created_at, updated_at)
    SELECT gen_random_uuid(), 'project-' || n % 500, (CASE WHEN n <= 1000 THEN 'importing' ELSE 'active' END)::image_status,
      'shared', false, false, 0, 0, '{}', '{}', now(), now()
    FROM generate_series(1, 50000) AS n;
    INSERT INTO blobs (id, image_id, owner, store, key, state, size, on_failure, due_at, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'project', 'main', 'key-' || n,
      (CASE WHEN n <= 5100 THEN 'writing' ELSE 'live' END)::blob_state, 1, 'queued',
      CASE WHEN n <= 100 THEN now() - interval '1 minute' WHEN n <= 5100 THEN now() + interval '1 minute' END, now()
    FROM generate_series(1, 50000) AS n;
    INSERT INTO tasks (id, kind, status, owner, image_id, input, due_at, created_at, updated_at)
    SELECT gen_random_uuid(), 'api_image_import', 'processing', owner, id, '{}', now() + interval '1 minute', now(), now()
    FROM images WHERE status = 'importing';
    INSERT INTO events (message_id, sink, subject, event_type, priority, payload, created_at, due_at)
    SELECT gen_random_uuid(), 'log', 'subject-' || n % 5000, 'image.update', 'INFO', '{}', now(), now()
    FROM generate_series(1, 50000) AS n;
    ANALYZE";

/// Rows that were read from tables, and whether a table was scanned.
fn work(node: &Value) -> (f64, bool) {
    let mut scanned = node["Node Type"] == "Seq Scan";
    let mut read = 0.0;
    if !node["Relation Name"].is_null() && node["Node Type"] != "ModifyTable" {
        read += total(node, "Actual Rows") + total(node, "Rows Removed by Filter");
    }
    for inner in node["Plans"].as_array().into_iter().flatten() {
        let (rows, wrong) = work(inner);
        (read, scanned) = (read + rows, scanned || wrong);
    }
    (read, scanned)
}

/// What a prepared statement does, once its plan is the one for all values, without leaving a trace.
async fn explain(sql: &Client, types: &str, statement: &str, values: &str) -> Value {
    let prepare =
        format!("BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; PREPARE it ({types}) AS {statement}");
    sql.batch_execute(&prepare).await.unwrap();
    let explained = format!("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE it ({values})");
    let plan: Value = sql.query_one(&explained, &[]).await.unwrap().get(0);
    sql.batch_execute("ROLLBACK; DEALLOCATE it").await.unwrap();
    plan
}

#[tokio::test]
async fn what_is_asked_all_the_time_reads_what_it_takes() {
    const STATEMENTS: [(&str, &str, &str, &str, f64); 5] = [
        (
            "a task",
            "float8, text[]",
            include_str!("../../src/catalog/sql/claim_task.sql"),
            "60, ARRAY['project-7']",
            // one for each of 500 projects, and 1,010 that are worked on, of 11,110
            1_600.0,
        ),
        ("dead writers", "bigint", include_str!("../../src/catalog/sql/expired_writers.sql"), "100", 200.0),
        // every import is looked at, and its task
        ("stuck imports", "bigint", include_str!("../../src/catalog/sql/stuck_imports.sql"), "100", 2_200.0),
        (
            "garbage",
            "bigint, float8",
            include_str!("../../src/catalog/sql/claim_garbage.sql"),
            "100, 60",
            200.0,
        ),
        (
            "events",
            "text, bigint, float8",
            include_str!("../../src/catalog/sql/claim_events.sql"),
            "'log', 100, 60",
            1_000.0,
        ),
    ];
    let database = test_database().await;
    let sql = database.client().await;
    sql.batch_execute(SEED).await.unwrap();
    let mut faults = Vec::new();
    for (name, types, statement, values, most) in STATEMENTS {
        let plan = explain(&sql, types, statement, values).await;
        let (read, scanned) = work(&plan[0]["Plan"]);
        if scanned || read > most {
            faults.push(format!("{name}: {read} rows read, at most {most} are due\n{plan:#}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // the check must be able to fail
    sql.batch_execute("DROP INDEX tasks_queue").await.unwrap();
    let (_, types, statement, values, most) = STATEMENTS[0];
    let (read, _) = work(&explain(&sql, types, statement, values).await[0]["Plan"]);
    assert!(read > 10.0 * most, "{read}");
}
