"""What programs do with openstacksdk, API v2: one connection for each caller, OS_* in the environment.

    sdk.py FILE DISK_FORMAT URL FILE_BEHIND_URL

Prints a line for each thing that is as it should be, and ends at the first that is not.
"""
import hashlib
import io
import os
import sys
import time

import openstack
from openstack import exceptions

PEOPLE = {"owner": "alpha", "reader": "alpha", "other": "beta", "third": "gamma", "admin": "admin"}


def check(what, got, expected):
    if got != expected:
        sys.exit("%s: got %r, expected %r" % (what, got, expected))
    print("ok  ", what, flush=True)


def raises(what, kind, status, call, *args, **kwargs):
    """Fails unless the call raises exactly that class of the SDK, for that status."""
    try:
        call(*args, **kwargs)
    except exceptions.SDKException as error:
        check(what, (type(error).__name__, getattr(error, "status_code", None)), (kind.__name__, status))
        return error
    sys.exit(what + ": nothing was raised")


def connect(who):
    # no file of whoever calls this, and no variable but those of the session, may say where to go
    return openstack.connect(
        load_yaml_config=False, load_envvars=False, auth_type="password", auth_url=os.environ["OS_AUTH_URL"],
        username=who, password=os.environ["OS_PASSWORD"], project_name=PEOPLE[who], user_domain_name="Default",
        project_domain_name="Default", region_name="RegionOne")


def until(what, ask):
    """Waits for an answer, for a minute at most."""
    end = time.monotonic() + 60
    while not (answer := ask()):
        if time.monotonic() > end:
            sys.exit(what + ": not within a minute")
        time.sleep(0.2)
    return answer


def imports(owner, other, admin, data, disk_format, url, remote):
    """Staging, imports and their tasks; removes what it makes."""
    raw = {"disk_format": "raw", "container_format": "bare"}

    def settled(what, id, status, stores, content=None):
        def ended():
            image = owner.image.get_image(id)
            # the SDK knows no name for the lock of an import
            return "os_glance_import_task" not in image.properties and image.status in ("active", "queued") and image
        image = until(what, ended)
        check(what + ": status, stores", (image.status, image.properties.get("stores")), (status, stores))
        if content is not None:
            check(what + ": size, checksum", (image.size, image.checksum),
                  (len(content), hashlib.md5(content).hexdigest()))
            got = owner.image.download_image(id, stream=True)
            check(what + ": bytes", hashlib.sha256(b"".join(got.iter_content(1 << 16))).hexdigest(),
                  hashlib.sha256(content).hexdigest())
        return image

    check("import methods", sorted(owner.image.get_import_info().import_methods["value"]),
          ["copy-image", "glance-direct", "glance-download", "web-download"])
    direct = owner.image.create_image("direct", data=data, use_import=True, disk_format=disk_format,
                                      container_format="bare", validate_checksum=False, os_distro="debian").id
    settled("create with use_import", direct, "active", "dev", data)

    # no data, so nothing is uploaded
    staged = owner.image.create_image("staged", disk_format=disk_format, container_format="bare")
    check("stage: before", staged.status, "queued")
    image = owner.image.stage_image(staged, data=data)
    check("stage", (image.status, image.size, image.checksum), ("uploading", len(data), None))
    raises("stage: again", exceptions.SDKException, None, owner.image.stage_image, staged.id, data=data)
    reply = owner.image.import_image(image, stores=["second", "dev"], all_stores_must_succeed=True)
    check("import: reply", (reply.status_code, reply.content), (202, b""))
    settled("import to two stores", staged.id, "active", "dev,second", data)
    tasks = list(owner.image.image_tasks(staged.id))
    check("tasks of the image", [(t.status, t.type, t.image_id, t.input["import_req"]["method"]["name"]) for t in tasks],
          [("success", "api_image_import", staged.id, "glance-direct")])
    check("tasks of the image: request", tasks[0].request_id, reply.headers["x-openstack-request-id"])

    web = owner.image.create_image("web", **raw)
    check("import: glance-direct without data", owner.image.import_image(web).status_code, 409)
    check("import: a forbidden uri",
          owner.image.import_image(web, "web-download", uri="http://127.1/x").status_code, 400)
    check("import: another project", other.image.import_image(web, "web-download", uri=url).status_code, 404)
    owner.image.import_image(web, "web-download", uri=url + "-absent", stores=["second"])
    image = settled("web-download of nothing", web.id, "queued", None)
    check("web-download of nothing: failed list", image.properties["os_glance_failed_import"], "second")
    owner.image.import_image(web, "web-download", uri=url, stores=["second"])
    settled("web-download", web.id, "active", "second", remote)
    web = owner.image.get_image(web.id)
    check("copy-image: as owner", owner.image.import_image(web, "copy-image", all_stores=True).status_code, 403)
    check("copy-image: as administrator", admin.image.import_image(web, "copy-image", all_stores=True).status_code, 202)
    # in the order in which they got the data
    settled("copy-image", web.id, "active", "second,dev", remote)

    # the other region is the same service
    far = owner.image.create_image("far", disk_format=disk_format, container_format="bare", use_import=True,
                                   import_method="glance-download", remote_region="RegionTwo", remote_image_id=direct,
                                   remote_service_interface="public")
    image = settled("glance-download", far.id, "active", "dev", data)
    check("glance-download: property", image.os_distro, "debian")

    raises("tasks: as member", exceptions.ForbiddenException, 403, lambda: list(owner.image.tasks()))
    check("tasks: as administrator", tasks[0].id in {t.id for t in admin.image.tasks(limit=2)}, True)
    check("tasks: by status", {t.status for t in admin.image.tasks(status="failure")}, {"failure"})
    task = admin.image.get_task(tasks[0].id)
    check("task", (task.status, task.result, task.owner_id), ("success", {"image_id": staged.id}, image.owner_id))

    # the older way: a task that makes an image
    wanted = {"import_from": url, "import_from_format": "raw",
              "image_properties": {"name": "by-task", "disk_format": "raw", "container_format": "bare"}}
    task = admin.image.wait_for_task(admin.image.create_task(type="import", input=wanted), interval=0.2, wait=60)
    made = admin.image.get_image(task.result["image_id"])
    check("task of type import", (made.name, made.status, made.checksum),
          ("by-task", "active", hashlib.md5(remote).hexdigest()))
    admin.image.delete_image(made.id)
    for id in (direct, staged.id, web.id, far.id):
        owner.image.delete_image(id, ignore_missing=False)


