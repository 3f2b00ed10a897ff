#!/usr/bin/env bash
# Runs a real Keystone on loopback for compatibility checks; everything it keeps is thrown away when it ends.
#
#   scripts/keystone.sh VENV PORT IMAGE_URL [ENV_FILE]
#
#   VENV       directory of the virtual environment; made, and filled by pip, if it is missing
#   PORT       port on 127.0.0.1
#   IMAGE_URL  address of the image service for the catalogue, for example http://127.0.0.1:9292
#   ENV_FILE   where the variables below are written once everything is ready (default: standard output only)
#
# Stays in the foreground until it is killed. Once ready, it prints shell assignments:
#   VITRINE__IDENTITY__…   settings under which Vitrine uses this Keystone
#   OS_AUTH_URL V1_CALLERS   callers for the v1 conformance checker (--auth keystone)
#   KEYSTONE_CAST          the same for the v2 checker, as JSON (--auth keystone --cast FILE)
#   OS_USERNAME …          the administrator, for the openstack client
#
# Example:
#   scripts/keystone.sh .venv/keystone 5000 http://127.0.0.1:9292 keystone.env &
#   until [ -s keystone.env ]; do sleep 1; done
#   set -a; . ./keystone.env; set +a
#   vitrine check && vitrine serve &
#   v1.py http://127.0.0.1:9292 --auth keystone
#   printf %s "$KEYSTONE_CAST" >cast.json && v2.py http://127.0.0.1:9292 --auth keystone --cast cast.json
#
# Environment: KEYSTONE_VERSION (pip requirement, default `keystone`), TOKEN_LIFE (seconds, default 3600),
# PASSWORD (of every account; default: a new random one).
set -euo pipefail

