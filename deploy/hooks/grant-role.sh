#!/usr/bin/env bash
# Gives somebody a role of the API. Arguments: the object id of a user, a group, an application's service principal or a
# managed identity; and Job.Read, Job.Submit or Fleet.Admin. Safe to repeat. Needs az, signed in, jq, and API_AUDIENCE.
set -euo pipefail

: "${API_AUDIENCE:?is needed: what app-registration.sh has printed}"
who=${1:?whom? the object id}
role=${2:?which role?}
graph=https://graph.microsoft.com/v1.0

role_id=$(jq -er --arg role "$role" '.appRoles[] | select(.value == $role) | .id' \
  "$(dirname "$0")/../entra/application.json") || {
  echo "framefleet: there is no role $role" >&2
  exit 1
}
api=$(az ad sp show --id "$API_AUDIENCE" --query id --output tsv)
has=$(az rest --method GET --url "$graph/servicePrincipals/$api/appRoleAssignedTo?\$top=999" \
  --query "length(value[?principalId=='$who' && appRoleId=='$role_id'])" --output tsv)
if [ "$has" -gt 0 ]; then
  echo "$who has $role already"
  exit 0
fi
az rest --method POST --url "$graph/servicePrincipals/$api/appRoleAssignedTo" \
  --headers 'Content-Type=application/json' --output none \
  --body "$(jq -n --arg who "$who" --arg api "$api" --arg role "$role_id" \
    '{principalId: $who, resourceId: $api, appRoleId: $role}')"
echo "$who has $role"
