//! Parameters and bodies of v1, for the OpenAPI document alone: handlers read and write them by hand, byte for byte.

use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, ToSchema};

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

/// Filters, order and page of a list. `property-<name>` filters by an additional property.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// Exact name, or `in:a,b`
    pub name: Option<String>,
    /// Exact status, or `in:a,b`
    pub status: Option<String>,
    /// Exact container format, or `in:a,b`
    pub container_format: Option<String>,
    /// Exact disk format, or `in:a,b`
    pub disk_format: Option<String>,
    /// Exact value
    #[param(minimum = 0)]
    pub min_ram: Option<i64>,
    /// Exact value
    pub min_disk: Option<String>,
    /// Smallest size in bytes
    #[param(minimum = 0)]
    pub size_min: Option<i64>,
    /// Largest size in bytes
    #[param(minimum = 0)]
    pub size_max: Option<i64>,
    /// Whether deletion is refused
    pub protected: Option<bool>,
    /// For administrators: `True` for public images, `False` for others, `None` for all
    pub is_public: Option<String>,
    /// Only what changed since then, deleted images too; ISO 8601
    #[param(rename = "changes-since")]
    pub changes_since: Option<String>,
    /// Id of the last image seen; the page starts after it
    pub marker: Option<String>,
    /// Longest page; what is above the service's maximum counts as that
    #[param(minimum = 0)]
    pub limit: Option<i64>,
    /// Attribute to sort by; `created_at` by default
    #[param(inline)]
    pub sort_key: Option<SortKey>,
    /// Direction; `desc` by default
    #[param(inline)]
    pub sort_dir: Option<SortDirection>,
}

/// Attributes that lists can be sorted by.
#[derive(ToSchema)]
#[schema(as = V1SortKey, rename_all = "snake_case")]
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
#[schema(as = V1SortDirection, rename_all = "snake_case")]
pub enum SortDirection {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}

/// Metadata of an image. `x-image-meta-property-<name>` sets an additional property; an empty value is null.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Metadata {
    /// Id of a new image; on update, the id it has
    #[param(rename = "x-image-meta-id")]
    pub id: Option<String>,
    /// Name
    #[param(rename = "x-image-meta-name", max_length = 255)]
    pub name: Option<String>,
    /// Disk format, one of those configured; needed for data
    #[param(rename = "x-image-meta-disk_format")]
    pub disk_format: Option<String>,
    /// Container format, one of those configured; needed for data
    #[param(rename = "x-image-meta-container_format")]
    pub container_format: Option<String>,
    /// Size of the data in bytes, which is held against them
    #[param(rename = "x-image-meta-size", minimum = 0)]
    pub size: Option<i64>,
    /// MD5 of the data in hex, which is held against them
    #[param(rename = "x-image-meta-checksum", max_length = 32)]
    pub checksum: Option<String>,
    /// Size of the disk in bytes
    #[param(rename = "x-image-meta-virtual_size", minimum = 0)]
    pub virtual_size: Option<i64>,
    /// Smallest disk to boot from, in GB
    #[param(rename = "x-image-meta-min_disk", minimum = 0, maximum = 2147483647)]
    pub min_disk: Option<i32>,
    /// Least memory to boot with, in MB
    #[param(rename = "x-image-meta-min_ram", minimum = 0, maximum = 2147483647)]
    pub min_ram: Option<i32>,
    /// Whether everybody sees it; needs the right to publish
    #[param(rename = "x-image-meta-is_public")]
    pub is_public: Option<bool>,
    /// Whether deletion is refused
    #[param(rename = "x-image-meta-protected")]
    pub protected: Option<bool>,
    /// Project of the owner; only administrators set another than theirs
    #[param(rename = "x-image-meta-owner", max_length = 255)]
    pub owner: Option<String>,
    /// Store for the data
    #[param(rename = "x-image-meta-store")]
    pub store: Option<String>,
    /// URL that the data stay at
    #[param(rename = "x-image-meta-location")]
    pub location: Option<String>,
    /// URL to copy the data from, in the background
    #[param(rename = "x-glance-api-copy-from")]
    pub copy_from: Option<String>,
}

/// How an update treats additional properties.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Purge {
    /// Whether properties that are not sent are removed; they are by default, unless data come along
    #[param(rename = "x-glance-registry-purge-props")]
    pub purge_props: Option<bool>,
}

/// Six attributes of an image.
#[derive(ToSchema)]
#[schema(as = V1BriefImage)]
pub struct BriefImage {
    /// Id
    pub id: String,
    /// Name
    #[schema(required)]
    pub name: Option<String>,
    /// Disk format
    #[schema(required)]
    pub disk_format: Option<String>,
    /// Container format
    #[schema(required)]
    pub container_format: Option<String>,
    /// Size in bytes
    #[schema(required)]
    pub size: Option<i64>,
    /// MD5 in hex
    #[schema(required)]
    pub checksum: Option<String>,
}

