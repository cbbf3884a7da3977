#!/bin/sh
# Builds the image and runs it: `make image-test`.  Needs buildah, podman and runc, as root; where
# no registry answers, the base is made by debootstrap.  Everything lies in IMAGE_DIR
# (build/image) and is kept, so that a second run is quick.
#
# Where packages come through a proxy: IMAGE_BUILD_ARGS="-v CA:CA:ro -v /etc/pip.conf:/etc/pip.conf:ro".
set -eu
cd "$(dirname "$0")/.."
dir=$(realpath -m "${IMAGE_DIR:-build/image}")
base=docker.io/library/debian:bookworm-slim
image=localhost/llm-sentinel
port=${IMAGE_PORT:-18080}
url=http://127.0.0.1:$port
mkdir -p "$dir"

for tool in buildah podman runc curl; do
    command -v $tool >/dev/null || { echo "needs $tool"; exit 1; }
done

store() {
    tool=$1
    shift
    "$tool" --root "$dir/store" --runroot "$dir/run" --storage-driver overlay "$@"
}
pod() { store podman --cgroup-manager cgroupfs --runtime runc "$@"; }
sentinel() { # sentinel NAME ARGUMENTS...: a container as it is meant to be run
    name=$1
    shift
    pod run --name "$name" --read-only --network host --ulimit nofile=1024:1024 \
        --ulimit nproc=4096:4096 --cap-drop all --security-opt no-new-privileges \
        -v sentinel-test:/var/lib/sentinel -e SENTINEL__API__BIND_ADDR="127.0.0.1:$port" \
        -e SENTINEL__INGESTION__OTLP__ENABLED=false "$@"
}
stop() { pod rm -f -i -t 20 sentinel-test sentinel-demo >/dev/null 2>&1 || true; }
wait_for() { # wait_for COMMAND...: until it succeeds, 60 s at most
    for _ in $(seq 120); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.5
    done
    echo "not within 60 s: $*"
    pod logs sentinel-test || true
    exit 1
}
stored() { curl -sf "$url/api/v1/telemetry?service=image&limit=1000" | grep -o '"event_id"' | wc -l; }
has_stored() { [ "$(stored)" -eq "$1" ]; }
say() { echo "image: $*"; }

if ! store podman image exists "$base" && ! store podman pull -q "$base" 2>/dev/null; then
    say "no registry answers: debootstrap makes the base"
    [ -d "$dir/rootfs" ] || debootstrap --variant=minbase bookworm "$dir/rootfs" >"$dir/debootstrap.log"
    tar -C "$dir/rootfs" -c . | store podman import -q - "$base"
fi

# shellcheck disable=SC2086  # several words are meant
store buildah build --isolation chroot --network host --format docker --layers \
    ${IMAGE_BUILD_ARGS:-} -t "$image" -f Containerfile . >"$dir/build.log" 2>&1 \
    || { tail -30 "$dir/build.log"; exit 1; }
say "$(store podman image inspect "$image" --format '{{.Size}}') bytes, of which the base has" \
    "$(store podman image inspect "$base" --format '{{.Size}}')"

trap stop EXIT
stop
pod volume rm -f sentinel-test >/dev/null
sentinel sentinel-test -d "$image" >/dev/null
wait_for curl -sf "$url/health/ready"
say "ready, as $(pod exec sentinel-test id -u):$(pod exec sentinel-test id -g)"
if pod exec sentinel-test touch /etc/written 2>/dev/null; then
    say "its root can be written"
    exit 1
fi
pod healthcheck run sentinel-test
curl -sf "$url/openapi.json" | grep -q /api/v1/events
say "its root is read-only, its health check passes, it describes itself"

for n in $(seq 50); do
    echo '{"service_name":"image","model":"m","latency_ms":'"$((100 + n))"'}'
done | curl -sf "$url/api/v1/events" --data-binary @- | grep -q '"accepted":50'
wait_for has_stored 50
before=$(pod exec sentinel-test cat /proc/1/status | grep VmRSS)
pod stop -t 20 sentinel-test >/dev/null
stop
sentinel sentinel-test -d "$image" >/dev/null
wait_for curl -sf "$url/health/ready"
wait_for has_stored 50
say "50 events came through a restart; memory before: $before"

pod kill -s KILL sentinel-test >/dev/null
wait_for sh -c "! curl -s $url/health/live"
stop
sentinel sentinel-test -d "$image" >/dev/null
wait_for curl -sf "$url/health/ready"
wait_for has_stored 50
say "and through a kill -9"
stop

sentinel sentinel-demo "$image" demo --seconds 10 --port "$port" --seed 7 | tail -2
say "done"
