#!/bin/sh
# Entry of the image: what a container lacks is said before anything is loaded, then `bench` takes over.
set -eu

results="${BENCH_RESULTS:-/bench/results}"

case "${1:-}" in
run | score | repro)
    if ! [ -w "$results" ]; then
        echo "segbench: $results cannot be written by user $(id -u):$(id -g). Make the folder on the host and start" \
            "the container with --user \"\$(id -u):\$(id -g)\" -v \"\$PWD/results:/bench/results\"" >&2
        exit 2
    fi
    if [ "${BENCH_IMAGE:-}" = cuda ] && ! [ -e /dev/nvidiactl ] && ! [ -e /dev/dxg ]; then
        echo "segbench: this image is for NVIDIA GPUs and sees none: start it with --gpus all (the host needs the" \
            "driver and nvidia-container-toolkit), or build the variant for processors with --build-arg DEVICE=cpu." \
            "Device auto means cpu now." >&2
    fi
    ;;
esac
exec bench "$@"
