#!/usr/bin/env bash
# Compile Detectron2's CUDA operators against the torch that is installed, for one architecture, without a GPU.
#
#   docker/compile-detectron2.sh SOURCE          a checkout of Detectron2, or what git clones; ten minutes of processor time
#   ARCH=8.6 docker/compile-detectron2.sh SOURCE another compute capability (9.0 unless it is said)
#   COMMIT=02b5c4e docker/compile-detectron2.sh SOURCE   a commit of what is cloned
#
# The compiler comes from NVIDIA's packages (nvidia-cuda-nvcc and what belongs to it), in CUDA's version of that torch, into
# a scratch folder; headers and libraries are those that torch brought. What it proves is that the sources compile and
# link against this torch and CUDA and that the result is loaded and names its operators, not what these answer. Not part
# of CI. Set PYTHON to another environment than .venv; MAX_JOBS bounds the compilers, each of some 4 GB.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-$PWD/.venv/bin/python}"
ARCH="${ARCH:-9.0}"
[ $# = 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ -x "$PYTHON" ] || { echo "compile-detectron2: there is no $PYTHON; make install" >&2; exit 2; }
command -v c++ >/dev/null || { echo "compile-detectron2: there is no C++ compiler; apt-get install g++" >&2; exit 2; }

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cuda="$("$PYTHON" -c 'import torch; print(torch.version.cuda or "")')"
[ -n "$cuda" ] || { echo "compile-detectron2: the torch of $PYTHON is built for processors alone" >&2; exit 2; }

if [ -f "$1/setup.py" ]; then cp -r "$1" "$scratch/detectron2"; else git clone -q "$1" "$scratch/detectron2"; fi
[ -z "${COMMIT:-}" ] || git -C "$scratch/detectron2" checkout -q "$COMMIT"
rm -rf "$scratch/detectron2/build"

# nvcc, the compiler proper (NVVM) and the headers of the runtime; 13.2 -> 13.2.*
"$PYTHON" -m pip install -q --no-deps --target "$scratch/packages" \
    "nvidia-cuda-nvcc==$cuda.*" "nvidia-cuda-crt==$cuda.*" "nvidia-nvvm==$cuda.*" "nvidia-cuda-cccl"
home="$(dirname "$(dirname "$(find "$scratch/packages" -name nvcc -type f | head -n 1)")")"
chmod -R u+x "$home/bin" "$home/nvvm/bin" 2>/dev/null || true

# torch's own copies of headers and libraries, beside the compiler: one CUDA_HOME, as an extension expects it.
site="$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
for folder in "$site"/nvidia/*/; do
    for part in include lib; do
        [ -d "$folder$part" ] && mkdir -p "$home/$part" && cp -rsn "$(realpath "$folder$part")/." "$home/$part/" 2>/dev/null || true
    done
done
ln -sfn lib "$home/lib64"
# Wheels have libcudart.so.13, and a linker looks for libcudart.so.
for library in "$home"/lib/lib*.so.*; do ln -sfn "$(basename "$library")" "${library%%.so.*}.so"; done

cd "$scratch/detectron2"
started=$SECONDS
CUDA_HOME="$home" PATH="$home/bin:$PATH" FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$ARCH" MAX_JOBS="${MAX_JOBS:-2}" \
    "$PYTHON" setup.py -q build_ext --inplace >"$scratch/log" 2>&1 || { tail -n 40 "$scratch/log" >&2; exit 1; }
library="$(find detectron2 -name '_C*.so' | head -n 1)"
"$PYTHON" - "$library" <<'PY'
import importlib.util
import sys

import torch

spec = importlib.util.spec_from_file_location("detectron2._C", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert module.has_cuda(), "it was compiled without CUDA"
named = torch.ops.detectron2.nms_rotated, torch.ops.detectron2.roi_align_rotated_forward
print(f"{module.get_cuda_version()}, {module.get_compiler_version()}; operators: {', '.join(map(str, named))}")
PY
echo "compiled for compute capability $ARCH in $((SECONDS - started)) s against torch for CUDA $cuda"
