#!/usr/bin/env bash
# Before `azd provision`, or by hand before `az deployment sub create`: is there a fleet already? A deployment writes the size
# of the scale set, and keeps the present one only where it knows that there is one. Prints FLEET_EXISTS=true or =false.
set -euo pipefail

: "${AZURE_ENV_NAME:?is needed: the name of the environment}"
# That of `az` itself may be another one, where there is no such group: "no fleet" would be wrong then.
: "${AZURE_SUBSCRIPTION_ID:?is needed: the subscription that is deployed to}"

said=$(mktemp)
trap 'rm -f "$said"' EXIT

if ! count=$(az resource list \
  --subscription "$AZURE_SUBSCRIPTION_ID" \
  --resource-group "rg-$AZURE_ENV_NAME-fleet" \
  --resource-type Microsoft.Compute/virtualMachineScaleSets \
  --query 'length(@)' --output tsv 2> "$said"); then
  # Only "there is no such group" means that there is no fleet. A wrong guess would take all machines away.
  if ! grep -q ResourceGroupNotFound "$said"; then
    cat "$said" >&2
    exit 1
  fi
  count=0
fi

exists=true
[ "$count" -gt 0 ] || exists=false
echo "FLEET_EXISTS=$exists"
if command -v azd > /dev/null; then
  azd env set FLEET_EXISTS "$exists"
fi
