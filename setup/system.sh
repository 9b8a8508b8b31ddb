#!/usr/bin/env bash
# Installs the system packages that a make target needs, and only those that are missing.
#   setup/system.sh demo|test|bench|packages|kernels...
# Debian and its relatives; elsewhere it names what is missing and stops. Runs as root or through sudo.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf '>> %s\n' "$*"; }
die() { printf 'setup/system.sh: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# A C compiler that finds its headers and links: libzstd is compiled by it, and rustc links with it.
has_cc() { printf '#include <stdlib.h>\nint main(void){return 0;}\n' | cc -x c - -o /dev/null 2>/dev/null; }

missing=()
need() { # need COMMAND PACKAGE
  has "$1" || missing+=("$2")
}

# Python libraries come from the system's packages, for the system's Python.
need_library() { # need_library MODULE PACKAGE
  /usr/bin/python3 -c "import $1" 2>/dev/null || missing+=("$2")
}

needs_of() {
  case $1 in
  demo)
    has_cc || missing+=(gcc libc6-dev)
    ;;
  test)
    needs_of demo
    need nginx nginx-light
    need curl curl
    need ab apache2-utils
    need openssl openssl
    need wget wget
    need go golang-go
    # The engine and the functions of Helm's templates.
    [ -d /usr/share/gocode/src/github.com/Masterminds/sprig ] || missing+=(golang-github-masterminds-sprig-dev)
    [ -d /usr/share/gocode/src/sigs.k8s.io/yaml ] || missing+=(golang-k8s-sigs-yaml-dev)
    need skopeo skopeo
    need umoci umoci
    need gnutls-serv gnutls-bin
    need psql postgresql
    need tmux tmux
    need ip iproute2
    need python3 python3
    need_library websockets python3-websockets
    need_library google.protobuf python3-protobuf
    need_library aiohttp python3-aiohttp
    need_library cryptography python3-cryptography
    need_library yaml python3-yaml
    need_library graphql python3-graphql-core
    need_library spyne python3-spyne
    need_library zeep python3-zeep
    need tcpdump tcpdump
    need busybox busybox
    need h2load nghttp2
    need nghttpd nghttp2
    need strip binutils
    need node nodejs
    need npm npm
    need_library pip python3-pip
    /usr/bin/python3 -c 'import grpc' 2>/dev/null || missing+=(python3-grpcio)
    ;;
  bench)
    needs_of test
    need wrk wrk
    need httpry httpry
    need ngrep ngrep
    ;;
  packages)
    needs_of demo
    need strip binutils
    need python3 python3
    need skopeo skopeo
    need umoci umoci
    # Those of the other architecture are needed only for it.
    if [[ " ${ARGS:-} " == *" aarch64 "* ]]; then
      need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
      [ -e /usr/aarch64-linux-gnu/lib/libc.a ] || missing+=(libc6-dev-arm64-cross)
      need qemu-aarch64-static qemu-user-static
    fi
    ;;
  kernels)
    needs_of demo
    need curl curl
    need ip iproute2
    need busybox busybox-static
    need bpftool bpftool
    need nghttpd nghttp2-server
    need cpio cpio
    need xz xz-utils
    need zstd zstd
    need qemu-system-x86_64 qemu-system-x86
    [[ " ${ARGS:-} " != *" arm64 "* ]] || need qemu-system-aarch64 qemu-system-arm
    ;;
  *) die "unknown target '$1' (demo, test, bench, packages, kernels)" ;;
  esac
}

