#!/usr/bin/env bash
# The disk for sources and temporary files, at /mnt/framefleet. Before each start of a worker: after a restart of the
# machine a local disk may be empty, or not mounted. Safe to repeat, and several may come at once.
set -euo pipefail

exec 9>/run/framefleet-disk.lock
flock 9

# Some sizes have local NVMe, raw; the others have a temporary disk, which cloud-init has mounted at /mnt.
for disk in /dev/nvme*n1; do
  [ -b "$disk" ] || continue
  grep -q 'Microsoft NVMe Direct Disk' "/sys/block/${disk##*/}/device/model" || continue
  mountpoint -q /mnt/framefleet && break
  blkid "$disk" > /dev/null || mkfs.ext4 -q -E lazy_itable_init=1 "$disk"
  mkdir -p /mnt/framefleet
  mount -o noatime,nosuid,nodev,noexec "$disk" /mnt/framefleet
  break
done

mkdir -p /mnt/framefleet/cache /mnt/framefleet/scratch
chown 10001:10001 /mnt/framefleet /mnt/framefleet/cache /mnt/framefleet/scratch
