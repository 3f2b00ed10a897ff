# A session of python-openstackclient with metadata definitions. To be sourced by client-session.sh.
# shellcheck shell=bash

. scripts/clients/with_openstack.sh

# md WHO ARGUMENT... : `openstack image metadef …`, which must succeed
md() {
  said "$1" image metadef "${@:2}"
}

# unwelcome WORDS WHO ARGUMENT... : one that must fail and say why
unwelcome() {
  refused "$1" "$2" image metadef "${@:3}"
}

# namespaces : of the list that was printed, in its order, those of sessions
namespaces() {
  json '[n["namespace"] for n in d if n["namespace"].startswith("Session::")]'
}

ns=Session::Openstack
at=/v2/metadefs/namespaces/$ns
administrator=$(token admin)

# ---------------------------------------------------------------- namespaces

md admin namespace create "$ns" --display-name 'A session' --description 'Größe 日本' --public -f json
is 'namespace create' "$(json 'd["namespace"], d["display_name"], d["description"], d["visibility"], d["protected"]')" \
  "('$ns', 'A session', 'Größe 日本', 'public', False)"
md admin namespace create Session::Private --private --protected -f json
is 'namespace create --protected' "$(json 'd["visibility"], d["protected"]')" "('private', True)"
unwelcome '409' admin namespace create "$ns"
unwelcome '403' owner namespace create Session::Mine
md owner namespace show "$ns" -f json
is 'namespace show' "$(json 'd["display_name"], d["visibility"]')" "('A session', 'public')"
unwelcome '404' owner namespace show Session::Private
md admin namespace list -f json
is 'namespace list' "$(namespaces)" "['Session::Private', '$ns']"
md owner namespace list -f json
is 'namespace list of a project' "$(namespaces)" "['$ns']"
md admin namespace list --visibility private -f json
is 'namespace list --visibility' "$(namespaces)" "['Session::Private']"
# a set replaces the document: what it does not name is reset
md admin namespace set "$ns" --display-name 'Another name' --public --tag one --tag 'two words'
is 'namespace set' "$(seen "$at" 'd["display_name"], d["visibility"], d.get("description")')" \
  "('Another name', 'public', None)"
is 'namespace set --tag' "$(seen "$at/tags" 'sorted(t["name"] for t in d["tags"])')" "['one', 'two words']"
unwelcome 'failed to set' admin namespace set "$ns" --public --tag one
unwelcome '403' owner namespace set "$ns" --description mine
md admin namespace unset "$ns" --tag one
is 'namespace unset --tag' "$(seen "$at/tags" 'd["tags"]')" "[{'name': 'two words'}]"
unwelcome 'failed to unset' admin namespace unset "$ns" --tag one
md admin namespace unset "$ns" --all-tags
is 'namespace unset --all-tags' "$(seen "$at/tags" 'd["tags"]')" '[]'

# ---------------------------------------------------------------- resource types

md admin resource type association create "$ns" Session::Cluster --properties-target image -f json
is 'association create' "$(json 'd["name"], d["properties_target"]')" "('Session::Cluster', 'image')"
unwelcome '409' admin resource type association create "$ns" Session::Cluster
unwelcome '403' owner resource type association create "$ns" Session::Other
md owner resource type list -f json
is 'resource type list' "$(json '"Session::Cluster" in [t["Name"] for t in d]')" True
md owner resource type association list "$ns" -f json
is 'association list' "$(json '[t["Name"] for t in d]')" "['Session::Cluster']"
md admin namespace list --resource-types Session::Cluster,Session::None -f json
is 'namespace list --resource-types' "$(namespaces)" "['$ns']"
md admin namespace set "$ns" --public --protected
unwelcome '403' admin resource type association delete "$ns" Session::Cluster
# the client takes the protection away for a moment
md admin resource type association delete "$ns" Session::Cluster --force
is 'association delete --force' "$(seen "$at" 'd["protected"], d.get("resource_type_associations")')" '(True, None)'
md admin namespace set "$ns" --public --unprotected
unwelcome 'failed to delete' admin resource type association delete "$ns" Session::Cluster
md admin resource type association create "$ns" Session::Cluster
unwelcome 'failed to delete' owner resource type association delete "$ns" Session::Cluster
md admin resource type association delete "$ns" Session::Cluster
is 'association delete' "$(seen "$at/resource_types" 'd["resource_type_associations"]')" '[]'