[ $# -gt 0 ] || die "usage: setup/system.sh demo|test|bench|packages|kernels..."
for target in "$@"; do needs_of "$target"; done

# What the archive does not have comes from PyPI, into a folder of its own: validators of what we export, and servers
# that the tests watch.
pypi() {
  case " $* " in *" test "* | *" bench "*) ;; *) return 0 ;; esac
  local folder="${XDG_CACHE_HOME:-$HOME/.cache}/apisec-top/python"
  # sonora brings the newest gRPC; Debian's stays what programs find without this folder.
  local modules='openapi_spec_validator, hypercorn, uvicorn, mcp, strawberry, jsonrpclib, sonora, aioquic, kubernetes_validate'
  modules+=', brotli_asgi, zstd_asgi, psycopg2, grpc_reflection, prometheus_client, opentelemetry.proto.collector.metrics.v1.metrics_service_pb2, curl_cffi'
  modules+=', httpbin, flasgger, py_ocsf_models, sarif_pydantic, syslog_rfc5424_parser, opentelemetry.proto.collector.logs.v1.logs_service_pb2'
  PYTHONPATH=$folder /usr/bin/python3 -c "import $modules" 2>/dev/null && return 0
  say "installing with pip: $modules"
  /usr/bin/python3 -m pip install -q --no-warn-script-location --upgrade --target "$folder" \
    'openapi-spec-validator>=0.7,<1' 'hypercorn>=0.17,<1' 'uvicorn>=0.40,<1' 'mcp>=2,<3' 'strawberry-graphql>=0.300,<1' \
    'jsonrpclib-pelix>=1,<2' 'sonora>=0.2.3,<1' 'grpcio>=1.60' 'aioquic>=1.2,<2' 'kubernetes-validate>=1.36,<2' \
    'prometheus-client>=0.20,<1' 'curl_cffi>=0.13,<1' 'py-ocsf-models>=0.8,<1' 'sarif-pydantic>=0.6,<1' 'syslog-rfc5424-parser>=0.3,<1' \
    'brotli-asgi>=1.4,<2' 'zstd-asgi>=1,<2' 'psycopg2-binary==2.9.9' 'httpbin>=0.10.4,<0.11' 'flasgger>=0.9.7,<1'
  # Reflection for Debian's gRPC.
  /usr/bin/python3 -m pip install -q --no-warn-script-location --upgrade --no-deps --target "$folder" 'grpcio-reflection==1.51.3'
  # Debian's protobuf serves it; another one here would stand before that for everybody. Beside the folder, and put into it
  # afterwards: pip would replace `opentelemetry`, of which others brought a part.
  /usr/bin/python3 -m pip install -q --no-warn-script-location --upgrade --no-deps --target "$folder.otlp" 'opentelemetry-proto>=1.30,<2'
  cp -r "$folder.otlp/opentelemetry/." "$folder/opentelemetry/"
}

# The source distribution of httpbin, whose tests are not in what pip installs.
sources() {
  case " $* " in *" test "* | *" bench "*) ;; *) return 0 ;; esac
  local folder="${XDG_CACHE_HOME:-$HOME/.cache}/apisec-top/source" archive
  [ ! -e "$folder/httpbin/tests/test_httpbin.py" ] || return 0
  say "fetching with pip: the tests of httpbin"
  rm -rf "$folder/httpbin" && mkdir -p "$folder/httpbin"
  /usr/bin/python3 -m pip download -q --no-deps --no-binary httpbin --dest "$folder" 'httpbin>=0.10.4,<0.11'
  for archive in "$folder"/httpbin-*.tar.gz; do
    tar -xzf "$archive" -C "$folder/httpbin" --strip-components=1
  done
}

# And from npm the published schema of HTTP archives, and a GraphQL server.
npmjs() {
  case " $* " in *" test "* | *" bench "*) ;; *) return 0 ;; esac
  local folder="${XDG_CACHE_HOME:-$HOME/.cache}/apisec-top/npm"
  [ ! -e "$folder/node_modules/har-schema/lib/har.json" ] || [ ! -e "$folder/node_modules/@apollo/server" ] || return 0
  say "installing with npm: har-schema, @apollo/server"
  mkdir -p "$folder"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" 'har-schema@2' '@apollo/server@4' 'graphql@16'
}

[ ${#missing[@]} -gt 0 ] || { pypi "$@"; sources "$@"; npmjs "$@"; exit 0; }
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

has apt-get || die "this is not a Debian-like system; install the equivalents of: ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
  has sudo || die "needs root to install ${missing[*]}: run as root, or install sudo"
  as_root=(sudo)
fi

# Debian starts a server as soon as its package is installed. We want the program, not the service.
policy=/usr/sbin/policy-rc.d
blocked=
block_services() {
  [[ " ${missing[*]} " =~ " nginx-light "|" postgresql " && ! -e $policy ]] || return 0
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  blocked=yes
}
unblock_services() {
  [ -n "$blocked" ] || return 0
  "${as_root[@]}" rm -f "$policy"
  if has systemctl && [ -d /run/systemd/system ]; then
    "${as_root[@]}" systemctl --quiet disable nginx postgresql || true
  fi
}
trap unblock_services EXIT

install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 \
    install -yq --no-install-recommends "${missing[@]}" >>"$log" 2>&1
}
update() {
  say "apt-get update"
  "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=120 update -q >>"$log" 2>&1
}

log=$(mktemp "${TMPDIR:-/tmp}/apisec-top-apt.XXXXXX")
say "installing with apt-get: ${missing[*]}"
block_services
if ! install; then
  # The package lists are missing or older than the archive.
  update && install || { cat "$log" >&2; die "apt-get could not install ${missing[*]}"; }
fi
rm -f "$log"
pypi "$@"
sources "$@"
npmjs "$@"
