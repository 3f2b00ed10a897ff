//! Parameters and bodies of v2, for the OpenAPI document alone: handlers read and write them by hand. What
//! `/v2/schemas` publishes is not here but in [`crate::http::openapi::schemas`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// The image of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfImage {
    /// Id of the image; a malformed one is not found
    pub id: String,
}

/// A membership of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfMember {
    /// Id of the image; a malformed one is not found
    pub id: String,
    /// Id of the project that the image is shared with
    pub member: String,
}

/// A tag of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfTag {
    /// Id of the image; a malformed one is not found
    pub id: String,
    /// The tag
    #[param(max_length = 255)]
    pub tag: String,
}

/// A copy of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InStore {
    /// Id of the store
    pub store: String,
    /// Id of the image
    pub id: String,
}

/// Filters, order and page of a list. Any other parameter is an additional property with exactly this value.
///
/// Text filters take an exact value, `eq:value` or `in:a,b,"c,d"`; times take `gt:`, `gte:`, `lt:`, `lte:`, `eq:` or
/// `neq:` before an ISO 8601 time.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// Longest page; 25 by default, at most 1000 or what the service is configured for
    #[param(minimum = 0)]
    pub limit: Option<i64>,
    /// Id of the last image seen; the page starts after it
    pub marker: Option<String>,
    /// Attributes to sort by, first things first; `created_at` by default
    #[param(inline)]
    pub sort_key: Option<Vec<SortKey>>,
    /// Direction of all keys, or of each
    #[param(inline)]
    pub sort_dir: Option<Vec<SortDirection>>,
    /// Keys with their directions: `name:asc,created_at`; not together with `sort_key` or `sort_dir`
    pub sort: Option<String>,
    /// Only images of this visibility; `all` adds community images of others
    #[param(inline)]
    pub visibility: Option<VisibilityFilter>,
    /// Which shared images are listed; those accepted by default
    #[param(inline)]
    pub member_status: Option<MemberStatusFilter>,
    /// `true` for hidden images, which are left out otherwise
    pub os_hidden: Option<bool>,
    /// Whether deletion is refused
    pub protected: Option<bool>,
    /// Name
    pub name: Option<String>,
    /// Id
    pub id: Option<String>,
    /// Status
    pub status: Option<String>,
    /// Container format
    pub container_format: Option<String>,
    /// Disk format
    pub disk_format: Option<String>,
    /// When it was made
    pub created_at: Option<String>,
    /// When it was last changed
    pub updated_at: Option<String>,
    /// Project of the owner
    pub owner: Option<String>,
    /// Tags that an image must have, all of them
    pub tag: Option<Vec<String>>,
    /// MD5 in hex
    pub checksum: Option<String>,
    /// Digest in hex
    pub os_hash_value: Option<String>,
    /// Smallest size in bytes
    pub size_min: Option<i64>,
    /// Largest size in bytes
    pub size_max: Option<i64>,
}

/// Attributes that lists can be sorted by.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum SortKey {
    /// By name, in byte order.
    Name,
    /// By status.
    Status,
    /// By container format.
    ContainerFormat,
    /// By disk format.
    DiskFormat,
    /// By size.
    Size,
    /// By id.
    Id,
    /// By creation.
    CreatedAt,
    /// By last change.
    UpdatedAt,
}

/// Directions.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum SortDirection {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}

/// What a list can be limited to.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum VisibilityFilter {
    /// Seen by everybody.
    Public,
    /// Found by everybody who looks for it.
    Community,
    /// Seen by its members.
    Shared,
    /// Seen by its project.
    Private,
    /// Everything that can be seen.
    All,
}

/// Which memberships count.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum MemberStatusFilter {
    /// Those accepted.
    Accepted,
    /// Those not answered.
    Pending,
    /// Those rejected.
    Rejected,
    /// Any.
    All,
}

/// Operations on an image, all applied or none.
#[derive(ToSchema)]
pub struct Patch(pub Vec<PatchOperation>);

/// One operation.
#[derive(ToSchema)]
pub struct PatchOperation {
    /// What to do
    pub op: PatchVerb,
    /// JSON pointer to an attribute, or to an element of `locations`
    #[schema(pattern = "^/")]
    pub path: String,
    /// The value, which `remove` does without
    pub value: Option<Value>,
}

/// What operations do.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum PatchVerb {
    /// Add an attribute, or set it.
    Add,
    /// Set an attribute that is there.
    Replace,
    /// Remove an attribute that is there.
    Remove,
}

/// Operations in the older form: `{"replace": "/name", "value": "new"}`.
#[derive(ToSchema)]
pub struct OldPatch(pub Vec<OldPatchOperation>);

