#!/bin/sh
# debian:bookworm-slim: the packages of debian:bookworm, unpacked without manuals,
# translations and most of the documentation; dpkg goes on leaving them out.
# What upstream sets for containers (apt's and dpkg's settings, the debian.sources
# file, a policy that starts no service) is set here in words of our own.
# Differs from upstream: the archive's state is today's, not that of the image's date.
set -eu

codename=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The mirrors are those of the root that this runs in; only the release differs.
here=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror() {
    awk -v release="$here$1" '$1 == "deb" && $3 == release { sub("/$", "", $2); print $2; exit }' /etc/apt/sources.list
}
stanza() {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$1" "$2" "$keyring"
}
{
    stanza "$(mirror '')" "$codename $codename-updates"
    echo
    stanza "$(mirror -security)" "$codename-security"
} >"$work/debian.sources"

cat >"$work/settings" <<'EOF'
#!/bin/sh
set -eu
cd "$1"
mv etc/apt/sources.list.d/*debian.sources etc/apt/sources.list.d/debian.sources
rm -f etc/apt/sources.list
# Both come from the machine that builds; an engine mounts its own over them.
: >etc/hostname
: >etc/resolv.conf
chmod 644 etc/hostname etc/resolv.conf

mv etc/dpkg/dpkg.cfg.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/docker

# Downloaded packages and apt's caches would only be dead weight in a layer.
cat >etc/apt/apt.conf.d/docker-clean <<'CONF'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CONF
echo 'Acquire::GzipIndexes "true";' >etc/apt/apt.conf.d/docker-gzip-indexes
echo 'Acquire::Languages "none";' >etc/apt/apt.conf.d/docker-no-languages
echo 'Apt::AutoRemove::SuggestsImportant "false";' >etc/apt/apt.conf.d/docker-autoremove-suggests
# A layer is thrown away when its build fails: nothing is gained by syncing files.
echo force-unsafe-io >etc/dpkg/dpkg.cfg.d/docker-apt-speedup
# Packages must not start services during a build.
printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
EOF
chmod 755 "$work/settings"

# Copyright files stay: the licences ask for them.
for path in doc groff info linda lintian locale man; do
    echo "path-exclude=/usr/share/$path/*"
    test "$path" != doc || echo 'path-include=/usr/share/doc/*/copyright'
done >"$work/slim"

# Without usr-is-merged the package usrmerge comes instead, and perl with it.
mmdebstrap --quiet --variant=minbase \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include=usr-is-merged,netbase,tzdata \
    --dpkgopt="$work/slim" \
    --customize-hook="$work/settings" \
    --skip=output/dev \
    "$codename" - "$work/debian.sources"
