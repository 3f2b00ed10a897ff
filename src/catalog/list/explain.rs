//! Plans of lists, for tests and measurements.

use serde_json::Value as Json;
use tokio_postgres::Row;

use crate::catalog::retry::{Attempt, REPEATABLE};
use crate::catalog::{Catalog, Result};
use crate::domain::query::ImageQuery;

use super::{ONE_PLAN, Statement, statement};

const EXPLAIN: &str = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)";

impl Catalog {
    /// How the database answers the list: the plan with the rows it really read, as `EXPLAIN` gives it in JSON; of a
    /// prepared list, the plan for all values. None: the list is known to be empty.
    pub async fn explain_list(&self, query: &ImageQuery) -> Result<Option<Json>> {
        let Some(marker) = self.marker(query).await? else { return Ok(None) };
        let Some(statement) = statement(query, marker.as_ref()) else { return Ok(None) };
        self.explain(&statement).await
    }

    /// How the database answers this list.
    pub(in crate::catalog) async fn explain(&self, statement: &Statement) -> Result<Option<Json>> {
        let explain = || async {
            let mut connection = self.connection().await?;
            let rows = if statement.prepared {
                let transaction = connection.transaction().await?;
                explain_prepared(&transaction, statement).await?
            } else {
                connection.query_typed(&format!("{EXPLAIN}\n{}", statement.text), &statement.values()).await?
            };
            Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
        };
        self.run(REPEATABLE, explain).await
    }
}

/// Explains the second execution, which like most finds a plan.
async fn explain_prepared(
    transaction: &deadpool_postgres::Transaction<'_>,
    statement: &Statement,
) -> Attempt<Vec<Row>> {
    let (values, places) = (statement.values(), 1..=statement.values.len());
    // `EXECUTE` takes no placeholders, so the server writes the values as literals
    let places: Vec<String> = places.map(|n| format!("quote_nullable(${n})")).collect();
    let literals = format!("SELECT concat_ws(', ', {})", places.join(", "));
    let literals: String = match transaction.query_typed(&literals, &values).await?.first() {
        Some(row) => row.try_get(0)?,
        None => String::new(),
    };
    let types: Vec<&str> = values.iter().map(|(_, kind)| kind.name()).collect();
    let prepare = format!("PREPARE explained ({}) AS\n{}", types.join(", "), statement.text);
    transaction
        .batch_execute(&format!("{ONE_PLAN}; {prepare}; EXPLAIN EXECUTE explained ({literals})"))
        .await?;
    let rows = transaction.query_typed(&format!("{EXPLAIN} EXECUTE explained ({literals})"), &[]).await;
    transaction.batch_execute("DEALLOCATE explained").await?;
    Ok(rows?)
}
