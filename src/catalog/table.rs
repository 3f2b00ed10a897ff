//! Which table a statement is about, for metrics and traces: a closed set of words.

/// Tables of the schema.
const TABLES: [&str; 14] = [
    "images",
    "purged_images",
    "adoptions",
    "image_members",
    "image_locations",
    "blobs",
    "tasks",
    "events",
    "metadef_namespaces",
    "metadef_objects",
    "metadef_properties",
    "metadef_tags",
    "metadef_resource_types",
    "metadef_namespace_resource_types",
];

/// The main table of a statement, for metrics: the first that it reads or writes. None where it touches none of ours.
pub(super) fn table(sql: &str) -> Option<&'static str> {
    let mut words =
        sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if matches!(word, "FROM" | "INTO" | "UPDATE" | "JOIN") {
            let named = words.next().unwrap_or_default();
            if let Some(known) = TABLES.into_iter().find(|table| *table == named) {
                return Some(known);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn every_table_of_the_schema_is_known() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/migrations");
        let mut made = BTreeSet::new();
        for file in
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
        {
            let text = fs::read_to_string(file).unwrap();
            let names = text.lines().filter_map(|line| line.strip_prefix("CREATE TABLE "));
            made.extend(names.map(|rest| rest.trim_end_matches([' ', '(']).to_owned()));
        }
        assert_eq!(made, TABLES.map(str::to_owned).into());
    }

    #[test]
    fn the_main_table_is_the_first() {
        for (sql, expected) in [
            ("UPDATE images\nSET a = 1 FROM blobs", Some("images")),
            ("INSERT INTO image_members (a) SELECT a FROM images", Some("image_members")),
            ("WITH due AS (SELECT id FROM tasks FOR UPDATE SKIP LOCKED) SELECT * FROM due", Some("tasks")),
            ("SELECT unnest FROM unnest($1) JOIN events ON true", Some("events")),
            ("SELECT extract(epoch FROM statement_timestamp())", None),
            ("SELECT pg_advisory_lock(1)", None),
        ] {
            assert_eq!(table(sql), expected, "{sql}");
        }
    }
}
