#!/usr/bin/env bash
# Build the image for processors without an engine or a registry, and run it as a user that it does not know.
#
#   docker/build-test.sh                       a small set of extras, some minutes and 4 GB of disk
#   EXTRAS=torch,runtimes docker/build-test.sh others; what they take is printed at the end
#   EXTRAS=torch TORCH_BACKEND=cpu docker/build-test.sh   PyTorch's own build for processors, where its index is reached
#   LIMIT_S=240 docker/build-test.sh           give up after so many seconds
#
# Exits with 77, and says why, where this machine cannot do it: it needs root, buildah and mmdebstrap (apt-get install
# buildah mmdebstrap), mounts within a chroot, a Debian mirror, a package index, and the time of LIMIT_S. The base is a
# minimal Debian in the place of Ubuntu, which only a registry has; the machine's certificates and the configuration of
# apt, pip and uv are mounted while it builds, so that mirrors are found. Nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/.."
EXTRAS="${EXTRAS:-runtimes}"
SUITE_OF_DEBIAN="${SUITE_OF_DEBIAN:-bookworm}"
LIMIT_S="${LIMIT_S:-3600}"
NEEDED_MIB=5000
case ",$EXTRAS," in *,torch,*) NEEDED_MIB=30000 ;; esac # with its CUDA libraries, in both stages and the layers between
unreachable='Failed to fetch|Could not (resolve|connect)|Temporary failure|Unable to connect|error sending request|Connection (refused|reset|timed out)|Failed to download|No space left'

skip() { echo "build-test: skipped: $1" >&2; exit 77; }
fail() { echo "build-test: $1" >&2; exit 1; }
step() { printf '%5d s  %s\n' "$SECONDS" "$1"; }

for tool in buildah mmdebstrap; do
    command -v "$tool" >/dev/null || skip "$tool is not installed: apt-get install buildah mmdebstrap"
done
[ "$(id -u)" = 0 ] || skip "only root can build in a chroot"
scratch="$(mktemp -d "${TMPDIR:-/var/tmp}/segbench-image-XXXXXX")"
free="$(df --output=avail -m "$scratch" | tail -n 1)"
[ "$free" -ge "$NEEDED_MIB" ] || { rm -rf "$scratch"; skip "$((free)) MiB of disk are free, $NEEDED_MIB are needed"; }

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

# Runs a command in the time that is left; what it says goes to the log. Out of time is this machine's fault, not the image's.
within() {
    local left=$((LIMIT_S - SECONDS)) code=0
    [ "$left" -gt 0 ] || skip "$LIMIT_S s are over before: $what"
    timeout --kill-after=10 "$left" "$@" >>"$scratch/log" 2>&1 || code=$?
    [ "$code" != 124 ] && [ "$code" != 137 ] || skip "$LIMIT_S s are over in the middle of: $what"
    return "$code"
}
engine() { within buildah --root "$scratch/store" --runroot "$scratch/run" "$@"; }

# ---- a base, where FROM would ask a registry
what="making a base"
within mmdebstrap --variant=minbase --include=ca-certificates "$SUITE_OF_DEBIAN" "$scratch/base.tar" ||
    skip "mmdebstrap makes no base here: $(tail -n 1 "$scratch/log")"
base="$(buildah from scratch 2>>"$scratch/log")" && buildah add --quiet "$base" "$scratch/base.tar" / >/dev/null 2>>"$scratch/log" &&
    engine run "$base" -- true || skip "buildah cannot run in a chroot here: $(tail -n 1 "$scratch/log")"
buildah commit --quiet "$base" localhost/base:debian >/dev/null 2>&1
buildah rm "$base" >/dev/null
rm "$scratch/base.tar"
step "the base is made"

