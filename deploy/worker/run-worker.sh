#!/usr/bin/env bash
# Runs the worker of one GPU in the foreground. Its argument: which GPU, counted from 0.
set -euo pipefail

gpu=$1
# shellcheck source=/dev/null
. /etc/framefleet/machine.env

# The name of the host stays the same from start to start, so that what a worker that was killed left on the disk is known
# as its own. Nothing is published: the machine has no door.
exec docker run \
  --name "framefleet-worker-$gpu" \
  --hostname "$(hostname)-gpu$gpu" \
  --rm --pull never \
  --gpus "device=$gpu" \
  --user 10001:10001 \
  --read-only --tmpfs /tmp:rw,nosuid,nodev,size=1g \
  --cap-drop ALL --security-opt no-new-privileges --pids-limit 2048 \
  --shm-size 2g \
  --stop-timeout 45 \
  --log-driver journald --log-opt tag=framefleet-worker \
  --env-file /etc/framefleet/worker.env \
  --volume /mnt/framefleet:/work \
  "$IMAGE"
