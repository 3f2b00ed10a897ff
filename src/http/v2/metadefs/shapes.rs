//! Parameters of metadata definitions, for the OpenAPI document alone: handlers read them by hand. Bodies are made of
//! what `/v2/schemas/metadefs` publishes, in [`crate::http::openapi::schemas`].

use utoipa::{IntoParams, ToSchema};

use crate::http::v2::shapes::SortDirection;

/// The namespace of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfNamespace {
    /// Name of the namespace
    #[param(min_length = 1)]
    pub namespace: String,
}

/// The object of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfObject {
    /// Name of the namespace
    #[param(min_length = 1)]
    pub namespace: String,
    /// Name of the object
    #[param(min_length = 1)]
    pub object: String,
}

/// The property of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfProperty {
    /// Name of the namespace
    #[param(min_length = 1)]
    pub namespace: String,
    /// Name of the property
    #[param(min_length = 1)]
    pub property: String,
}

/// The tag of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfTag {
    /// Name of the namespace
    #[param(min_length = 1)]
    pub namespace: String,
    /// The tag
    #[param(min_length = 1)]
    pub tag: String,
}

/// A new tag of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfNewTag {
    /// Name of the namespace
    #[param(min_length = 1)]
    pub namespace: String,
    /// The tag
    #[param(min_length = 1, max_length = 80)]
    pub tag: String,
}

/// The resource type of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfResourceType {
    /// Name of the namespace
    #[param(min_length = 1)]
    pub namespace: String,
    /// Name of the resource type
    #[param(min_length = 1)]
    pub resource_type: String,
}

/// Filters, order and page of a list of namespaces. Other parameters are ignored.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NamespaceListParameters {
    /// Longest page; 25 by default, at most 1000 or what the service is configured for
    #[param(minimum = 0)]
    pub limit: Option<i64>,
    /// Name of the last namespace seen; the page starts after it
    pub marker: Option<String>,
    /// Attribute to sort by; `created_at` by default
    #[param(inline)]
    pub sort_key: Option<NamespaceSortKey>,
    /// Direction; `desc` by default
    #[param(inline)]
    pub sort_dir: Option<SortDirection>,
    /// Only namespaces of this visibility
    #[param(inline)]
    pub visibility: Option<Visibility>,
    /// Only namespaces for one of these resource types, separated by commas
    pub resource_types: Option<String>,
}

/// Attributes that lists of namespaces can be sorted by.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum NamespaceSortKey {
    /// By name.
    Namespace,
    /// By name for users.
    DisplayName,
    /// By description.
    Description,
    /// By visibility.
    Visibility,
    /// By protection.
    Protected,
    /// By project.
    Owner,
    /// By creation.
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// In the order of creation.
    Id,
}

/// Who may see a namespace.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Its project.
    Private,
}

/// For which resources names are shown. Other parameters are ignored.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ShowParameters {
    /// Resource type whose prefix the names of properties have
    pub resource_type: Option<String>,
    /// Has no effect, but must be one of these
    #[param(inline)]
    pub visibility: Option<Visibility>,
}

/// For which resources the name of a property is meant. Other parameters are ignored.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PropertyParameters {
    /// Resource type whose prefix the name in the path has
    pub resource_type: Option<String>,
}

/// What lists of objects check and do not heed: they have one page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ObjectListParameters {
    /// Has no effect, but must be positive
    #[param(minimum = 1)]
    pub limit: Option<i64>,
    /// Has no effect, but must be a direction
    #[param(inline)]
    pub sort_dir: Option<SortDirection>,
    /// Has no effect, but must be one of these
    #[param(inline)]
    pub visibility: Option<ListedVisibility>,
}

/// What lists within a namespace take for a visibility.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ListedVisibility {
    /// Public.
    Public,
    /// Private.
    Private,
    /// Shared.
    Shared,
}

/// Order and page of a list of tags. Other parameters are ignored.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TagListParameters {
    /// Longest page; all tags by default
    #[param(minimum = 0)]
    pub limit: Option<i64>,
    /// The last tag seen; the page starts after it
    pub marker: Option<String>,
    /// Attribute to sort by; `created_at` by default
    #[param(inline)]
    pub sort_key: Option<TagSortKey>,
    /// Direction; `desc` by default
    #[param(inline)]
    pub sort_dir: Option<SortDirection>,
    /// Has no effect, but must be one of these
    #[param(inline)]
    pub visibility: Option<ListedVisibility>,
}

/// Attributes that lists of tags can be sorted by.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum TagSortKey {
    /// By name.
    Name,
    /// By creation.
    CreatedAt,
    /// By last change.
    UpdatedAt,
}

/// What becomes of the tags there are.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct AppendHeader {
    /// `true` to keep them; they are replaced otherwise
    #[param(rename = "X-Openstack-Append")]
    pub append: Option<String>,
}