# ---- the image, by its own Dockerfile
what="building the image"
# Debian's buildah (1.28) keeps the lock of a cache until the build ends, and a second stage would wait for it forever.
sed 's/,sharing=locked//' docker/Dockerfile >"$scratch/Dockerfile"
mounts=()
for path in /etc/apt/apt.conf.d /etc/ssl/certs /usr/local/share/ca-certificates /etc/pip.conf "$HOME/.config/uv"; do
    [ ! -e "$path" ] || mounts+=(-v "$path:$path:ro")
done
# As a strict umask leaves a checkout: the image's user must be able to read it nevertheless.
mkdir "$scratch/context"
git ls-files -z | tar --null --files-from=- -c | tar -x -C "$scratch/context"
chmod -R go= "$scratch/context"
engine bud --format docker --layers --skip-unused-stages=false -f "$scratch/Dockerfile" -t segbench:test \
    --build-arg DEVICE=cpu --build-arg EXTRAS="$EXTRAS" --build-arg TORCH_BACKEND="${TORCH_BACKEND:-index}" --build-arg DETECTRON2_SOURCE= \
    --build-arg CPU_BASE=localhost/base:debian --build-arg CUDA_BUILD=localhost/base:debian \
    --build-arg CUDA_RUN=localhost/base:debian --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt "${mounts[@]}" "$scratch/context" || {
    tail -n 40 "$scratch/log" >&2
    lost="$(grep -E -m 1 "$unreachable" "$scratch/log" || true)"
    [ -z "$lost" ] || skip "what the image installs cannot be fetched here: $lost"
    fail "the image is not built"
}
step "the image is built with $EXTRAS"

# ---- what it does, as a user without a name
container="$(buildah from localhost/segbench:test)"
as_stranger() {
    local results="$1"
    shift
    what="bench $*"
    # One mount: with a second, buildah 1.28 now and then has the image's own volume in the place of the first.
    engine run --user 4321:4321 --env HOME=/tmp/home -v "$results:/bench/results" "$container" -- \
        /opt/segbench/docker/entrypoint.sh "$@"
}
failed() { tail -n 40 "$scratch/log" >&2; fail "$1"; }
mkdir "$scratch/results" "$scratch/closed"
chown 4321:4321 "$scratch/results"
chmod 755 "$scratch/closed"

as_stranger "$scratch/results" doctor || failed "doctor"
step "doctor looks at it"
as_stranger "$scratch/results" run suites/smoke.yaml || failed "the smoke suite"
[ -n "$(find "$scratch/results" -name report.md)" ] || failed "the smoke suite left no report"
step "the smoke suite runs as user 4321"

# A real network where the extras have one.
case ",$EXTRAS," in *,torch,*) model="{name: unet/transposed, options: {base_width: 4}}" ;; *) model="fake/trains" ;; esac
cat >"$scratch/results/training.yaml" <<SUITE
title: One training
task: semantic
models: [$model]
datasets: [{name: shapes, options: {preset: easy, size: [64, 64], train: 8, val: 4, test: 4}}]
targets: [{device: cpu, threads: 1}]
recipe: {budget: {steps: 8}, batch_size: 4, learning_rate: 0.01, device: cpu, threads: 1}
metrics: [mean_iou]
measurement: none
SUITE
as_stranger "$scratch/results" run results/training.yaml || failed "the training of one model"
rm "$scratch/results/training.yaml"
[ -n "$(find "$scratch/results" -name training.jsonl)" ] || failed "the training left no log of its steps"
[ -z "$(find "$scratch/results" ! -uid 4321)" ] || failed "not all results belong to user 4321"
step "one model is trained and scored as user 4321"

code=0
as_stranger "$scratch/closed" run suites/smoke.yaml || code=$?
[ "$code" = 2 ] || failed "a run whose results cannot be written ended with $code, not with 2"
tail -n 5 "$scratch/log" | grep -q -- '--user' || failed "the refusal does not say how results are mounted"
step "results that cannot be written are refused"

size="$(buildah images --format '{{.Size}}' localhost/segbench:test)"
step "done: EXTRAS=$EXTRAS take $size"
