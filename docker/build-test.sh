#!/usr/bin/env bash
# Build the image for processors without an engine or a registry, and run it as a user that it does not know.
#
#   docker/build-test.sh                       a small set of extras, some minutes and 4 GB of disk
#   EXTRAS=torch,runtimes docker/build-test.sh others; what they take is printed at the end
#
# It needs root, buildah and mmdebstrap (apt-get install buildah mmdebstrap), a Debian mirror and a package index. The base
# is a minimal Debian in the place of Ubuntu, which only a registry has; the machine's certificates and the configuration
# of apt, pip and uv are mounted while it builds, so that mirrors are found. Nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/.."
EXTRAS="${EXTRAS:-runtimes}"
SUITE_OF_DEBIAN="${SUITE_OF_DEBIAN:-bookworm}"

for tool in buildah mmdebstrap; do
    command -v "$tool" >/dev/null || { echo "build-test: $tool is not installed: apt-get install buildah mmdebstrap" >&2; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "build-test: only root can build in a chroot" >&2; exit 77; }

scratch="$(mktemp -d "${TMPDIR:-/var/tmp}/segbench-image-XXXXXX")"
export TMPDIR="$scratch/tmp" BUILDAH_ISOLATION=chroot STORAGE_DRIVER="${STORAGE_DRIVER:-overlay}"
mkdir -p "$TMPDIR"
buildah() { command buildah --root "$scratch/store" --runroot "$scratch/run" "$@"; }
finish() {
    buildah rm --all >/dev/null 2>&1 || true
    # Layers of a build that was interrupted are mounted still.
    grep -o " $scratch[^ ]*" /proc/mounts | sort -r | xargs -r umount -l || true
    rm -rf "$scratch"
}
trap finish EXIT
step() { printf '%5d s  %s\n' "$SECONDS" "$1"; }

# ---- a base, where FROM would ask a registry
mmdebstrap --quiet --variant=minbase --include=ca-certificates "$SUITE_OF_DEBIAN" "$scratch/base.tar"
base="$(buildah from scratch)"
buildah add --quiet "$base" "$scratch/base.tar" / >/dev/null
buildah commit --quiet "$base" localhost/base:debian >/dev/null
buildah rm "$base" >/dev/null
rm "$scratch/base.tar"
step "the base is made"

# ---- the image, by its own Dockerfile
# Debian's buildah (1.28) keeps the lock of a cache until the build ends, and a second stage would wait for it forever.
sed 's/,sharing=locked//' docker/Dockerfile >"$scratch/Dockerfile"
mounts=()
for path in /etc/apt/apt.conf.d /etc/ssl/certs /usr/local/share/ca-certificates /etc/pip.conf "$HOME/.config/uv"; do
    [ ! -e "$path" ] || mounts+=(-v "$path:$path:ro")
done
buildah bud --format docker --layers --skip-unused-stages=false -f "$scratch/Dockerfile" -t segbench:test \
    --build-arg DEVICE=cpu --build-arg EXTRAS="$EXTRAS" --build-arg TORCH_BACKEND=index --build-arg DETECTRON2_SOURCE= \
    --build-arg CPU_BASE=localhost/base:debian --build-arg CUDA_BUILD=localhost/base:debian \
    --build-arg CUDA_RUN=localhost/base:debian --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt "${mounts[@]}" . >"$scratch/log" 2>&1 ||
    { tail -n 40 "$scratch/log" >&2; exit 1; }
step "the image is built with $EXTRAS"

# ---- what it does, as a user without a name
container="$(buildah from localhost/segbench:test)"
as_stranger() {
    local results="$1"
    shift
    buildah run --user 4321:4321 --env HOME=/tmp/home -v "$results:/bench/results" "$container" -- \
        /opt/segbench/docker/entrypoint.sh "$@"
}
mkdir "$scratch/results" "$scratch/closed"
chown 4321:4321 "$scratch/results"
chmod 755 "$scratch/closed"
as_stranger "$scratch/results" doctor
step "doctor looks at it"
as_stranger "$scratch/results" run suites/smoke.yaml
[ -n "$(find "$scratch/results" -name report.md)" ] || { echo "build-test: the smoke suite left no report" >&2; exit 1; }
step "the smoke suite runs as user 4321"
if as_stranger "$scratch/closed" run suites/smoke.yaml 2>"$scratch/said"; then
    echo "build-test: a run whose results cannot be written was not refused" >&2
    exit 1
fi
grep -q -- '--user' "$scratch/said"
step "results that cannot be written are refused"

size="$(buildah images --format '{{.Size}}' localhost/segbench:test)"
step "done: EXTRAS=$EXTRAS take $size"
