//! Every action with its default rules.
//!
//! The rules of v2 are the defaults of the 2026 reference with its project-scoped personas (images-v2.md §23.1,
//! metadefs.md §9.2); those of v1 are the open ones of images-v1.md §10.4. On top of these, v1 writes are closed to
//! callers who are readers and nothing more, who must not gain by choosing the older API (A28).

/// One action, or one rule that others build upon.
pub(super) struct Default {
    /// Name in policy files.
    pub name: &'static str,
    /// What it governs.
    pub description: &'static str,
    /// Rule for requests by v2.
    pub v2: &'static str,
    /// Rule for requests by v1.
    pub v1: &'static str,
}

const EVERYBODY: &str = "";
/// For actions the API never asks about.
const DEFAULT: &str = "rule:default";
const ADMIN: &str = "rule:context_is_admin";
const ROLE_ADMIN: &str = "role:admin";
const SERVICE: &str = "rule:service_api";
const MEMBER: &str = "rule:context_is_admin or (role:member and project_id:%(project_id)s)";
/// Anonymous callers, where they are let in at all, hold no role: they may list, and read what is public
/// (images-v2.md §2.2).
const LIST: &str = "rule:context_is_admin or (role:reader and project_id:%(project_id)s) or read_only:True";
const READER: &str = "rule:context_is_admin or (role:reader and project_id:%(project_id)s)";
const CREATE: &str =
    "rule:context_is_admin or (role:member and project_id:%(project_id)s and project_id:%(owner)s)";
const GET: &str = "rule:context_is_admin or (role:reader and (project_id:%(project_id)s or \
    project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s)) \
    or (read_only:True and 'public':%(visibility)s)";
const DOWNLOAD: &str = "rule:context_is_admin or (role:member and (project_id:%(project_id)s or \
    project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s)) \
    or (read_only:True and 'public':%(visibility)s)";
const READER_OR_SHARED: &str =
    "rule:context_is_admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))";
const SHARED: &str = "rule:context_is_admin or (role:member and project_id:%(member_id)s)";
const SERVICE_OR_MEMBER: &str = "rule:service_api or (role:member and project_id:%(project_id)s)";
const METADEF_READER: &str =
    "rule:context_is_admin or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))";
const METADEF_ADMIN: &str = "rule:metadef_admin";
const V1_WRITER: &str = "rule:v1_writer";

const fn row(name: &'static str, description: &'static str, v2: &'static str, v1: &'static str) -> Default {
    Default { name, description, v2, v1 }
}

/// An action that only v2 asks about.
const fn v2(name: &'static str, description: &'static str, rule: &'static str) -> Default {
    row(name, description, rule, DEFAULT)
}

/// A rule that others build upon.
const fn base(name: &'static str, description: &'static str, rule: &'static str) -> Default {
    row(name, description, rule, rule)
}

