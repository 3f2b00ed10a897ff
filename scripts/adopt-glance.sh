#!/usr/bin/env bash
# Moves from a real Glance: runs one from PyPI over PostgreSQL and SeaweedFS, fills it through its API, takes its images
# over by `vitrine adopt`, and holds what Vitrine then serves against what Glance serves.
#
#   scripts/adopt-glance.sh
#
# Environment: VITRINE (a binary; default: the debug build), KEEP_LOGS (a directory for the logs of a failed run).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

unset DATABASE_URL VITRINE_CONFIG GLANCE_DATABASE_URL "${!VITRINE__@}" "${!AWS_@}" "${!OS_@}"
pinned glance gunicorn
python=.venv/glance/bin/python
build

# ---------------------------------------------------------------- PostgreSQL and S3

# as backing() has it; only its PostgreSQL is used
backing cluster
cluster=$(sed -n "s/^DATABASE_URL=//p" "$work/cluster.env" | tr -d "'\"")
database() {
  printf '%s/%s' "${cluster%/*}" "$1"
}
"$python" - "$cluster" glance adopted <<'PY'
import sys
import psycopg2

connection = psycopg2.connect(sys.argv[1])
connection.autocommit = True
for name in sys.argv[2:]:
    connection.cursor().execute(f"CREATE DATABASE {name}")
PY
seaweedfs
s3=$AWS_ENDPOINT_URL_S3 access=$AWS_ACCESS_KEY_ID secret=$AWS_SECRET_ACCESS_KEY
unset "${!AWS_@}"

# ---------------------------------------------------------------- Glance

read -r glance_port api ops < <(free_ports 3)
glance=http://127.0.0.1:$glance_port
mkdir "$work/glance" "$work/staging" "$work/tasks"
store() {
  cat <<CONF
[$1]
s3_store_host = $s3
s3_store_region_name = us-east-1
s3_store_access_key = $access
s3_store_secret_key = $secret
s3_store_bucket = glance-$1
s3_store_create_bucket_on_put = true
s3_store_bucket_url_format = path
CONF
}
cat >"$work/glance/glance-api.conf" <<CONF
[DEFAULT]
enabled_backends = fast:s3, slow:s3
worker_self_reference_url = $glance
[glance_store]
default_backend = fast
$(store fast)
$(store slow)
[os_glance_staging_store]
filesystem_store_datadir = $work/staging
[os_glance_tasks_store]
filesystem_store_datadir = $work/tasks
[task]
work_dir = $work/tasks
[oslo_concurrency]
lock_path = $work/tasks
[database]
connection = postgresql+psycopg2://$(database glance | sed 's|^[a-z]*://||')
[paste_deploy]
flavor = headers
config_file = $work/glance/paste.ini
CONF
# the pipeline of Keystone without Keystone: who calls is said by headers, as with `identity.mode = "header"`
cat >"$work/glance/paste.ini" <<'CONF'
[composite:glance-api-headers]
paste.composite_factory = glance.api:root_app_factory
/: pipeline
[composite:pipeline]
paste.composite_factory = glance.api:pipeline_factory
headers = versionnegotiation context versions
default = versionnegotiation context versions
[composite:versions]
paste.composite_factory = glance.api:root_app_factory
/: apiversions
/v2: apiv2app
[app:apiversions]
paste.app_factory = glance.api.versions:create_resource
[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory
[filter:versionnegotiation]
paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory
CONF
manage() {
  .venv/glance/bin/glance-manage --config-file "$work/glance/glance-api.conf" "$@" >>"$work/manage.log" 2>&1 || {
    tail -n 40 "$work/manage.log" >&2
    die "glance-manage $* failed"
  }
}
manage db sync
manage db load_metadefs --path "$PWD/.venv/glance/etc/glance/metadefs"
OS_GLANCE_CONFIG_DIR=$work/glance start glance.log .venv/glance/bin/gunicorn --worker-class gthread --workers 1 \
  --threads 8 --timeout 120 --no-control-socket --bind "127.0.0.1:$glance_port" glance.wsgi.api:application
await Glance 120 "${pids[-1]}" glance.log answers "$glance/"
glance_pid=${pids[-1]}

"$python" scripts/adopt/glance.py fill "$glance" "$(database glance)" "$work/secret"

# ---------------------------------------------------------------- Vitrine

cat >"$work/vitrine.toml" <<CONF
default_store = "fast"
[server]
bind = "127.0.0.1:$api"
ops_bind = "127.0.0.1:$ops"
drain_timeout = "1s"
[database]
url = "$(database adopted)"
[identity]
mode = "header"
[identity.header]
trusted_networks = ["127.0.0.0/8"]
CONF
for name in fast slow; do
  cat >>"$work/vitrine.toml" <<CONF
[stores.$name]
endpoint = "$s3"
path_style = true
region = "us-east-1"
bucket = "glance-$name"
access_key = "$access"
secret_key = "$secret"
CONF
done
export VITRINE_CONFIG=$work/vitrine.toml
"$vitrine" migrate >"$work/migrate.log"

# adopt NAME MEMBER=COUNT... : a run with the arguments of $arguments, whose summary has these counts
adopt() {
  local name=$1
  shift
  "$vitrine" adopt --from "$(database glance)" "${arguments[@]}" >"$work/$name.out" 2>"$work/$name.log" || {
    cat "$work/$name.out" "$work/$name.log" >&2
    die "$name: something was left out"
  }
  if grep -qF -f "$work/secret" "$work/$name.out" "$work/$name.log"; then
    die "$name: a secret was printed"
  fi
  printf '%s: %s\n' "$name" "$(tail -n 1 "$work/$name.out")"
  "$python" scripts/adopt/glance.py counts "$work/$name.out" "$@"
}
images=$("$python" scripts/adopt/glance.py count "$(database glance)")
arguments=(--verify hash)
adopt "dry run" applied=0 images="$images" left_out=0 known=0
arguments=(--apply --verify hash)
adopt apply applied=1 images="$images" left_out=0 known=0
adopt "apply again" applied=1 images="$images" left_out=0 known="$images" adopted=0
"$python" scripts/adopt/glance.py change "$glance"
arguments=(--verify hash)
adopt "dry run later" applied=0 images="$images" left_out=0 changed=0 known=$((images - 2)) refreshed=2 objects=1
arguments=(--apply --verify hash)
adopt "apply later" applied=1 images="$images" left_out=0 changed=0 known=$((images - 2)) refreshed=2 objects=1
adopt "last run" applied=1 images="$images" left_out=0 changed=0 known="$images" refreshed=0

start vitrine.log "$vitrine" serve
await Vitrine 60 "${pids[-1]}" vitrine.log answers "http://127.0.0.1:$ops/readyz"
"$python" scripts/adopt/glance.py compare "$glance" "http://127.0.0.1:$api" "$(database glance)" "$(database adopted)"
"$vitrine" scrub >"$work/scrub.out" 2>"$work/scrub.log" || {
  cat "$work/scrub.out" >&2
  die "the scrub finds fault"
}
kill "$glance_pid"
"$python" scripts/adopt/glance.py live "http://127.0.0.1:$api"
"$vitrine" scrub >"$work/scrub.out" 2>>"$work/scrub.log" || die "the scrub finds fault after the change"
grep -rqF -f "$work/secret" "$work/vitrine.log" && die "a secret was logged"
echo "every image of Glance is served by Vitrine as it was"