/// One operation in the older form, with exactly one of the verbs.
#[derive(ToSchema)]
pub struct OldPatchOperation {
    /// Attribute to add
    pub add: Option<String>,
    /// Attribute to set
    pub replace: Option<String>,
    /// Attribute to remove
    pub remove: Option<String>,
    /// The value, which `remove` does without
    pub value: Option<Value>,
}

/// What to know of an upload.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct UploadHeaders {
    /// Size of the data in bytes, which is held against them
    #[param(rename = "X-OpenStack-Image-Size", minimum = 0)]
    pub image_size: Option<i64>,
    /// Store for the data, where several are configured
    #[param(rename = "X-Image-Meta-Store")]
    pub store: Option<String>,
}

/// What to know of data to stage.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct StageHeaders {
    /// Size of the data in bytes, which is held against them
    #[param(rename = "X-OpenStack-Image-Size", minimum = 0)]
    pub image_size: Option<i64>,
}

/// Where to import to.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct ImportHeaders {
    /// Store for the data, where several are configured; not together with `stores` or `all_stores`
    #[param(rename = "X-Image-Meta-Store")]
    pub store: Option<String>,
}

/// What to import, and where to.
#[derive(ToSchema)]
pub struct ImportRequest {
    /// Where the data come from
    pub method: ImportMethod,
    /// Stores for the data, where several are configured; the default store unless they are named
    pub stores: Option<Vec<String>>,
    /// Whether the data are to lie in every store that takes data
    #[schema(nullable = false)]
    pub all_stores: Option<bool>,
    /// Whether the import fails where one store does; true by default
    #[schema(nullable = false)]
    pub all_stores_must_succeed: Option<bool>,
}

/// A way to import data.
#[derive(ToSchema)]
pub struct ImportMethod {
    /// `glance-direct` for data that were staged, `web-download`, `copy-image` for copies of the data of an active image,
    /// or `glance-download`
    pub name: String,
    /// URL of the data, for `web-download`
    pub uri: Option<String>,
    /// Region of the image to import, for `glance-download`
    pub glance_region: Option<String>,
    /// Id of the image to import, for `glance-download`
    pub glance_image_id: Option<String>,
    /// Interface of the image service there, for `glance-download`; `public` by default
    pub glance_service_interface: Option<String>,
}

/// Which data to download, and from where.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct DownloadHeaders {
    /// One range of bytes, such as `bytes=0-511`
    #[param(rename = "Range")]
    pub range: Option<String>,
    /// The same as older clients say it: `bytes 0-511/*`
    #[param(rename = "Content-Range")]
    pub content_range: Option<String>,
}

/// Where to download from.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DownloadParameters {
    /// Ids of stores in the order of preference, separated by commas; where several stores are configured
    pub prefer: Option<String>,
}

/// A JSON schema.
#[derive(ToSchema)]
pub struct JsonSchema {
    /// What it describes
    pub name: String,
    /// Schemas of the attributes
    pub properties: Map<String, Value>,
}

/// A project to share with.
#[derive(ToSchema)]
pub struct NewMember {
    /// Id of the project
    #[schema(min_length = 1, max_length = 255)]
    pub member: String,
}

/// The answer of a member.
#[derive(ToSchema)]
pub struct MemberAnswer {
    /// What it makes of the image
    pub status: MemberStatus,
}

/// What a member makes of a shared image.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum MemberStatus {
    /// Not answered.
    Pending,
    /// Wants it in lists.
    Accepted,
    /// Does not.
    Rejected,
}

/// Ways to import data.
#[derive(ToSchema)]
pub struct ImportInfo {
    /// The ways
    #[schema(rename = "import-methods")]
    pub import_methods: ImportMethods,
}

/// Ways to import data, as a small schema.
#[derive(ToSchema)]
pub struct ImportMethods {
    /// What it is
    pub description: String,
    /// Always `array`
    pub r#type: String,
    /// Names of the ways
    pub value: Vec<String>,
}

/// Stores to choose from.
#[derive(ToSchema)]
pub struct StoreList {
    /// The stores
    pub stores: Vec<StoreEntry>,
}

/// A store.
#[derive(ToSchema)]
pub struct StoreEntry {
    /// Id
    pub id: String,
    /// For people
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// `true` for the one that is used unless another is named; absent otherwise
    #[schema(nullable = false)]
    pub default: Option<String>,
    /// `true` for one that takes no data; absent otherwise
    #[schema(rename = "read-only", nullable = false)]
    pub read_only: Option<String>,
}

/// Stores with their particulars.
#[derive(ToSchema)]
pub struct StoreDetailList {
    /// The stores
    pub stores: Vec<StoreDetails>,
}

