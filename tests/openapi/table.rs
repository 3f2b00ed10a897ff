//! Who gets which status: one row per operation of the document.

/// An operation with what it is asked and who is answered how.
pub struct Row {
    /// `operationId`.
    pub operation: &'static str,
    /// State of the image before.
    pub fixture: Fixture,
    /// What is sent.
    pub body: Body,
    /// Statuses for anonymous, other project, shared member, reader, owner, admin, system admin.
    pub expected: [u16; 7],
    /// Whether the operation is absent by design, also for an administrator.
    pub absent: bool,
}

/// State of the image before.
#[derive(Clone, Copy)]
pub enum Fixture {
    /// Without data.
    Queued,
    /// With data.
    Active,
    /// With data in both stores.
    Copied,
    /// With the tag `present`.
    Tagged,
    /// With a task of the same id.
    Listed,
    /// With a private namespace of metadata definitions of the same project that is named like its id; `present` is in it,
    /// whatever is asked for.
    Defined,
    /// The same, but public.
    Published,
}

/// What is sent.
#[derive(Clone, Copy)]
pub enum Body {
    /// Nothing.
    None,
    /// A document.
    Json(&'static str),
    /// A patch in the newer form.
    Patch(&'static str),
    /// Image data.
    Data,
    /// A name in a header of v1.
    Meta,
}

use Body::{Data, Json, Meta, None, Patch};
use Fixture::{Active, Copied, Defined, Listed, Published, Queued, Tagged};

const fn row(operation: &'static str, fixture: Fixture, body: Body, expected: [u16; 7]) -> Row {
    Row { operation, fixture, body, expected, absent: false }
}

/// An operation that is absent by design, which those who might use it are told.
const fn absent(operation: &'static str, expected: [u16; 7]) -> Row {
    Row { operation, fixture: Queued, body: None, expected, absent: true }
}

const RENAME: &str = r#"[{"op": "replace", "path": "/name", "value": "new"}]"#;
const PLACE: &str = r#"{"url": "https://images.example/disk"}"#;
const SHARE: &str = r#"{"member": "delta"}"#;
const ACCEPT: &str = r#"{"status": "accepted"}"#;
const IMPORT: &str = r#"{"method": {"name": "web-download", "uri": "https://8.8.8.8/disk"}}"#;
const TASK: &str = r#"{"type": "import", "input": {"import_from": "https://8.8.8.8/disk", "import_from_format": "raw",
    "image_properties": {"disk_format": "raw", "container_format": "bare"}}}"#;
const MEMBERS: &str = r#"{"memberships": [{"member_id": "gamma"}, {"member_id": "delta"}]}"#;
const NAMESPACE: &str = r#"{"namespace": "renamed"}"#;
const NAMED: &str = r#"{"name": "new"}"#;
const TYPED: &str = r#"{"name": "new", "title": "New", "type": "integer", "default": 1}"#;
const TAGS: &str = r#"{"tags": [{"name": "new"}]}"#;

