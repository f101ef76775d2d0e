#!/usr/bin/env bash
# Once, before the first deployment, by somebody who may register applications: the application in Entra ID that callers of the
# API get their tokens for, with its roles. Safe to repeat. Prints API_AUDIENCE=its id. Needs az, signed in, and jq.
set -euo pipefail

: "${AZURE_ENV_NAME:?is needed: the name of the environment}"
name="framefleet $AZURE_ENV_NAME"
graph=https://graph.microsoft.com/v1.0
application=$(dirname "$0")/../entra/application.json

mapfile -t ids < <(az ad app list --filter "displayName eq '$name'" --query '[].appId' --output tsv)
if [ "${#ids[@]}" -gt 1 ]; then
  echo "framefleet: there are ${#ids[@]} applications that are called $name: remove those that are not it" >&2
  exit 1
fi
id=${ids[0]:-}
[ -n "$id" ] || id=$(az ad app create --display-name "$name" --query appId --output tsv)

change() {
  az rest --method PATCH --url "$graph/$1" --headers 'Content-Type=application/json' --body "$2"
}

# Azure's own command line may ask for tokens: that is said once there is something to ask for.
change "applications(appId='$id')" "$(jq 'del(.api.preAuthorizedApplications)' "$application")"
change "applications(appId='$id')" "$(jq --arg uri "api://$id" '. + {identifierUris: [$uri]}' "$application")"

az ad sp show --id "$id" --output none 2> /dev/null || az ad sp create --id "$id" --output none
# Who has no role gets no token.
change "servicePrincipals(appId='$id')" '{"appRoleAssignmentRequired": true}'

echo "API_AUDIENCE=$id"
if command -v azd > /dev/null; then
  azd env set API_AUDIENCE "$id"
fi