/// A store with its particulars.
#[derive(ToSchema)]
pub struct StoreDetails {
    /// Id
    pub id: String,
    /// For people
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// `true` for the one that is used unless another is named; absent otherwise
    #[schema(nullable = false)]
    pub default: Option<String>,
    /// `true` for one that takes no data; absent otherwise
    #[schema(rename = "read-only", nullable = false)]
    pub read_only: Option<String>,
    /// Kind of the store
    pub r#type: String,
    /// Stores of more weight are read from first
    pub weight: i64,
    /// Settings
    pub properties: Map<String, Value>,
}

/// What a project uses, by resource.
#[derive(ToSchema)]
pub struct UsageList {
    /// Usage by resource; empty without limits
    pub usage: BTreeMap<String, Usage>,
}

/// What a project uses of one resource.
#[derive(ToSchema)]
pub struct Usage {
    /// How much is used
    pub usage: i64,
    /// How much may be used; −1 for any
    pub limit: i64,
}

/// Where data are.
#[derive(ToSchema)]
pub struct NewLocation {
    /// URL of the data
    pub url: String,
    /// What the data must be
    pub validation_data: Option<Claim>,
}

/// A digest that data must have.
#[derive(ToSchema)]
pub struct Claim {
    /// `sha1`, `sha256`, `sha512` or `md5`
    pub os_hash_algo: String,
    /// The digest in hex
    #[schema(max_length = 128)]
    pub os_hash_value: String,
}

/// Where data are, as it is shown.
#[derive(ToSchema)]
pub struct Location {
    /// URL of the data
    pub url: String,
    /// What is known of the place
    pub metadata: Map<String, Value>,
}

/// The task of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfTask {
    /// Id of the task; a malformed one is not found
    pub id: String,
}

/// Filters, order and page of a list of tasks.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TaskListParameters {
    /// Longest page; 25 by default, at most 1000 or what the service is configured for
    #[param(minimum = 0)]
    pub limit: Option<i64>,
    /// Id of the last task seen; the page starts after it
    pub marker: Option<String>,
    /// Attribute to sort by; `created_at` by default
    #[param(inline)]
    pub sort_key: Option<TaskSortKey>,
    /// Direction; `desc` by default
    #[param(inline)]
    pub sort_dir: Option<SortDirection>,
    /// Only tasks in this state
    #[param(inline)]
    pub status: Option<TaskStatus>,
    /// Only tasks of this type; `import` alone can be asked for
    pub r#type: Option<String>,
}

/// Attributes that lists of tasks can be sorted by.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum TaskSortKey {
    /// By creation.
    CreatedAt,
    /// By the end of the record; tasks at work come last.
    ExpiresAt,
    /// By id.
    Id,
    /// By project.
    Owner,
    /// By state.
    Status,
    /// By type.
    Type,
    /// By last change.
    UpdatedAt,
}

/// How far a task has come.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Waits.
    Pending,
    /// Is at work.
    Processing,
    /// Ended well.
    Success,
    /// Ended otherwise.
    Failure,
}

/// A task to start.
#[derive(ToSchema)]
pub struct NewTask {
    /// Always `import`
    pub r#type: String,
    /// What to do
    pub input: NewTaskInput,
}

/// An image to make.
#[derive(ToSchema)]
pub struct NewTaskInput {
    /// URL of the data
    pub import_from: String,
    /// What the data are
    pub import_from_format: String,
    /// The image as for `POST /v2/images`; it needs both formats
    pub image_properties: Map<String, Value>,
}

/// Tasks of an image.
#[derive(ToSchema)]
pub struct ImageTasks {
    /// The tasks
    pub tasks: Vec<ImageTask>,
}

/// A task of an image.
#[derive(ToSchema)]
pub struct ImageTask {
    /// Id
    pub id: String,
    /// What it does
    pub r#type: String,
    /// How far it has come
    pub status: String,
    /// Project it works for
    #[schema(required)]
    pub owner: Option<String>,
    /// User who started it
    #[schema(required)]
    pub user_id: Option<String>,
    /// Request that started it
    #[schema(required)]
    pub request_id: Option<String>,
    /// Image it works on
    #[schema(required)]
    pub image_id: Option<String>,
    /// What it was given
    #[schema(required)]
    pub input: Option<Map<String, Value>>,
    /// What came of it
    #[schema(required)]
    pub result: Option<Map<String, Value>>,
    /// What it says of itself
    pub message: String,
    /// When it was started
    pub created_at: String,
    /// When it was last changed
    pub updated_at: String,
    /// When its record is removed
    #[schema(required)]
    pub expires_at: Option<String>,
    /// Always false
    pub deleted: bool,
    /// Always null
    #[schema(required)]
    pub deleted_at: Option<String>,
}
