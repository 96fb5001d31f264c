#!/usr/bin/env bash
# Run what of the image can be run without an engine, in a scratch folder that stands for its root.
#
#   docker/verify.sh            offline, seconds: lint, sources, pins, shell steps, the entry
#   docker/verify.sh --online   also: the image's uv is installed and resolves the image's packages
#
# Not here: base images, apt, the compilation of Detectron2, GPUs, and the user a container runs as.
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD"
python="${PYTHON:-$root/.venv/bin/python}"
bin="$(dirname "$python")"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

step() { printf '%-9s %s\n' "$1" "$2"; }
fail() { step failed "$1" >&2; exit 1; }

# Instructions with continued lines joined and comments gone, one a line.
joined="$scratch/Dockerfile"
grep -v '^[[:space:]]*#' docker/Dockerfile | sed -e ':a' -e '/\\$/{N;s/\\\n[[:space:]]*/ /;ba' -e '}' >"$joined"

# ---- lint
if [ -x "$bin/hadolint" ]; then
    "$bin/hadolint" docker/Dockerfile || fail "hadolint"
    step ok "hadolint finds nothing"
else
    step skipped "hadolint is not installed (extra dev; Linux x86_64 only)"
fi
sh -n docker/entrypoint.sh && bash -n docker/verify.sh
step ok "the shell scripts parse"

# ---- what is copied
while read -r _ words; do
    case "$words" in --from=*) continue ;; esac
    words="${words#--chmod=* }"
    for source in ${words% *}; do
        [ -e "$source" ] || fail "COPY $source: it is not there"
        if git ls-files --error-unmatch "$source" >/dev/null 2>&1 || [ "$source" = . ]; then continue; fi
        git rev-parse --git-dir >/dev/null 2>&1 && fail "COPY $source: it is not committed"
    done
done < <(grep '^COPY ' "$joined")
step ok "everything that is copied is there and committed"

# ---- pins
commit="$(sed -n 's/^ARG DETECTRON2=//p' "$joined")"
grep -q "detectron2.git@$commit\$" Makefile || fail "the Makefile builds another commit of Detectron2 than $commit"
extras="$(sed -n 's/^ARG EXTRAS="\(.*\)"/\1/p' "$joined")"
for extra in ${extras//,/ }; do
    grep -q "^$extra = \[" pyproject.toml || fail "the image installs the extra $extra, which pyproject.toml does not have"
done
toolkit="$(sed -n 's/^ARG CUDA_BUILD=nvidia\/cuda:\([0-9]*\)\..*/\1/p' "$joined")"
for pinned in $(sed -n 's/^cuda-toolkit==\([0-9]*\)\..*/\1/p' constraints.txt); do
    [ "$pinned" = "$toolkit" ] || fail "constraints.txt has CUDA $pinned, the image compiles with CUDA $toolkit"
done
step ok "extras, Detectron2's commit and CUDA's major version are those of pyproject.toml, Makefile and constraints.txt"

# ---- shell steps: every one parses; those of folders and links run below the scratch folder
ran=0 left=""
while IFS= read -r line; do
    body="$(sed -E 's/^RUN //; s/--mount=[^ ]+ +//g' <<<"$line")"
    bash -n -c "$body" || fail "does not parse: $body"
    case "$body" in
    mkdir* | ln* | chmod*)
        here="$(sed -E "s#(^|[ =\"])(/tmp|/bench|/opt)#\1$scratch/image\2#g" <<<"$body")"
        mkdir -p "$scratch/image/tmp" "$scratch/image/opt"
        ln -sfn "$root" "$scratch/image/opt/segbench"
        bash -o pipefail -c "$here" || fail "$body"
        ran=$((ran + 1))
        ;;
    "bench env sbom"*)
        PATH="$bin:$PATH" bash -o pipefail -c "${body/\/opt\/segbench/$scratch}" || fail "$body"
        "$python" -c 'import json, sys; assert json.load(open(sys.argv[1]))["bomFormat"] == "CycloneDX"' \
            "$scratch/sbom.cdx.json" || fail "the bill of materials is none"
        ran=$((ran + 1))
        ;;
    *) left+="            ${body:0:76} …"$'\n' ;;
    esac
done < <(grep '^RUN ' "$joined")
[ -L "$scratch/image/bench/suites" ] && [ -w "$scratch/image/bench/results" ] || fail "the image's folders are not made"
step ok "$ran shell steps run in a scratch folder; these are not, for want of an engine, a network or a compiler:"
printf '%s' "$left"

# ---- the first layers hold enough to read the package's metadata, which is what the install step does first
mkdir -p "$scratch/layer/out"
grep '^COPY ' "$joined" | while read -r _ words; do
    words="${words#--chmod=* }"
    case "$words" in --from=* | .*) continue ;; esac
    for source in ${words% *}; do mkdir -p "$scratch/layer/$(dirname "$source")" && cp "$source" "$scratch/layer/$source"; done
done
if "$python" -c 'import hatchling' 2>/dev/null; then
    (cd "$scratch/layer" && "$python" -c \
        'from hatchling.build import prepare_metadata_for_build_editable as made; made("out")') >/dev/null ||
        fail "the files that are copied before the install step do not make the package's metadata"
    step ok "the package's metadata is made from the files that are copied first"
else
    step skipped "hatchling is not installed (extra dev)"
fi

# ---- the entry
export PATH="$bin:$PATH"
BENCH_RESULTS="$scratch/image/bench/results" docker/entrypoint.sh --version >/dev/null || fail "the entry does not start bench"
if BENCH_RESULTS="$scratch/nowhere" docker/entrypoint.sh run suites/smoke.yaml 2>"$scratch/said"; then
    fail "the entry runs without a folder for results"
fi
grep -q -- '--user' "$scratch/said" || fail "the entry does not say how results are mounted"
(cd "$scratch" && BENCH_RESULTS="$scratch/image/bench/results" "$root/docker/entrypoint.sh" check "$root/suites/smoke.yaml" >/dev/null) ||
    fail "bench check of suites/smoke.yaml in a foreign folder"
step ok "the entry starts bench, refuses a run without a folder for results, and checks suites/smoke.yaml"

# ---- with a network: the image's uv, and what it would install
if [ "${1:-}" = --online ]; then
    pin="$(grep -o 'uv==[0-9.]*' "$joined" | head -n 1)"
    "$python" -m venv "$scratch/venv"
    "$scratch/venv/bin/python" -m pip install -q --no-cache-dir "$pin" || fail "$pin cannot be installed"
    # Ubuntu 24.04 has Python 3.12.
    (cd "$scratch/layer" && "$scratch/venv/bin/uv" pip compile -q pyproject.toml ${extras:+$(printf -- "--extra %s " ${extras//,/ })} \
        -c constraints.txt --python-version 3.12 >"$scratch/packages.txt") || fail "the image's packages cannot be resolved with $pin"
    step ok "$pin installs and resolves the image's $(grep -c == "$scratch/packages.txt") packages for Python 3.12"
fi