# ---------------------------------------------------------------- properties

md admin property create "$ns" --name OS::size --title Size --type integer \
  --schema '{"default": 5, "minimum": 1, "maximum": 9, "enum": ["a"]}' -f json
is 'property create' "$(json 'd["name"], d["title"], d["type"], d["default"], d["minimum"]')" \
  "('OS::size', 'Size', 'integer', '5', 1)"
md admin property create "$ns" --name flag --title Flag --type boolean --schema '{}' -f json
unwelcome '409' admin property create "$ns" --name flag --title Flag --type boolean --schema '{}'
unwelcome '400' admin property create "$ns" --name junk --title Junk --type float --schema '{}'
unwelcome '403' owner property create "$ns" --name mine --title Mine --type string --schema '{}'
md owner property list "$ns" -f json
is 'property list' "$(json 'sorted((p["name"], p["title"], p["type"]) for p in d)')" \
  "[('OS::size', 'Size', 'integer'), ('flag', 'Flag', 'boolean')]"
md owner property show "$ns" OS::size -f json
is 'property show' "$(json 'd["title"], d["maximum"], d["enum"]')" "('Size', 9, ['a'])"
md admin property set "$ns" OS::size --title 'New size' --schema '{"maximum": 20}'
is 'property set' "$(seen "$at/properties/OS::size" 'd["title"], d["maximum"], d["minimum"], d["default"]')" \
  "('New size', 20, 1, '5')"
unwelcome '403' owner property set "$ns" OS::size --title mine
unwelcome 'failed to delete' owner property delete "$ns" flag
md admin property delete "$ns" flag
unwelcome 'failed to delete' admin property delete "$ns" flag
is 'property delete' "$(seen "$at/properties" 'list(d["properties"])')" "['OS::size']"
md admin property delete "$ns"
is 'property delete: all' "$(seen "$at/properties" 'd')" "{'properties': {}}"

# ---------------------------------------------------------------- objects

md admin object create --namespace "$ns" limits -f json
is 'object create' "$(json 'd["name"], d["namespace_name"]')" "('limits', '$ns')"
unwelcome '409' admin object create --namespace "$ns" limits
unwelcome '403' owner object create --namespace "$ns" mine
for name in one two; do
  md admin object create --namespace "$ns" "$name"
done
# the client cannot give an object properties
curl --noproxy '*' --silent --fail --output /dev/null --max-time 20 --request PUT "$front$at/objects/limits" \
  --header "X-Auth-Token: $administrator" --data \
  '{"name": "limits", "description": "Some", "properties": {"a": {"title": "A", "type": "string"}}}'
md owner object show "$ns" limits -f json
is 'object show' "$(json 'd["description"], d["properties"]["a"]["title"], d["required"]')" "('Some', 'A', [])"
md owner object property show "$ns" limits a -f json
is 'object property show' "$(json 'd["name"], d["title"], d["type"]')" "('a', 'A', 'string')"
unwelcome 'not found' owner object property show "$ns" limits none
md owner object list "$ns" -f json
is 'object list' "$(json '[(o["name"], o["description"]) for o in d]')" \
  "[('limits', 'Some'), ('one', None), ('two', None)]"
md admin object update "$ns" limits --name bounds
is 'object update: renamed, and reset' \
  "$(seen "$at/objects/bounds" 'd["name"], d.get("description"), d["properties"]') $(seen "$at/objects/limits" d)" \
  "('bounds', None, {}) 404"
unwelcome '409' admin object update "$ns" bounds --name one
unwelcome '403' owner object update "$ns" bounds --name mine
unwelcome 'failed to delete' owner object delete "$ns" one
md admin object delete "$ns" one bounds
unwelcome 'failed to delete' admin object delete "$ns" one
is 'object delete' "$(seen "$at/objects" '[o["name"] for o in d["objects"]]')" "['two']"
md admin object delete "$ns"
is 'object delete: all' "$(seen "$at/objects" 'd["objects"]')" '[]'

# ---------------------------------------------------------------- the end

unwelcome 'failed to delete' owner namespace delete "$ns"
unwelcome 'failed to delete' admin namespace delete "$ns" Session::Private
is 'namespace delete: what is protected stays' "$(seen /v2/metadefs/namespaces/Session::Private 'd["protected"]') $(seen "$at" d)" \
  'True 404'
md admin namespace set Session::Private --unprotected
md admin namespace delete Session::Private
no_namespace_is_left