def metadefs(owner, other, admin):
    """Metadata definitions; removes what it makes, but for resource types, which nobody can."""
    ns = "Session::SDK"

    def listed(cloud, **query):
        # others came with the database
        names = [n.namespace for n in cloud.image.metadef_namespaces(**query)]
        return [name for name in names if name.startswith("Session::")]

    made = admin.image.create_metadef_namespace(namespace=ns, display_name="SDK", description="Größe 日本",
                                                visibility="public", owner=owner.current_project_id)
    check("namespace: created", (made.namespace, made.is_protected, made.owner),
          (ns, False, owner.current_project_id))
    raises("namespace: taken", exceptions.ConflictException, 409, admin.image.create_metadef_namespace, namespace=ns)
    raises("namespace: by a project", exceptions.ForbiddenException, 403, owner.image.create_metadef_namespace,
           namespace="Session::Mine")
    check("namespace: read by others", other.image.get_metadef_namespace(ns).description, "Größe 日本")
    for n in range(5):
        admin.image.create_metadef_namespace(namespace="Session::Page%d" % n)
    check("namespaces: all pages", listed(admin, limit=2, sort_key="namespace", sort_dir="asc"),
          ["Session::Page%d" % n for n in range(5)] + [ns])
    check("namespaces: those of others are not listed", listed(other), [ns])
    for n in range(5):
        admin.image.delete_metadef_namespace("Session::Page%d" % n, ignore_missing=False)

    # the SDK sends what is named here and nothing else: the rest is reset
    changed = admin.image.update_metadef_namespace(ns, visibility="public", is_protected=True)
    check("namespace: replaced", (changed.visibility, changed.is_protected), ("public", True))
    check("namespace: what was not named is reset", admin.image.get_metadef_namespace(ns).description, None)
    raises("namespace: protected", exceptions.ForbiddenException, 403, admin.image.delete_metadef_namespace, ns)
    admin.image.update_metadef_namespace(ns, visibility="public")

    made = admin.image.create_metadef_resource_type_association(ns, name="Session::Type", prefix="pre_")
    check("association: created", (made.name, made.prefix), ("Session::Type", "pre_"))
    check("associations", [(a.name, a.prefix) for a in other.image.metadef_resource_type_associations(ns)],
          [("Session::Type", "pre_")])
    check("resource types", "Session::Type" in {t.name for t in other.image.metadef_resource_types()}, True)
    check("namespaces: of a resource type", listed(other, resource_types="Session::Type"), [ns])

    made = admin.image.create_metadef_property(ns, name="size", title="Size", type="integer", default=5, minimum=1)
    check("property: created", (made.name, made.default, made.minimum), ("size", "5", 1))
    admin.image.update_metadef_property("size", ns, name="size", title="Width", type="integer")
    shown = other.image.get_metadef_property("size", ns)
    check("property: replaced", (shown.title, shown.default), ("Width", None))
    # the SDK's own call trips over a parameter of this name
    path = "/metadefs/namespaces/%s/properties/pre_size?resource_type=Session::Type" % ns
    check("property: with its prefix", other.image.get(path).json()["title"], "Width")
    check("properties", [(p.name, p.type) for p in other.image.metadef_properties(ns)], [("size", "integer")])

    entry = {"title": "A", "type": "string", "enum": ["x"]}
    made = admin.image.create_metadef_object(ns, name="thing", description="d", properties={"a": entry})
    check("object: created", (made.name, made.properties), ("thing", {"a": entry}))
    check("object: read", other.image.get_metadef_object("thing", ns).required, [])
    raises("object: taken", exceptions.ConflictException, 409, admin.image.create_metadef_object, ns, name="thing")
    check("objects", [o.name for o in other.image.metadef_objects(ns)], ["thing"])
    raises("object: by a project", exceptions.ForbiddenException, 403, owner.image.delete_metadef_object, "thing", ns)

    admin.image.get_metadef_namespace(ns).set_tags(admin.image, ["b", "a"])
    admin.image.get_metadef_namespace(ns).set_tags(admin.image, ["c"], append=True)
    admin.image.add_tag_to_metadef_namespace(ns, "d")
    admin.image.remove_tag_from_metadef_namespace(ns, "a")
    tags = other.image.get_metadef_namespace(ns).fetch_tags(other.image).tags
    check("tags", sorted(t["name"] for t in tags), ["b", "c", "d"])
    admin.image.remove_tags_from_metadef_namespace(ns)

    for kind in ("namespace", "namespaces", "object", "objects", "property", "properties", "tag", "tags",
                 "resource_type", "resource_types"):
        schema = getattr(other.image, "get_metadef_%s_schema" % kind)()
        check("schema: " + kind, bool(schema.properties), True)

    admin.image.delete_metadef_property("size", ns, ignore_missing=False)
    admin.image.delete_metadef_object("thing", ns, ignore_missing=False)
    admin.image.delete_metadef_resource_type_association("Session::Type", ns, ignore_missing=False)
    admin.image.delete_all_metadef_properties(ns)
    admin.image.delete_all_metadef_objects(ns)
    # read past the SDK, all of whose images and namespaces without tags share one list of them
    rest = set(admin.image.get("/metadefs/namespaces/" + ns).json())
    check("all deleted", rest & {"tags", "properties", "objects", "resource_type_associations"}, set())
    admin.image.delete_metadef_namespace(ns, ignore_missing=False)
    raises("namespace: gone", exceptions.NotFoundException, 404, other.image.get_metadef_namespace, ns)
    check("no namespace is left", listed(admin), [])


