#!/bin/sh
# Registers the Image service at Keystone: service, endpoints, account, roles, registered limits. Safe to repeat: what is
# there is left alone, what differs is set right, nothing is removed.
#
# Environment: OS_… of an administrator; SERVICE_NAME, REGION; PUBLIC_URL, INTERNAL_URL, ADMIN_URL (empty: left alone);
# ACCOUNT, ACCOUNT_DOMAIN, ACCOUNT_PROJECT, PROJECT_DOMAIN, ACCOUNT_ROLES (words), PASSWORD_FILE (empty: no account);
# LIMITS (words name=number).
set -eu

say() { printf '%s\n' "$*"; }

# lists are read whole before they are looked into: a list that failed must end the script and not pass for an empty one
services=$(openstack service list -f value -c ID -c Name -c Type)
service=$(printf '%s\n' "$services" | awk -v name="$SERVICE_NAME" '$2 == name && $3 == "image" { print $1; exit }')
if [ -z "$service" ]; then
  service=$(openstack service create --name "$SERVICE_NAME" --description 'Image service' -f value -c id image)
  say "service $SERVICE_NAME: created"
else
  say "service $SERVICE_NAME: there"
fi

if ! openstack region show "$REGION" >/dev/null 2>&1; then
  openstack region create "$REGION" >/dev/null
  say "region $REGION: created"
fi

endpoints=$(openstack endpoint list --service "$service" --region "$REGION" -f value -c ID -c Interface -c URL)
endpoint() {
  interface=$1 url=$2
  [ -n "$url" ] || return 0
  row=$(printf '%s\n' "$endpoints" | awk -v interface="$interface" '$2 == interface { print $1, $3; exit }')
  if [ -z "$row" ]; then
    openstack endpoint create --region "$REGION" "$service" "$interface" "$url" >/dev/null
    say "endpoint $interface: created"
  elif [ "${row#* }" != "$url" ]; then
    openstack endpoint set --url "$url" "${row%% *}"
    say "endpoint $interface: changed to $url"
  else
    say "endpoint $interface: there"
  fi
}
endpoint public "$PUBLIC_URL"
endpoint internal "$INTERNAL_URL"
endpoint admin "$ADMIN_URL"

# Whether the account can log in with the password of the file. The variables of the administrator are set aside.
can_log_in() {
  env -u OS_USERNAME -u OS_USER_ID -u OS_PROJECT_ID -u OS_PROJECT_DOMAIN_ID -u OS_USER_DOMAIN_ID -u OS_SYSTEM_SCOPE \
    -u OS_DOMAIN_ID -u OS_DOMAIN_NAME -u OS_TRUST_ID -u OS_TENANT_NAME -u OS_TENANT_ID -u OS_DEFAULT_DOMAIN -u OS_CLOUD \
    -u OS_TOKEN -u OS_AUTH_TYPE -u OS_APPLICATION_CREDENTIAL_ID -u OS_APPLICATION_CREDENTIAL_SECRET \
    OS_USERNAME="$ACCOUNT" OS_PASSWORD="$password" OS_USER_DOMAIN_NAME="$ACCOUNT_DOMAIN" \
    OS_PROJECT_NAME="$ACCOUNT_PROJECT" OS_PROJECT_DOMAIN_NAME="$PROJECT_DOMAIN" \
    openstack token issue >/dev/null 2>&1
}

if [ -n "$PASSWORD_FILE" ]; then
  password=$(cat "$PASSWORD_FILE")
  if ! openstack project show --domain "$PROJECT_DOMAIN" "$ACCOUNT_PROJECT" >/dev/null 2>&1; then
    openstack project create --domain "$PROJECT_DOMAIN" "$ACCOUNT_PROJECT" >/dev/null
    say "project $ACCOUNT_PROJECT: created"
  fi
  if openstack user show --domain "$ACCOUNT_DOMAIN" "$ACCOUNT" >/dev/null 2>&1; then
    new=
  else
    openstack user create --domain "$ACCOUNT_DOMAIN" --password="$password" "$ACCOUNT" >/dev/null
    new=yes
    say "user $ACCOUNT: created"
  fi
  for role in $ACCOUNT_ROLES; do
    # a PUT: repeating it changes nothing
    add_role() {
      openstack role add --user "$ACCOUNT" --user-domain "$ACCOUNT_DOMAIN" --project "$ACCOUNT_PROJECT" \
        --project-domain "$PROJECT_DOMAIN" "$role"
    }
    add_role 2>/dev/null || { openstack role show "$role" >/dev/null 2>&1 || openstack role create "$role" >/dev/null; add_role; }
  done
  # a password is only set when it differs, as setting it ends every session of the account
  if [ -z "$new" ] && ! can_log_in; then
    openstack user set --domain "$ACCOUNT_DOMAIN" --password="$password" "$ACCOUNT"
    say "user $ACCOUNT: password set"
  fi
  say "user $ACCOUNT: roles $ACCOUNT_ROLES"
fi

[ -n "$LIMITS" ] || exit 0
limits=$(openstack registered limit list --service "$service" --region "$REGION" -f value -c ID -c 'Resource Name' -c 'Default Limit')
for limit in $LIMITS; do
  name=${limit%%=*} value=${limit#*=}
  row=$(printf '%s\n' "$limits" | awk -v name="$name" '$2 == name { print $1, $3; exit }')
  if [ -z "$row" ]; then
    openstack registered limit create --service "$service" --region "$REGION" --default-limit "$value" "$name" >/dev/null
    say "limit $name: created"
  elif [ "${row#* }" != "$value" ]; then
    openstack registered limit set --default-limit "$value" "${row%% *}" >/dev/null
    say "limit $name: changed to $value"
  else
    say "limit $name: there"
  fi
done
