#!/usr/bin/env bash
# Answers an image by its digest, as its registry has it now: node:26-bookworm-slim → node@sha256:… What is built from that
# is built from the same again. Arguments: one image by its tag. Needs docker with buildx, and the network.
set -euo pipefail

image=${1:?which image?}
digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || {
  echo "framefleet: the registry names no digest of $image: $digest" >&2
  exit 1
}
# A tag is what follows the last colon, unless that is the port of a registry.
name=$image
[[ ${image##*/} == *:* ]] && name=${image%:*}
echo "$name@$digest"