pub(super) const DEFAULTS: &[Default] = &[
    row("default", "actions without a rule of their own", EVERYBODY, ROLE_ADMIN),
    base("context_is_admin", "who is an administrator", ROLE_ADMIN),
    base("service_api", "who acts as another service", "role:service or role:admin"),
    base(
        "v1_writer",
        "who may write by v1: all but those who are readers and nothing more",
        "not role:reader or role:member or role:admin",
    ),
    // images
    row("add_image", "create an image", CREATE, V1_WRITER),
    row("get_images", "list images", LIST, EVERYBODY),
    row("get_image", "show an image", GET, EVERYBODY),
    row("modify_image", "change an image, its tags and its properties", MEMBER, V1_WRITER),
    row("delete_image", "delete an image", MEMBER, V1_WRITER),
    row("publicize_image", "make an image public", ADMIN, ROLE_ADMIN),
    v2("communitize_image", "make an image a community image", MEMBER),
    row("upload_image", "upload data to an image", MEMBER, V1_WRITER),
    row("download_image", "download the data of an image", DOWNLOAD, EVERYBODY),
    v2("download_from_store", "choose the store to download from", DOWNLOAD),
    row("copy_from", "fill an image from a URL (v1)", DEFAULT, V1_WRITER),
    v2("copy_image", "copy an image to other stores", ADMIN),
    v2("deactivate", "withhold an image from download", MEMBER),
    v2("reactivate", "release an image for download again", MEMBER),
    // locations
    v2("get_image_location", "delete an image from one store (with delete_image_location)", READER),
    row("set_image_location", "set the location of the data of an image", MEMBER, V1_WRITER),
    v2("delete_image_location", "remove a location of an image", ADMIN),
    v2("add_image_location", "add a location by the location API", SERVICE_OR_MEMBER),
    v2("fetch_image_location", "read locations by the location API", SERVICE),
    // members
    v2("add_member", "share an image with a project", MEMBER),
    v2("get_member", "show one member of an image", READER_OR_SHARED),
    row("get_members", "list the members of an image", READER_OR_SHARED, EVERYBODY),
    row("modify_member", "accept or reject a shared image; in v1: share an image", SHARED, V1_WRITER),
    row("delete_member", "stop sharing an image with a project", MEMBER, V1_WRITER),
    // tasks
    v2("tasks_api_access", "use the tasks API", ADMIN),
    v2("get_task", "show a task", DEFAULT),
    v2("get_tasks", "list tasks", DEFAULT),
    v2("add_task", "create a task", DEFAULT),
    v2("modify_task", "change a task", DEFAULT),
    // stores and cache
    v2("stores_info_detail", "list stores with their details", SERVICE),
    row("manage_image_cache", "manage the image cache", ADMIN, ROLE_ADMIN),
    v2("cache_list", "list cached and queued images", ADMIN),
    v2("cache_image", "queue an image for caching", ADMIN),
    v2("cache_delete", "remove images from the cache", ADMIN),
    v2("cache_clean", "remove stalled entries from the cache", ADMIN),
    v2("cache_prune", "shrink the cache to its limit", ADMIN),
    v2("list_cached_nodes", "list the nodes that cache an image", ADMIN),
    // metadata definitions
    base("metadef_default", "everybody; for policy files that refer to it", EVERYBODY),
    base("metadef_admin", "who may write metadata definitions", ADMIN),
    v2("get_metadef_namespaces", "list namespaces", READER),
    v2("get_metadef_namespace", "show a namespace", METADEF_READER),
    v2("add_metadef_namespace", "create a namespace", METADEF_ADMIN),
    v2("modify_metadef_namespace", "change a namespace", METADEF_ADMIN),
    v2("delete_metadef_namespace", "delete a namespace", METADEF_ADMIN),
    v2("get_metadef_objects", "list the objects of a namespace", METADEF_READER),
    v2("get_metadef_object", "show an object", METADEF_READER),
    v2("add_metadef_object", "create an object", METADEF_ADMIN),
    v2("modify_metadef_object", "change an object", METADEF_ADMIN),
    v2("delete_metadef_object", "delete an object, or all of a namespace", METADEF_ADMIN),
    v2("get_metadef_properties", "list the properties of a namespace", METADEF_READER),
    v2("get_metadef_property", "show a property", METADEF_READER),
    v2("add_metadef_property", "create a property", METADEF_ADMIN),
    v2("modify_metadef_property", "change a property", METADEF_ADMIN),
    v2("remove_metadef_property", "delete a property, or all of a namespace", METADEF_ADMIN),
    v2("list_metadef_resource_types", "list resource types", METADEF_READER),
    v2("get_metadef_resource_type", "show a resource type association", METADEF_READER),
    v2("add_metadef_resource_type_association", "associate a resource type", METADEF_ADMIN),
    v2("remove_metadef_resource_type_association", "dissociate a resource type", METADEF_ADMIN),
    v2("get_metadef_tags", "list the tags of a namespace", METADEF_READER),
    v2("get_metadef_tag", "show a tag", METADEF_READER),
    v2("add_metadef_tag", "create a tag", METADEF_ADMIN),
    v2("add_metadef_tags", "create several tags", METADEF_ADMIN),
    v2("modify_metadef_tag", "change a tag", METADEF_ADMIN),
    v2("delete_metadef_tag", "delete a tag", METADEF_ADMIN),
    v2("delete_metadef_tags", "delete all tags of a namespace", METADEF_ADMIN),
];
