//! Values for tests.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::schema::{ImageSchema, default_extension};
use crate::config::Images;

/// The schema of an installation without configuration of its own. Built once: its patterns take their time.
pub(crate) fn shipped() -> &'static ImageSchema {
    static SHIPPED: LazyLock<ImageSchema> = LazyLock::new(|| schema(&default_extension()));
    &SHIPPED
}

/// That schema with another extension.
pub(crate) fn schema(extension: &Value) -> ImageSchema {
    let images = Images::default();
    ImageSchema::new(&images.disk_formats, &images.container_formats, extension).expect("a sound extension")
}

/// Any JSON, with the words that the parsers look for more often than chance would have them.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let word = || {
        prop_oneof![
            prop::sample::select(vec![
                "op",
                "path",
                "value",
                "add",
                "replace",
                "remove",
                "/name",
                "/tags",
                "/x",
                "/locations/-",
                "/locations",
                "/min_ram",
                "name",
                "id",
                "tags",
                "min_disk",
                "owner",
                "visibility",
                "public",
                "status",
                "locations",
                "url",
                "metadata",
                "kernel_id",
                "os_glance_x",
                "properties",
                "required",
                "type",
                "string",
                "enum",
                "pattern",
                "[",
                "(?=a)",
                "$ref",
                "raw",
                "\0",
                "😀",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,8}",
        ]
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
