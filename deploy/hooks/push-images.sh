#!/usr/bin/env bash
# After `azd provision`, or by hand between two deployments: builds the images of this commit and puts them into the registry,
# those that are not there yet. Prints IMAGE_TAG=their tag. Needs az, signed in, Docker with buildx, and an address that the
# registry is open to (BUILDER_ADDRESSES, or clientAddresses): a registry with a wall takes no builds of its own.
set -euo pipefail

: "${AZURE_CONTAINER_REGISTRY_ENDPOINT:?is needed: the host of the registry, as the deployment has said}"
registry=$AZURE_CONTAINER_REGISTRY_ENDPOINT
prometheus=prometheus:${PROMETHEUS_TAG:-v3.5.0}
cd "$(dirname "$0")/../.."

# A tag is one content for good: machines and apps made later run the same.
if [ -n "$(git status --porcelain)" ]; then
  echo 'framefleet: some changes are not committed: an image is called after its commit' >&2
  exit 1
fi
revision=$(git rev-parse HEAD)
tag=${revision:0:12}

az acr login --name "${registry%%.*}" || {
  echo "framefleet: $registry lets nobody in from here: set BUILDER_ADDRESSES to this address, and deploy once more" >&2
  exit 1
}

is_there() {
  docker buildx imagetools inspect "$registry/$1" > /dev/null 2>&1
}

missing=()
for image in framefleet framefleet-worker-cuda; do
  is_there "$image:$tag" || missing+=("$image")
done
if [ "${#missing[@]}" -gt 0 ]; then
  node=$(deploy/image/digest.sh node:26-bookworm-slim)
  for image in "${missing[@]}"; do
    docker build --platform linux/amd64 --target "$image" --tag "$registry/$image:$tag" \
      --build-arg "NODE_IMAGE=$node" --build-arg "VERSION=$tag" --build-arg "REVISION=$revision" .
  done
  for image in "${missing[@]}"; do
    docker push "$registry/$image:$tag"
  done
fi
is_there "$prometheus" ||
  docker buildx imagetools create --tag "$registry/$prometheus" "docker.io/prom/$prometheus"

echo "IMAGE_TAG=$tag"
if command -v azd > /dev/null; then
  azd env set IMAGE_TAG "$tag"
fi
