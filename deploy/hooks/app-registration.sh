#!/usr/bin/env bash
# Once, before the first deployment, by somebody who may register applications: the application in Entra ID that callers of the
# API get their tokens for, with its roles. Safe to repeat, with API_AUDIENCE set to what it printed the first time (azd keeps that).
# Prints API_AUDIENCE=its id. Needs az, signed in, and jq.
set -euo pipefail

: "${AZURE_ENV_NAME:?is needed: the name of the environment}"
name="framefleet $AZURE_ENV_NAME"
graph=https://graph.microsoft.com/v1.0
application=$(dirname "$0")/../entra/application.json

# A name is nobody's own: whoever else may register applications could have taken it before, and given roles to whom they like.
# So only an id that is known is taken up.
id=${API_AUDIENCE:-}
if [ -z "$id" ] && command -v azd > /dev/null; then
  id=$(azd env get-value API_AUDIENCE --environment "$AZURE_ENV_NAME" 2> /dev/null) || id=
fi
if [ -n "$id" ]; then
  called=$(az ad app show --id "$id" --query displayName --output tsv)
  if [ "$called" != "$name" ]; then
    echo "framefleet: API_AUDIENCE is $id, which is called $called and not $name" >&2
    exit 1
  fi
else
  ids=$(az ad app list --filter "displayName eq '$name'" --query '[].appId' --output tsv)
  if [ -n "$ids" ]; then
    echo "framefleet: an application is called $name already:" >&2
    for each in $ids; do
      owners=$(az ad app owner list --id "$each" --query '[].[userPrincipalName || displayName]' --output tsv | paste -sd ' ')
      echo "  $each, owned by ${owners:-nobody}" >&2
    done
    echo 'If one was made by this script, set API_AUDIENCE to its id. Have those removed that are not yours.' >&2
    exit 1
  fi
  id=$(az ad app create --display-name "$name" --query appId --output tsv)
fi
if command -v azd > /dev/null; then
  azd env set API_AUDIENCE "$id" --environment "$AZURE_ENV_NAME"
fi

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
