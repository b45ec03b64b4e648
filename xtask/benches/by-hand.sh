#!/bin/bash
# What somebody would write without this project: docker, curl and hyperfine in
# a shell script, over the variants of one suite, on the lab's own engine. It
# is the yardstick of docs/PERFORMANCE.md, "Beside a script", and of nothing else.
#
#     cargo xtask build gin
#     sudo apt-get install --yes hyperfine curl iproute2 zstd
#     sudo WARMUPS=1 RUNS=5 xtask/benches/by-hand.sh gin
#
# It takes the samples of `run-all --quick`: node_cold, warm and redeploy,
# unshaped, in memory. Nothing outlives it: the engine is in namespaces that end
# with this script, and so is what they mounted.
set -euo pipefail

suite=${1:?usage: by-hand.sh SUITE}
export WARMUPS=${WARMUPS:-1} RUNS=${RUNS:-5}
lab=$(realpath "$(dirname "$0")/../../target/lab")

inside() { chroot "$root" env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

# Everything from here on sees mounts, processes and a loopback of its own.
if [ -z "${BY_HAND_INSIDE:-}" ]; then
    exec env BY_HAND_INSIDE=1 unshare --mount --pid --net --fork --kill-child --propagation private "$0" "$@"
fi
ip link set lo up
root=/run/by-hand
mkdir -p $root
mount -t tmpfs -o size=75% tmpfs $root
trap 'umount --lazy --recursive $root; rmdir $root' EXIT
zstd --decompress --stdout "$lab"/engine-*.tar.zst | tar --extract --directory $root
for folder in dev sys; do mount --rbind /$folder $root/$folder; done
mount -t proc proc $root/proc
mount -t tmpfs tmpfs $root/run
mkdir $root/lab && mount --bind "$lab" $root/lab
install -t $root/usr/local/bin "$(command -v hyperfine)"

echo '{ "features": { "containerd-snapshotter": true } }' >$root/run/daemon.json
inside dockerd --bridge=none --iptables=false --ip6tables=false --userland-proxy=false \
    --config-file=/run/daemon.json --host=unix:///run/docker.sock --log-level=warn >$root/run/dockerd.log 2>&1 &
inside docker-registry serve /etc/docker/registry/config.yml >$root/run/registry.log 2>&1 &
docker() { inside docker --host unix:///run/docker.sock "$@"; }
until docker info >/dev/null 2>&1 && curl -fs http://127.0.0.1:5000/v2/ >/dev/null; do sleep 0.1; done

push() { inside skopeo --insecure-policy copy --quiet --dest-tls-verify=false "oci:$1" "docker://127.0.0.1:5000/$2"; }
base_of() { # the folder of the base that the last FROM line names; none for scratch
    local from
    from=$(sed -n 's/^FROM \([^ ]*\).*/\1/p' "$lab/../../experiments/$suite/$1/Dockerfile" | tail -1)
    compgen -G "$lab/bases/$(tr /: -- <<<"$from")-*" | head -1 || true
}

# The commands that hyperfine runs find the engine's socket and the host's curl.
export DOCKER="chroot $root docker --host unix:///run/docker.sock"
started="$DOCKER run --detach --name it --network host --log-driver none"
answers="until curl -fs -o /dev/null http://127.0.0.1:8080/; do :; done"
gone="$DOCKER rm --force it >/dev/null 2>&1"
bench() { hyperfine --style basic --warmup "$WARMUPS" --runs "$RUNS" \
    --export-json "/tmp/by-hand-$suite-$2-$1.json" --prepare "$3" "$4" | sed -n "s/^  Time (mean.*/$1 $2 &/p"; }

begin=$(date +%s.%N)
for variant in $(cd "$lab/images/$suite" && ls -d ./*/ | tr -d ./); do
    push "/lab/images/$suite/$variant" "$suite/$variant"
    base=$(base_of "$variant")
    [ -z "$base" ] || push "/lab/bases/$(basename "$base")/layout" "base/$variant"
done
pushed=$(date +%s.%N)
for variant in $(cd "$lab/images/$suite" && ls -d ./*/ | tr -d ./); do
    image=127.0.0.1:5000/$suite/$variant:latest
    base=127.0.0.1:5000/base/$variant:latest
    forget="$gone; $DOCKER rmi --force $image >/dev/null 2>&1; $DOCKER rmi --force $base >/dev/null 2>&1"
    keep_base="$gone; $DOCKER pull --quiet $base >/dev/null 2>&1; $DOCKER rmi --force $image >/dev/null 2>&1"
    cold="$DOCKER pull --quiet $image && $started $image && $answers"
    bench node_cold "$variant" "$forget; sync" "$cold"
    bench warm "$variant" "$gone; sync" "$started $image && $answers"
    bench redeploy "$variant" "$keep_base; sync" "$cold"
    eval "$forget"
done
end=$(date +%s.%N)
jq --slurp --raw-output --arg begin "$begin" --arg pushed "$pushed" --arg end "$end" '
    ([.[].results[].times | add] | add) as $samples
    | "pushing \(($pushed | tonumber) - ($begin | tonumber)) s, measuring \(($end | tonumber) - ($pushed | tonumber)) s, of which samples \($samples) s"
' /tmp/by-hand-"$suite"-*.json
