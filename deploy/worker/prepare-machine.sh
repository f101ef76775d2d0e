#!/usr/bin/env bash
# Once, at the first start of a machine: fetches the workers' image and starts a worker for each GPU. Where it fails no
# worker ever beats; the autoscaler then takes the machine for failed and removes it.
set -euo pipefail

# shellcheck source=/dev/null
. /etc/framefleet/machine.env

fail() {
  echo "framefleet: $1" >&2
  exit 1
}

# What Azure grants to an identity takes minutes to be known everywhere.
again() {
  local left=$1
  shift
  until "$@"; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 10
  done
}

# The machine's own identity is swapped for a token of the registry. Tokens go by standard input: what stands among the
# arguments of a process can be read by all.
sign_in() {
  local own token
  own=$(curl -sSf -H Metadata:true --max-time 10 \
    "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=$RESOURCE_MANAGER&client_id=$CLIENT_ID" |
    jq -er .access_token) || return 1
  token=$(printf 'grant_type=access_token&service=%s&access_token=%s' "$REGISTRY" "$own" |
    curl -sSf --max-time 30 --data @- "https://$REGISTRY/oauth2/exchange" |
    jq -er .refresh_token) || return 1
  printf '%s' "$token" |
    docker login --username 00000000-0000-0000-0000-000000000000 --password-stdin "$REGISTRY"
}

fetch() {
  sign_in && docker pull --quiet "$IMAGE"
}

there=$(nvidia-smi --list-gpus | wc -l) || fail 'there is no driver for the GPU'
[ "$there" -ge "$GPUS" ] || fail "$GPUS GPUs are needed, and there are $there"
# What the image's CUDA wants at least: with an older driver no model would run, and nobody would know why.
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
[ "${driver%%.*}" -ge "$OLDEST_DRIVER" ] || fail "the driver is $driver, and the image wants $OLDEST_DRIVER or later"
again 12 fetch || fail "$IMAGE could not be fetched"
docker logout "$REGISTRY"

systemctl daemon-reload
for ((gpu = 0; gpu < GPUS; gpu++)); do
  systemctl enable --now "framefleet-worker@$gpu"
done
