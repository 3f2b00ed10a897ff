//! `/v2/schemas/metadefs`: the JSON schemas of metadata definitions (metadefs.md §12).

use axum::response::Response;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::metadef::schema::Document;
use crate::http::document::NoBody;
use crate::http::front::Api;
use crate::http::openapi::faults::Invalid;
use crate::http::route::only_without_head as only;
use crate::http::v2::shapes::JsonSchema;

use super::text;

/// Declares a handler for each document, and their routes.
macro_rules! documents {
    ($($handler:ident, $document:ident, $path:tt, $operation:tt, $summary:tt;)*) => {
        $(
            #[doc = $summary]
            #[utoipa::path(
                get, path = $path, operation_id = $operation, tag = "schemas",
                responses((status = 200, description = "The JSON schema", body = JsonSchema), Invalid),
            )]
            pub async fn $handler(_: NoBody) -> Response {
                text(StatusCode::OK, Document::$document.text())
            }
        )*

        /// Routes of the documents.
        pub fn routes() -> OpenApiRouter<Api> {
            OpenApiRouter::new()$(.routes(only("GET", routes!($handler))))*
        }
    };
}

documents! {
    namespace, Namespace, "/v2/schemas/metadefs/namespace", "getMetadefNamespaceSchema", "Describe a namespace.";
    namespaces, Namespaces, "/v2/schemas/metadefs/namespaces", "getMetadefNamespacesSchema",
        "Describe a list of namespaces.";
    object, Object, "/v2/schemas/metadefs/object", "getMetadefObjectSchema", "Describe an object.";
    objects, Objects, "/v2/schemas/metadefs/objects", "getMetadefObjectsSchema", "Describe a list of objects.";
    property, Property, "/v2/schemas/metadefs/property", "getMetadefPropertySchema", "Describe a property.";
    properties, Properties, "/v2/schemas/metadefs/properties", "getMetadefPropertiesSchema",
        "Describe the properties of a namespace.";
    tag, Tag, "/v2/schemas/metadefs/tag", "getMetadefTagSchema", "Describe a tag of a namespace.";
    tags, Tags, "/v2/schemas/metadefs/tags", "getMetadefTagsSchema", "Describe the tags of a namespace.";
    resource_type, ResourceType, "/v2/schemas/metadefs/resource_type", "getMetadefAssociationSchema",
        "Describe a resource type association.";
    resource_types, ResourceTypes, "/v2/schemas/metadefs/resource_types", "getMetadefAssociationsSchema",
        "Describe the resource type associations of a namespace.";
}