#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    //                                                 anon other shared reader owner admin system
    row("chooseVersion",         Queued, None,         [300, 300, 300, 300, 300, 300, 300]),
    row("listVersions",          Queued, None,         [200, 200, 200, 200, 200, 200, 200]),
    row("getHealth",             Queued, None,         [200, 200, 200, 200, 200, 200, 200]),
    row("getOpenApi",            Queued, None,         [200, 200, 200, 200, 200, 200, 200]),
    row("getDocs",               Queued, None,         [200, 200, 200, 200, 200, 200, 200]),
    row("getDocsStyle",          Queued, None,         [200, 200, 200, 200, 200, 200, 200]),
    // v1: what one may not know of is not found; readers only read (A28); members see and cannot change
    row("v1GoToRoot",            Queued, None,         [401, 302, 302, 302, 302, 302, 302]),
    row("v1ListImagesAtRoot",    Queued, None,         [401, 200, 200, 200, 200, 200, 403]),
    row("v1ListImages",          Queued, None,         [401, 200, 200, 200, 200, 200, 403]),
    row("v1ListImagesInDetail",  Queued, None,         [401, 200, 200, 200, 200, 200, 403]),
    row("v1CreateImage",         Queued, Meta,         [401, 201, 201, 403, 201, 201, 403]),
    row("v1ShowImage",           Active, None,         [401, 404, 200, 200, 200, 200, 403]),
    row("v1DownloadImage",       Active, None,         [401, 404, 200, 200, 200, 200, 403]),
    row("v1UpdateImage",         Queued, Meta,         [401, 404, 404, 403, 200, 200, 403]),
    row("v1DeleteImage",         Active, None,         [401, 404, 404, 403, 200, 200, 403]),
    row("v1ListMembers",         Queued, None,         [401, 404, 200, 200, 200, 200, 403]),
    row("v1ReplaceMembers",      Queued, Json(MEMBERS), [401, 404, 404, 403, 204, 204, 403]),
    row("v1PutMember",           Queued, None,         [401, 404, 404, 403, 204, 204, 403]),
    row("v1DeleteMember",        Queued, None,         [401, 404, 404, 403, 204, 204, 403]),
    // no policy is asked (images-v1.md §9)
    row("v1ListSharedImages",    Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    // v2: the image is hidden from others (404), what one sees and may not change is forbidden (403)
    row("goToRoot",              Queued, None,         [401, 302, 302, 302, 302, 302, 302]),
    row("getImageSchema",        Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("getImagesSchema",       Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("getMemberSchema",       Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("getMembersSchema",      Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("getTaskSchema",         Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("getTasksSchema",        Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("listImages",            Queued, None,         [401, 200, 200, 200, 200, 200, 403]),
    row("createImage",           Queued, Json("{}"),   [401, 201, 201, 403, 201, 201, 403]),
    row("showImage",             Active, None,         [401, 404, 200, 200, 200, 200, 404]),
    row("patchImage",            Queued, Patch(RENAME), [401, 404, 403, 403, 200, 200, 404]),
    row("deleteImage",           Active, None,         [401, 404, 403, 403, 204, 204, 404]),
    row("uploadImage",           Queued, Data,         [401, 404, 403, 403, 204, 204, 404]),
    row("downloadImage",         Active, None,         [401, 404, 200, 403, 200, 200, 404]),
    row("deactivateImage",       Active, None,         [401, 404, 403, 403, 204, 204, 404]),
    row("reactivateImage",       Active, None,         [401, 404, 403, 403, 204, 204, 404]),
    row("addTag",                Queued, None,         [401, 404, 403, 403, 204, 204, 404]),
    row("removeTag",             Tagged, None,         [401, 404, 403, 403, 204, 204, 404]),
    row("listMembers",           Queued, None,         [401, 404, 200, 200, 200, 200, 404]),
    row("addMember",             Queued, Json(SHARE),  [401, 404, 403, 403, 200, 200, 404]),
    row("showMember",            Queued, None,         [401, 404, 200, 200, 200, 200, 404]),
    // the member answers, not the owner
    row("updateMember",          Queued, Json(ACCEPT), [401, 404, 200, 403, 403, 200, 404]),
    row("removeMember",          Queued, None,         [401, 404, 403, 403, 204, 204, 404]),
    row("deleteFromStore",       Copied, None,         [401, 404, 403, 403, 403, 204, 404]),
    row("showImportInfo",        Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("listStores",            Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("listStoreDetails",      Queued, None,         [401, 403, 403, 403, 403, 200, 403]),
    row("showUsage",             Queued, None,         [401, 200, 200, 200, 200, 200, 200]),
    row("addLocation",           Queued, Json(PLACE),  [401, 404, 403, 403, 202, 202, 404]),
    row("listLocations",         Active, None,         [401, 404, 403, 403, 403, 200, 404]),
    row("listImageTasks",        Queued, None,         [401, 404, 200, 200, 200, 200, 404]),
    row("stageImage",            Queued, Data,         [401, 404, 403, 403, 204, 204, 404]),
    row("importImage",           Queued, Json(IMPORT), [401, 404, 403, 403, 202, 202, 404]),
    row("listTasks",             Queued, None,         [401, 403, 403, 403, 403, 200, 403]),
    row("createTask",            Queued, Json(TASK),   [401, 403, 403, 403, 403, 201, 403]),
    row("showTask",              Listed, None,         [401, 403, 403, 403, 403, 200, 403]),
    // metadata definitions: who may not see the namespace is told that there is none, also who may do nothing at all
    // (metadefs.md §9.3); only administrators write
    row("listMetadefNamespaces",     Defined, None,            [401, 200, 200, 200, 200, 200, 404]),
    row("createMetadefNamespace",    Queued, Json(NAMESPACE),  [401, 403, 403, 403, 403, 201, 404]),
    row("showMetadefNamespace",      Defined, None,            [401, 404, 404, 200, 200, 200, 404]),
    row("updateMetadefNamespace",    Defined, Json(NAMESPACE), [401, 404, 404, 403, 403, 200, 404]),
    row("deleteMetadefNamespace",    Defined, None,            [401, 404, 404, 403, 403, 204, 404]),
    row("listMetadefObjects",        Defined, None,            [401, 404, 404, 200, 200, 200, 404]),
    row("createMetadefObject",       Defined, Json(NAMED),     [401, 404, 404, 403, 403, 201, 404]),
    row("deleteMetadefObjects",      Defined, None,            [401, 404, 404, 403, 403, 204, 404]),
    row("showMetadefObject",         Defined, None,            [401, 404, 404, 200, 200, 200, 404]),
    row("updateMetadefObject",       Defined, Json(NAMED),     [401, 404, 404, 403, 403, 200, 404]),
    row("deleteMetadefObject",       Defined, None,            [401, 404, 404, 403, 403, 204, 404]),
    row("listMetadefProperties",     Defined, None,            [401, 404, 404, 200, 200, 200, 404]),
    row("createMetadefProperty",     Defined, Json(TYPED),     [401, 404, 404, 403, 403, 201, 404]),
    row("deleteMetadefProperties",   Defined, None,            [401, 404, 404, 403, 403, 204, 404]),
    row("showMetadefProperty",       Defined, None,            [401, 404, 404, 200, 200, 200, 404]),
    row("updateMetadefProperty",     Defined, Json(TYPED),     [401, 404, 404, 403, 403, 200, 404]),
    row("deleteMetadefProperty",     Defined, None,            [401, 404, 404, 403, 403, 204, 404]),
    row("listMetadefTags",           Defined, None,            [401, 404, 404, 200, 200, 200, 404]),
    row("createMetadefTags",         Defined, Json(TAGS),      [401, 404, 404, 403, 403, 201, 404]),
    row("deleteMetadefTags",         Defined, None,            [401, 404, 404, 403, 403, 204, 404]),
    row("showMetadefTag",            Defined, None,            [401, 404, 404, 200, 200, 200, 404]),
    row("createMetadefTag",          Defined, None,            [401, 404, 404, 403, 403, 201, 404]),
    row("renameMetadefTag",          Defined, Json(NAMED),     [401, 404, 404, 403, 403, 200, 404]),
    row("deleteMetadefTag",          Defined, None,            [401, 404, 404, 403, 403, 204, 404]),
    row("listMetadefResourceTypes",  Defined, None,            [401, 200, 200, 200, 200, 200, 404]),
    // public: others see it too, and are told what they may not do
    row("listMetadefAssociations",   Published, None,          [401, 200, 200, 200, 200, 200, 404]),
    row("createMetadefAssociation",  Published, Json(NAMED),   [401, 403, 403, 403, 403, 201, 404]),
    row("deleteMetadefAssociation",  Published, None,          [401, 403, 403, 403, 403, 204, 404]),
    row("getMetadefNamespaceSchema",    Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefNamespacesSchema",   Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefObjectSchema",       Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefObjectsSchema",      Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefPropertySchema",     Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefPropertiesSchema",   Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefTagSchema",          Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefTagsSchema",         Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefAssociationSchema",  Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    row("getMetadefAssociationsSchema", Queued, None,          [401, 200, 200, 200, 200, 200, 200]),
    absent("deleteTask",                               [401, 403, 403, 403, 403, 405, 403]),
    absent("listCached",                               [401, 403, 403, 403, 403, 404, 403]),
    absent("clearCache",                               [401, 403, 403, 403, 403, 404, 403]),
    absent("cacheImage",                               [401, 404, 403, 403, 403, 404, 404]),
    absent("uncacheImage",                             [401, 404, 403, 403, 403, 404, 404]),
    absent("listCacheNodes",                           [401, 403, 403, 403, 403, 404, 403]),
    absent("cleanCache",                               [401, 403, 403, 403, 403, 404, 403]),
    absent("pruneCache",                               [401, 403, 403, 403, 403, 404, 403]),
];