if [ $# -lt 3 ] || [ $# -gt 4 ]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
venv=$1 port=$2 image_url=$3 env_file=${4:-}
url=http://127.0.0.1:$port/v3
password=${PASSWORD:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}

if [ ! -x "$venv/bin/keystone-manage" ] || [ ! -x "$venv/bin/gunicorn" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "${KEYSTONE_VERSION:-keystone}" gunicorn >&2
fi

dir=$(mktemp -d)
server= setup=
finish() {
    for process in $setup $server; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 0' INT TERM

cat >"$dir/keystone.conf" <<CONF
[database]
connection = sqlite:///$dir/keystone.db
[token]
provider = fernet
expiration = ${TOKEN_LIFE:-3600}
[identity]
# the passwords here protect nothing, and every command of a client logs in
password_hash_rounds = 4
[fernet_tokens]
key_repository = $dir/fernet
[credential]
key_repository = $dir/credential
[fernet_receipts]
key_repository = $dir/fernet
CONF
mkdir "$dir/fernet" "$dir/credential"
export OS_KEYSTONE_CONFIG_DIR=$dir OS_KEYSTONE_CONFIG_FILES=$dir/keystone.conf

manage() {
    "$venv/bin/keystone-manage" --config-file "$dir/keystone.conf" "$@" >>"$dir/log" 2>&1 || {
        cat "$dir/log" >&2
        exit 1
    }
}
me=(--keystone-user "$(id -un)" --keystone-group "$(id -gn)")
manage db_sync
manage fernet_setup "${me[@]}"
manage credential_setup "${me[@]}"
manage bootstrap --bootstrap-username admin --bootstrap-password "$password" --bootstrap-project-name admin \
    --bootstrap-role-name admin --bootstrap-service-name keystone --bootstrap-region-id RegionOne \
    --bootstrap-public-url "$url" --bootstrap-internal-url "$url" --bootstrap-admin-url "$url"

# Keystone reads the arguments of the process as its own, so gunicorn gets none. One worker: SQLite takes one writer.
cat >"$dir/gunicorn.py" <<CONF
wsgi_app = "keystone.wsgi.api:application"
bind = "127.0.0.1:$port"
workers = 1
threads = 8
loglevel = "warning"
CONF
GUNICORN_CMD_ARGS="--config $dir/gunicorn.py" "$venv/bin/gunicorn" >>"$dir/log" 2>&1 &
server=$!

# in the background, because bash heeds signals only between foreground commands
URL=$url PASSWORD=$password IMAGE_URL=$image_url "$venv/bin/python" - >"$dir/env" <<'PY' &
import json, os, shlex, time, urllib.request

url, password, image_url = os.environ["URL"], os.environ["PASSWORD"], os.environ["IMAGE_URL"]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(method, path, body=None, token=None, timeout=30):
    headers = {"Content-Type": "application/json"} | ({"X-Auth-Token": token} if token else {})
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url + path, data, headers, method=method)
    with opener.open(request, timeout=timeout) as answer:
        text = answer.read()
        return answer.headers, json.loads(text) if text else None


give_up = time.monotonic() + 120
while True:
    try:
        call("GET", "/", timeout=20)
        break
    except OSError:
        if time.monotonic() > give_up:
            raise SystemExit("keystone does not answer")
        time.sleep(0.5)

default = {"id": "default"}
user = {"name": "admin", "password": password, "domain": default}
scope = {"project": {"name": "admin", "domain": default}}
headers, login = call("POST", "/auth/tokens", {"auth": {
    "identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}})
token = headers["X-Subject-Token"]


def make(kind, **fields):
    return call("POST", f"/{kind}s", {kind: fields}, token)[1][kind]["id"]


roles = {role["name"]: role["id"] for role in call("GET", "/roles", token=token)[1]["roles"]}
for name in ("admin", "member", "reader", "service"):
    if name not in roles:
        roles[name] = make("role", name=name)

# who works where, and as what; admin itself was made at the start
people = {
    "glance": ("service", ["admin", "service"]),
    "owner": ("alpha", ["member"]),
    "colleague": ("alpha", ["member"]),
    "reader": ("alpha", ["reader"]),
    "owner_service": ("alpha", ["service", "member"]),
    "other": ("beta", ["member"]),
    "other_reader": ("beta", ["reader"]),
    "third": ("gamma", ["member"]),
}
projects = {name: make("project", name=name, domain_id="default")
            for name in ("service", "alpha", "beta", "gamma")}
for name, (project, held) in people.items():
    person = make("user", name=name, password=password, domain_id="default")
    for role in held:
        call("PUT", f"/projects/{projects[project]}/users/{person}/roles/{roles[role]}", token=token)

# one service stands for that of both regions, so that images can be imported from the other one
make("region", id="RegionTwo")
image = make("service", name="glance", type="image")
for region in ("RegionOne", "RegionTwo"):
    for interface in ("public", "internal", "admin"):
        make("endpoint", service_id=image, interface=interface, url=image_url, region_id=region)

people["admin"] = ("admin", ["admin"])
callers = {name: {"user": name, "password": password, "project": people[name][0], "domain": "Default"}
           for name in ("owner", "other", "third", "admin")}
parts = {"admin": "admin", "owner": "owner", "colleague": "colleague", "reader": "reader", "alien": "other",
         "alien_reader": "other_reader", "third": "third", "service": "glance", "owner_service": "owner_service"}
cast = {part: {"username": name, "password": password, "project": people[name][0], "domain": "Default"}
        for part, name in parts.items()}
cast["system_admin"] = {"username": "admin", "password": password, "system": True}
keystone = "VITRINE__IDENTITY__KEYSTONE__"
for name, value in {
    "VITRINE__IDENTITY__MODE": "keystone",
    keystone + "AUTH_URL": url,
    keystone + "USERNAME": "glance",
    keystone + "PASSWORD": password,
    keystone + "PROJECT_NAME": "service",
    "OS_AUTH_URL": url,
    "OS_USERNAME": "admin",
    "OS_PASSWORD": password,
    "OS_PROJECT_NAME": "admin",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_NAME": "Default",
    "OS_REGION_NAME": "RegionOne",
    "OS_IDENTITY_API_VERSION": "3",
    "V1_CALLERS": json.dumps(callers),
    "KEYSTONE_CAST": json.dumps({"auth_url": url, "callers": cast}),
}.items():
    print(f"{name}={shlex.quote(value)}")
PY
setup=$!
wait "$setup" || {
    cat "$dir/log" >&2
    exit 1
}
setup=

cat "$dir/env"
if [ -n "$env_file" ]; then
    (umask 077 && cp "$dir/env" "$env_file.part" && mv "$env_file.part" "$env_file")
fi
wait "$server"
