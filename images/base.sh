#!/bin/sh
# A base image made of Debian packages alone, for places where no image registry is reached.
# Prints the image's digest, last. Needs root, debootstrap, and buildah (or docker, by `import`).
#   sh images/base.sh [NAME]
# Where NAME is there already nothing is made (FRESH=1 makes it anew).
# MIRROR and SUITE say where the packages come from (default: as this machine's apt does).
set -eu
NAME=${1:-localhost/genco-base:bookworm}
SUITE=${SUITE:-bookworm}
PACKAGES=python3.11,ca-certificates

digest() {
    buildah inspect --type image --format '{{.FromImageDigest}}' "$NAME" 2>/dev/null
}
[ -n "${FRESH:-}" ] || ! command -v buildah >/dev/null || ! digest || exit 0

mirror_of_apt() {
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 2>/dev/null |
        awk -v suite="$SUITE" '$2 == suite && $3 == "main" { print $1; exit }'
}

MIRROR=${MIRROR:-$(mirror_of_apt)}
if [ -z "$MIRROR" ]; then
    echo "images/base.sh: apt of this machine knows no mirror of $SUITE; say MIRROR=..." >&2
    exit 2
fi
for tool in debootstrap buildah; do
    command -v "$tool" >/dev/null || {
        echo "images/base.sh: $tool is not installed; apt-get install $tool" >&2
        exit 2
    }
done

root=$(mktemp -d "${TMPDIR:-/var/tmp}/genco-base.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root" "$MIRROR" >"$root.log" 2>&1 || {
    tail -5 "$root.log" >&2
    echo "images/base.sh: debootstrap failed; its whole log is $root.log" >&2
    exit 1
}
rm -f "$root.log"
# What a step never reads: archives, lists, manuals, translations, logs (and the times in them).
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/info/* \
    "$root"/usr/share/locale/* "$root"/debootstrap

container=$(buildah from scratch)
buildah add --quiet "$container" "$root" / >/dev/null
buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    --label org.opencontainers.image.title="Debian $SUITE with Python 3.11" "$container"
buildah commit --quiet --rm "$container" "$NAME" >/dev/null
digest
