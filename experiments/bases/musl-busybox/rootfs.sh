#!/bin/sh
# A small root with a shell where Alpine's own archive cannot be had: busybox and
# musl's C library, both from Debian. It is not Alpine: there is no apk, and busybox
# is a static one against glibc, bigger than Alpine's.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
release=$(. /etc/os-release && echo "$VERSION_CODENAME")

cat >"$work/settings" <<'EOF'
#!/bin/sh
set -eu
cd "$1"
mkdir debs
(cd debs && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download busybox-static ca-certificates musl)
# The certificates alone: the package's dependencies would bring perl.
dpkg-deb --extract debs/ca-certificates_*.deb debs/unpacked
mkdir -p etc/ssl/certs
for crt in debs/unpacked/usr/share/ca-certificates/mozilla/*.crt; do
    cat "$crt"
    echo
done >etc/ssl/certs/ca-certificates.crt

ln -s usr/bin bin
ln -s usr/bin sbin
ln -s usr/lib lib
for applet in $(bin/busybox --list); do
    test -e "bin/$applet" || ln -s busybox "bin/$applet"
done
mkdir -p dev home proc root run sys usr/local/bin var/log var/tmp
chmod 700 root
chmod 1777 var/tmp
# Copyright files stay: the licences ask for them.
find usr/share -type f ! -name copyright -delete
find usr/share -type d -empty -delete
# Nothing here can install packages; what is inside is listed for scanners only.
rm -rf etc/apt etc/dpkg etc/fstab var/cache var/lib var/log/apt
mkdir -p var/lib/dpkg/status.d
for deb in debs/*.deb; do
    dpkg-deb --info "$deb" control >"var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"
done
rm -rf debs

echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd
echo 'nobody:x:65534:65534:nobody:/:/bin/false' >>etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >etc/group
echo /bin/sh >etc/shells
printf '127.0.0.1 localhost\n::1 localhost\n' >etc/hosts
echo 'hosts: files dns' >etc/nsswitch.conf
printf 'ID=musl-busybox\nNAME="musl and busybox from Debian"\n' >etc/os-release
# Both come from the machine that builds; an engine mounts its own over them.
: >etc/hostname
: >etc/resolv.conf
chmod 644 etc/hostname etc/resolv.conf
EOF
chmod 755 "$work/settings"

mmdebstrap --quiet --variant=extract \
    --include=busybox-static,musl \
    --extract-hook="$work/settings" \
    --skip=cleanup/apt,output/dev \
    "$release" -