def main(path, disk_format, url, behind):
    with open(path, "rb") as file:
        data = file.read()
    md5, sha512 = hashlib.md5(data).hexdigest(), hashlib.sha512(data).hexdigest()
    owner, reader, other, third, admin = (connect(who) for who in ("owner", "reader", "other", "third", "admin"))
    mine = owner.current_project_id

    # ------------------------------------------------------------ create and upload
    image = owner.image.create_image(
        "from-file", filename=path, disk_format=disk_format, container_format="bare", validate_checksum=True,
        wait=True, timeout=60, tags=["sdk", "big"], min_disk=1, kind="server", visibility="private")
    big = owner.image.get_image(image.id)
    check("create: status", big.status, "active")
    check("create: size", big.size, len(data))
    check("create: checksum", big.checksum, md5)
    check("create: secure hash", (big.hash_algo, big.hash_value), ("sha512", sha512))
    check("create: owner, visibility", (big.owner_id, big.visibility), (mine, "private"))
    check("create: tags", sorted(big.tags), ["big", "sdk"])
    check("create: min_disk", big.min_disk, 1)
    check("create: property", big.properties["kind"], "server")
    check("create: hash noted by the SDK", big.properties["owner_specified.openstack.md5"], md5)
    same = owner.image.create_image("from-file", filename=path, disk_format=disk_format, container_format="bare",
                                    validate_checksum=True, wait=True, timeout=60)
    check("create again: found by its hashes, nothing uploaded", same.id, big.id)

    small = b"a small disk\n"
    image = owner.image.create_image("from-bytes", data=small, disk_format="raw", container_format="bare",
                                     validate_checksum=True, wait=True, timeout=60, tags=["sdk"])
    little = owner.image.get_image(image.id)
    check("create from bytes: size", (little.status, little.size, little.virtual_size), ("active", 13, 13))

    image = owner.image.create_image("from-stream", data=iter([small, small]), validate_checksum=False,
                                     disk_format="raw", container_format="bare", tags=["sdk"])
    streamed = owner.image.get_image(image.id)
    check("create from a stream of unknown size", (streamed.status, streamed.size), ("active", 26))

    # ------------------------------------------------------------ find, list
    check("find by name", owner.image.find_image("from-bytes").id, little.id)
    check("find by id", owner.image.find_image(little.id).name, "from-bytes")
    check("find nothing", owner.image.find_image("nobody-has-this"), None)
    raises("find nothing, and mind", exceptions.NotFoundException, None, owner.image.find_image, "nobody-has-this",
           ignore_missing=False)
    owner.image.update_image(little, is_hidden=True)
    check("hidden: not listed", little.id in {i.id for i in owner.image.images()}, False)
    check("hidden: found by name nevertheless", owner.image.find_image("from-bytes").id, little.id)
    owner.image.update_image(little, is_hidden=False)

    made = [owner.image.create_image("page-%d" % n, data=b"%d" % n, validate_checksum=False, disk_format="raw",
                                     container_format="bare", tags=["page"]).id for n in range(7)]
    listed = [i.id for i in owner.image.images(tag="page", limit=3)]
    check("list: all pages, each image once", (len(listed), set(listed)), (7, set(made)))
    check("list: newest first", listed, made[::-1])
    listed = [i.id for i in owner.image.images(tag="page", limit=2, sort_key="name", sort_dir="asc")]
    check("list: sorted over pages", listed, made)
    check("list: by name", [i.id for i in owner.image.images(name="page-3")], [made[3]])
    check("list: by several names", sorted(i.name for i in owner.image.images(name="in:page-1,page-5")),
          ["page-1", "page-5"])
    check("list: both tags", [i.id for i in owner.image.images(tag=["sdk", "big"])], [big.id])
    check("list: by visibility", [i.id for i in owner.image.images(visibility="private")], [big.id])
    check("list: as administrator", {i.id for i in admin.image.images(owner=mine)} >= set(made), True)
    check("list: as another project", [i.id for i in other.image.images()], [])

    # ------------------------------------------------------------ update
    # by id: given the image itself, the SDK would remove what it takes for properties, `stores` among them
    changed = owner.image.update_image(big.id, name="renamed", min_ram=256, colour="blue", kind="desktop")
    check("update: reply", (changed.name, changed.min_ram), ("renamed", 256))
    again = owner.image.get_image(big.id)
    check("update: stored", (again.name, again.min_ram, again.properties["colour"], again.properties["kind"]),
          ("renamed", 256, "blue", "desktop"))
    check("update: what is not named is kept", again.min_disk, 1)
    owner.image.add_tag(big.id, "a/b".replace("/", "-"))
    owner.image.remove_tag(big.id, "sdk")
    check("tags", sorted(owner.image.get_image(big.id).tags), ["a-b", "big"])
    raises("update: public", exceptions.ForbiddenException, 403, owner.image.update_image, big.id, visibility="public")
    raises("update: as reader", exceptions.ForbiddenException, 403, reader.image.update_image, big.id, name="theirs")
    raises("update: as another project", exceptions.NotFoundException, 404, other.image.update_image, big.id, name="x")

    # ------------------------------------------------------------ download
    out = io.BytesIO()
    owner.image.download_image(big.id, stream=True, output=out, chunk_size=1 << 20)
    check("download: verified stream", hashlib.sha512(out.getvalue()).hexdigest(), sha512)
    digest = hashlib.sha512()
    reply = owner.image.download_image(big.id, stream=True)
    for chunk in reply.iter_content(1 << 16):
        digest.update(chunk)
    check("download: chunks", digest.hexdigest(), sha512)
    check("download: whole", owner.image.download_image(little.id).content, small)
    # the SDK compares what it got with the hash of the image before it looks at the status
    raises("download: as reader", exceptions.SDKException, None, reader.image.download_image, big.id, stream=True,
           output=io.BytesIO())

    owner.image.deactivate_image(big.id)
    check("deactivate", owner.image.get_image(big.id).status, "deactivated")
    raises("download: deactivated", exceptions.InvalidResponse, None, owner.image.download_image, big.id)
    owner.image.reactivate_image(big.id)
    check("reactivate", owner.image.get_image(big.id).status, "active")

    # ------------------------------------------------------------ members
    theirs = other.current_project_id
    raises("members of a private image", exceptions.ForbiddenException, 403, owner.image.add_member, big.id,
           member_id=theirs)
    owner.image.update_image(big.id, visibility="shared")
    member = owner.image.add_member(big.id, member_id=theirs)
    check("member: added", (member.member_id, member.image_id, member.status), (theirs, big.id, "pending"))
    raises("member: added twice", exceptions.ConflictException, 409, owner.image.add_member, big.id, member_id=theirs)
    check("member: sees it", other.image.get_image(big.id).name, "renamed")
    check("member: not in the list", [i.id for i in other.image.images()], [])
    other.image.update_member(theirs, big.id, status="accepted")
    check("member: in the list", [i.id for i in other.image.images()], [big.id])
    check("members", [(m.member_id, m.status) for m in owner.image.members(big.id)], [(theirs, "accepted")])
    check("member: found", owner.image.find_member(theirs, big.id).status, "accepted")
    raises("member: a third cannot look", exceptions.NotFoundException, 404, third.image.get_member, theirs, big.id)
    owner.image.remove_member(theirs, big.id)
    raises("member: sees it no more", exceptions.NotFoundException, 404, other.image.get_image, big.id)

    # ------------------------------------------------------------ refusals, by class
    raises("not found", exceptions.NotFoundException, 404, owner.image.get_image, "8b2e5f0c-0000-4000-8000-000000000000")
    raises("conflict", exceptions.ConflictException, 409, owner.image.create_image, "again", id=big.id, data=small,
           validate_checksum=False, disk_format="raw", container_format="bare", allow_duplicates=True)
    raises("bad request", exceptions.BadRequestException, 400, lambda: list(owner.image.images(sort="foo:up")))
    raises("unsupported media", exceptions.HttpException, 415, owner.image.create_image, "liar", data=b"no such disk",
           validate_checksum=False, disk_format="qcow2", container_format="bare", allow_duplicates=True)
    for left in owner.image.images(name="liar"):
        owner.image.delete_image(left.id)

    # ------------------------------------------------------------ stores, import, delete
    check("stores", sorted(s.id for s in owner.image.stores()), ["dev", "second"])
    with open(behind, "rb") as file:
        imports(owner, other, admin, data, disk_format, url, file.read())
    metadefs(owner, other, admin)
    owner.image.update_image(big.id, is_protected=True)
    raises("delete: protected", exceptions.ForbiddenException, 403, owner.image.delete_image, big.id)
    owner.image.update_image(big.id, is_protected=False)
    for i in [big.id, little.id, streamed.id, *made]:
        owner.image.delete_image(i, ignore_missing=False)
    raises("delete: gone already", exceptions.NotFoundException, 404, owner.image.delete_image, big.id,
           ignore_missing=False)
    check("nothing is left", [i.id for i in admin.image.images(visibility="all")], [])


if __name__ == "__main__":
    main(*sys.argv[1:])
