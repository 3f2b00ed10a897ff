"""Fills a Glance, and holds a service that took its images over against it; see scripts/adopt-glance.sh.

    glance.py fill GLANCE_URL GLANCE_DATABASE SECRET_FILE
    glance.py change GLANCE_URL
    glance.py count GLANCE_DATABASE
    glance.py counts FILE MEMBER=COUNT...
    glance.py compare GLANCE_URL VITRINE_URL GLANCE_DATABASE VITRINE_DATABASE
    glance.py live VITRINE_URL
"""

import hashlib
import json
import sys
import time

import psycopg2
import requests

MIB = 1 << 20
CALLERS = {
    "admin": ("ops", "admin,member,reader"),
    "alpha": ("alpha", "member,reader"),
    "beta": ("beta", "member,reader"),
    "gamma": ("gamma", "member,reader"),
}
# an image with a location as Glance wrote it until 2026; a secret may hold slashes
OLD = "old location"
# an image that is given data after a first run
LATER = "queued at first"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYcanary"


class Service:
    """A service that believes its callers' headers."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, caller, method, path, expected=None, **request):
        project, roles = CALLERS[caller]
        headers = {
            "X-Identity-Status": "Confirmed",
            "X-User-Id": f"{caller}-user",
            "X-Project-Id": project,
            "X-Roles": roles,
            **request.pop("headers", {}),
        }
        answer = self.session.request(method, self.url + path, headers=headers, timeout=300, **request)
        if expected is not None and answer.status_code != expected:
            sys.exit(f"{method} {path} as {caller}: {answer.status_code} instead of {expected}: {answer.text[:500]}")
        return answer

    def create(self, caller, **document):
        document = {"disk_format": "raw", "container_format": "bare", **document}
        return self.ask(caller, "POST", "/v2/images", 201, json=document).json()["id"]

    def send(self, caller, image, data, to="file"):
        octets = {"Content-Type": "application/octet-stream"}
        self.ask(caller, "PUT", f"/v2/images/{image}/{to}", 204, data=data, headers=octets)

    def active(self, caller, data, **document):
        image = self.create(caller, **document)
        self.send(caller, image, data)
        return image


def content(size, seed):
    """Bytes that look like nothing in particular."""
    block = hashlib.shake_256(str(seed).encode()).digest(min(size, MIB))
    return (block * (size // MIB + 1))[:size]


def fill(url, database, secret_file):
    glance = Service(url)
    glance.active("admin", b"", name="empty", visibility="public")
    glance.active("alpha", b"x", name="one byte", visibility="private")
    eight = glance.active(
        "alpha", content(8 * MIB, 1), name="eight", visibility="shared", tags=["zeta", "alpha", "ütf"],
        os_distro="debian", hw_disk_bus="virtio", description="Größe, „Zitat“ & <Zeichen>", min_ram=512,
    )
    for member in ("beta", "gamma"):
        glance.ask("alpha", "POST", f"/v2/images/{eight}/members", 200, json={"member": member})
    glance.ask("beta", "PUT", f"/v2/images/{eight}/members/beta", 200, json={"status": "accepted"})
    # above the 100 MB from which the store of Glance sends parts
    glance.active("alpha", content(120 * MIB, 2), name="big", visibility="community", min_disk=2)
    glance.active("alpha", content(3000, 3), name="hidden", visibility="private", os_hidden=True)
    glance.active("alpha", content(3001, 4), name="protected", protected=True, visibility="private")
    withheld = glance.active("alpha", content(3002, 5), name="withheld", visibility="shared")
    glance.ask("admin", "POST", f"/v2/images/{withheld}/actions/deactivate", 204)
    glance.create("alpha", name="queued", visibility="private", tags=["later"], os_version="1")
    gone = glance.active("alpha", content(3003, 6), name="gone", visibility="private", tags=["x"], a="b")
    glance.ask("alpha", "DELETE", f"/v2/images/{gone}", 204)
    many = {f"property_{n}": str(n) for n in range(60)}
    changed = glance.active("alpha", content(3004, 7), name="changed", visibility="private", **many)
    patch = [
        {"op": "remove", "path": "/property_3"},
        {"op": "replace", "path": "/property_4", "value": "four"},
        {"op": "replace", "path": "/tags", "value": ["new"]},
    ]
    media = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    glance.ask("alpha", "PATCH", f"/v2/images/{changed}", 200, data=json.dumps(patch), headers=media)
    glance.create("alpha", name=LATER, visibility="private", tags=["later"])
    twice = glance.active("alpha", content(3007, 11), name="named twice", visibility="private")
    old = glance.active("alpha", content(3005, 8), name=OLD, visibility="private")
    nameless = glance.active("beta", content(3006, 9), visibility="private")
    several = glance.create("alpha", name="in two stores", visibility="private")
    glance.send("alpha", several, content(4 * MIB, 10), to="stage")
    order = {"method": {"name": "glance-direct"}, "stores": ["fast", "slow"]}
    glance.ask("alpha", "POST", f"/v2/images/{several}/import", 202, json=order)
    settle(glance, several)
    namespace = {
        "namespace": "Acme::Hardware", "display_name": "Acme", "description": "Racks", "visibility": "public",
        "protected": True, "properties": {"racks": {"title": "Racks", "type": "integer", "default": 2}},
        "objects": [{"name": "unit", "required": ["height"],
                     "properties": {"height": {"title": "Height", "type": "integer", "minimum": 1}}}],
        "tags": [{"name": "blue"}],
        "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "acme_"}],
    }
    glance.ask("admin", "POST", "/v2/metadefs/namespaces", 201, json=namespace)
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        credentials = f"s3://AKIACANARY:{SECRET}@"
        cursor.execute(
            "UPDATE image_locations SET value = replace(value, 's3://', %s) WHERE image_id = %s", (credentials, old)
        )
        assert cursor.rowcount == 1
        # its API adds a location that differs by its metadata alone, where it shows locations, which this one does not
        cursor.execute(
            "INSERT INTO image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted)"
            " SELECT image_id, value, %s, status, created_at, updated_at, deleted FROM image_locations"
            " WHERE image_id = %s", (json.dumps({"store": "fast", "again": "yes"}), twice)
        )
        assert cursor.rowcount == 1
    with open(secret_file, "w") as file:
        file.write(SECRET + "\n")
    assert nameless


def change(url):
    """What happens in Glance after a first run: members, who change nothing in the record of their image, and data."""
    glance = Service(url)
    by_name = {image["name"]: image["id"] for image in listed(glance, "alpha", "")}
    members = f"/v2/images/{by_name['eight']}/members"
    glance.ask("alpha", "DELETE", f"{members}/beta", 204)
    glance.ask("alpha", "POST", members, 200, json={"member": "ops"})
    glance.ask("gamma", "PUT", f"{members}/gamma", 200, json={"status": "accepted"})
    glance.send("alpha", by_name[LATER], content(3008, 12))


def settle(glance, image):
    """Waits until an import has ended."""
    for _ in range(600):
        shown = glance.ask("alpha", "GET", f"/v2/images/{image}", 200).json()
        if shown["status"] == "active" and not shown.get("os_glance_importing_to_stores"):
            return
        time.sleep(0.1)
    sys.exit(f"the import did not end: {shown}")


def rows(database, query):
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def counts(file, *expected):
    with open(file) as lines:
        summary = json.loads(lines.readlines()[-1])["summary"]
    for member, count in (pair.split("=") for pair in expected):
        if int(summary[member]) != int(count):
            sys.exit(f"{member} is {summary[member]} instead of {count}: {summary}")


def listed(service, caller, query):
    images, path = [], f"/v2/images?limit=5&{query}"
    while path:
        page = service.ask(caller, "GET", path, 200).json()
        images += page["images"]
        path = page.get("next")
    return images


def plain(image):
    """An image with what Glance gives in no particular order in one: tags, and stores of one weight, each once."""
    stores = sorted(set(image["stores"].split(","))) if "stores" in image else None
    shown = {**image, "tags": sorted(image["tags"]), "stores": stores}
    if image["name"] == OLD:
        # Glance writes the location anew when it reads it, and that counts as a change of the image
        del shown["updated_at"]
    return shown


def same(what, ours, theirs):
    if ours == theirs:
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        sys.exit(f"{what}: " + "; ".join(f"{n}: {ours.get(n)!r} was {theirs.get(n)!r}" for n in names))
    sys.exit(f"{what}: {ours!r} was {theirs!r}")


def compare(glance_url, vitrine_url, glance_database, vitrine_database):
    glance, vitrine = Service(glance_url), Service(vitrine_url)
    shown = 0
    for caller in CALLERS:
        for query in ("", "visibility=all", "os_hidden=true", "member_status=all", "visibility=community", "tag=alpha",
                      "name=eight", "sort=id:desc&visibility=all"):
            theirs, ours = listed(glance, caller, query), listed(vitrine, caller, query)
            order = [image["id"] for image in theirs]
            same(f"list of {caller} with {query!r}", [image["id"] for image in ours], order)
            for mine, other in zip(ours, theirs):
                same(f"{mine['id']} in the list of {caller}", plain(mine), plain(other))
        for (image, status) in rows(glance_database, "SELECT id, status FROM images ORDER BY id"):
            shown += image_of(glance, vitrine, caller, image)
    taken = rows(glance_database, "SELECT id FROM images WHERE deleted")
    assert taken
    for (image,) in taken:
        vitrine.ask("admin", "POST", "/v2/images", 409, json={"id": image})
    definitions(glance_database, vitrine_database)
    print(f"{shown} images were shown to {len(CALLERS)} callers and downloaded, each as Glance does it")


def image_of(glance, vitrine, caller, image):
    """Holds one image against that of Glance; 1 if the caller sees it."""
    path = f"/v2/images/{image}"
    theirs, ours = (service.ask(caller, "GET", path) for service in (glance, vitrine))
    same(f"status of {path} for {caller}", ours.status_code, theirs.status_code)
    if theirs.status_code != 200:
        return 0
    name = f"{theirs.json().get('name')} ({image}) as {caller}"
    same(name, plain(ours.json()), plain(theirs.json()))
    members = [service.ask(caller, "GET", f"{path}/members") for service in (glance, vitrine)]
    same(f"members of {name}", members[1].status_code, members[0].status_code)
    if members[0].status_code == 200:
        same(f"members of {name}", *(sorted(answer.json()["members"], key=lambda m: m["member_id"])
                                     for answer in reversed(members)))
    theirs, ours = (service.ask(caller, "GET", f"{path}/file") for service in (glance, vitrine))
    same(f"status of the data of {name}", ours.status_code, theirs.status_code)
    if theirs.status_code == 200:
        same(f"data of {name}", hashlib.sha256(ours.content).hexdigest(), hashlib.sha256(theirs.content).hexdigest())
        same(f"Content-MD5 of {name}", ours.headers.get("Content-MD5"), theirs.headers.get("Content-MD5"))
    if theirs.status_code == 200 and len(theirs.content) > 9:
        last = len(theirs.content) - 1
        for first, end in ((0, 4), (last - 6, last), (5, last)):
            part = vitrine.ask(caller, "GET", f"{path}/file", 206, headers={"Range": f"bytes={first}-{end}"})
            assert part.content == theirs.content[first:end + 1], f"bytes {first}-{end} of {name}"
    return 1


def definitions(glance_database, vitrine_database):
    """Names of everything in the catalogue of metadata definitions, and what the namespaces say."""
    fields = "namespace, display_name, description, visibility, protected, owner"
    same("namespaces", *(sorted(rows(database, f"SELECT {fields} FROM metadef_namespaces"), key=str)
                         for database in (vitrine_database, glance_database)))
    for table in ("objects", "properties", "tags"):
        query = f"SELECT n.namespace, c.name FROM metadef_{table} c JOIN metadef_namespaces n ON n.id = c.namespace_id"
        same(f"metadef {table}", *(sorted(rows(database, query)) for database in (vitrine_database, glance_database)))


def live(url):
    """Images that were taken over are images like others: they change, are copied and go."""
    vitrine = Service(url)
    by_name = {image["name"]: image["id"] for image in listed(vitrine, "alpha", "")}
    media = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    patch = [{"op": "replace", "path": "/protected", "value": False}]
    protected = f"/v2/images/{by_name['protected']}"
    vitrine.ask("alpha", "DELETE", protected, 403)
    vitrine.ask("alpha", "PATCH", protected, 200, data=json.dumps(patch), headers=media)
    vitrine.send("alpha", by_name["queued"], b"here at last")
    copied = by_name["big"]
    order = {"method": {"name": "copy-image"}, "stores": ["slow"]}
    vitrine.ask("admin", "POST", f"/v2/images/{copied}/import", 202, json=order)
    settle(vitrine, copied)
    vitrine.ask("admin", "DELETE", f"/v2/stores/fast/{copied}", 204)
    data = vitrine.ask("alpha", "GET", f"/v2/images/{copied}/file", 200).content
    assert data == content(120 * MIB, 2), "the copy is what it was made of"
    for name in ("protected", "eight", "in two stores"):
        vitrine.ask("alpha", "DELETE", f"/v2/images/{by_name[name]}", 204)
        vitrine.ask("alpha", "GET", f"/v2/images/{by_name[name]}", 404)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["count", database]:
            print(rows(database, "SELECT count(*) FROM images")[0][0])
        case ["fill", *arguments]:
            fill(*arguments)
        case ["change", url]:
            change(url)
        case ["counts", *arguments]:
            counts(*arguments)
        case ["compare", *arguments]:
            compare(*arguments)
        case ["live", url]:
            live(url)
        case _:
            sys.exit(__doc__)