/// All attributes of an image.
#[derive(ToSchema)]
#[schema(as = V1Image)]
pub struct DetailedImage {
    /// Id
    pub id: String,
    /// Name
    #[schema(required)]
    pub name: Option<String>,
    /// State of the image
    pub status: String,
    /// Size in bytes
    #[schema(required)]
    pub size: Option<i64>,
    /// Size of the disk in bytes
    #[schema(required)]
    pub virtual_size: Option<i64>,
    /// Disk format
    #[schema(required)]
    pub disk_format: Option<String>,
    /// Container format
    #[schema(required)]
    pub container_format: Option<String>,
    /// MD5 in hex
    #[schema(required)]
    pub checksum: Option<String>,
    /// Smallest disk to boot from, in GB
    #[schema(minimum = 0)]
    pub min_disk: i32,
    /// Least memory to boot with, in MB
    #[schema(minimum = 0)]
    pub min_ram: i32,
    /// Whether everybody sees it
    pub is_public: bool,
    /// Whether deletion is refused
    pub protected: bool,
    /// Project of the owner
    #[schema(required)]
    pub owner: Option<String>,
    /// When it was made; ISO 8601 without zone, in UTC
    pub created_at: String,
    /// When it was last changed
    pub updated_at: String,
    /// When it was deleted
    #[schema(required)]
    pub deleted_at: Option<String>,
    /// Whether it is deleted
    pub deleted: bool,
    /// Additional properties
    pub properties: BTreeMap<String, Option<String>>,
}

/// A page of images in the brief form.
#[derive(ToSchema)]
#[schema(as = V1BriefImages)]
pub struct BriefImages {
    /// The page
    pub images: Vec<BriefImage>,
}

/// A page of images in the detailed form.
#[derive(ToSchema)]
#[schema(as = V1Images)]
pub struct DetailedImages {
    /// The page
    pub images: Vec<DetailedImage>,
}

/// One image.
#[derive(ToSchema)]
#[schema(as = V1OneImage)]
pub struct OneImage {
    /// The image
    pub image: DetailedImage,
}

/// A project that an image is shared with.
#[derive(ToSchema)]
#[schema(as = V1Member)]
pub struct Member {
    /// Id of the project
    pub member_id: String,
    /// Whether it may share the image on
    pub can_share: bool,
}

/// Projects that an image is shared with.
#[derive(ToSchema)]
#[schema(as = V1Members)]
pub struct Members {
    /// The members, oldest first
    pub members: Vec<Member>,
}

/// What to say of a member.
#[derive(ToSchema)]
#[schema(as = V1Membership)]
pub struct Membership {
    /// The member
    pub member: Option<Rights>,
}

/// What a member may do.
#[derive(ToSchema)]
#[schema(as = V1Rights)]
pub struct Rights {
    /// Whether it may share the image on; kept where it is not said
    pub can_share: Option<bool>,
}

/// The members that an image shall have.
#[derive(ToSchema)]
#[schema(as = V1Memberships)]
pub struct Memberships {
    /// The members
    pub memberships: Vec<Share>,
}

/// One member to be.
#[derive(ToSchema)]
#[schema(as = V1Share)]
pub struct Share {
    /// Id of the project
    #[schema(min_length = 1)]
    pub member_id: String,
    /// Whether it may share the image on
    pub can_share: Option<bool>,
}

/// An image that is shared with a project.
#[derive(ToSchema)]
#[schema(as = V1SharedImage)]
pub struct SharedImage {
    /// Id of the image
    pub image_id: String,
    /// Whether the project may share it on
    pub can_share: bool,
}

/// Images that are shared with a project.
#[derive(ToSchema)]
#[schema(as = V1SharedImages)]
pub struct SharedImages {
    /// The images
    pub shared_images: Vec<SharedImage>,
}

/// Attributes that are shown as headers `X-Image-Meta-*`.
const SHOWN: [(&str, &str); 17] = [
    ("Id", "Id"),
    ("Name", "Name; absent where null, as every attribute"),
    ("Status", "State of the image"),
    ("Size", "Size in bytes"),
    ("Virtual_size", "Size of the disk in bytes"),
    ("Disk_format", "Disk format"),
    ("Container_format", "Container format"),
    ("Checksum", "MD5 in hex"),
    ("Min_disk", "Smallest disk to boot from, in GB"),
    ("Min_ram", "Least memory to boot with, in MB"),
    ("Is_public", "`True` or `False`"),
    ("Protected", "`True` or `False`"),
    ("Owner", "Project of the owner"),
    ("Created_at", "When it was made"),
    ("Updated_at", "When it was last changed"),
    ("Deleted_at", "When it was deleted"),
    ("Deleted", "`True` or `False`"),
];

/// An image whose attributes are in headers.
fn shown(description: &str) -> ResponseBuilder {
    let text = |description: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
    };
    let response =
        ResponseBuilder::new().description(description).header("Etag", text("MD5 in hex, without quotes"));
    SHOWN.iter().fold(response, |response, (name, description)| {
        response.header(format!("X-Image-Meta-{name}"), text(description))
    })
}

/// The metadata of an image, without its data.
pub struct Head;

impl IntoResponses for Head {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = shown("The image; additional properties are headers `X-Image-Meta-Property-<name>`");
        BTreeMap::from([("200".to_owned(), response.build().into())])
    }
}

/// An image with its data.
pub struct Whole;

impl IntoResponses for Whole {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = shown("The data; additional properties are headers `X-Image-Meta-Property-<name>`");
        let content = ContentBuilder::new().build();
        BTreeMap::from([(
            "200".to_owned(),
            response.content("application/octet-stream", content).build().into(),
        )])
    }
}
