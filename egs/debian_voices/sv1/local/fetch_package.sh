#!/usr/bin/env bash
# Download one Debian package with apt and unpack it, without root and without installing it:
#   local/fetch_package.sh DOWNLOAD_DIR PACKAGE
# Leaves DOWNLOAD_DIR/PACKAGE_VERSION_all.deb and DOWNLOAD_DIR/packages/PACKAGE/; the `.done` file in the latter says that it is
# complete. What an interrupted run left is done again; a .deb that is already there is not downloaded.
set -euo pipefail

downloads=$(cd "$1" && pwd)
package=$2
target=$downloads/packages/$package
partial=$downloads/.partial-$package

# Print the package's .deb file; nothing if there is none.
find_deb() {
    find "$downloads" -maxdepth 1 -name "${package}_*.deb" | sort | tail -n 1
}

# apt checks size and checksum against the archive's signed lists.
download() {
    rm -rf "$partial"
    mkdir -p "$partial"
    (cd "$partial" && apt-get -qq -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 download "$package") >&2
    mv "$partial"/*.deb "$downloads/"
    rmdir "$partial"
}

unpack() {
    rm -rf "$target" "$target.tmp"
    mkdir -p "$target.tmp"
    dpkg-deb -x "$1" "$target.tmp" || return
    basename "$1" >"$target.tmp/.done"
    mv "$target.tmp" "$target"
}

# A download of a killed run may still be running: wait for it.
exec 9>"$downloads/.lock-$package"
flock 9
[ ! -e "$target/.done" ] || exit 0
begun=$SECONDS
deb=$(find_deb)
if [ -n "$deb" ] && unpack "$deb"; then
    origin="was there"
else
    [ -z "$deb" ] || { echo "$package: $deb is damaged, downloading it again"; rm -f "$deb"; }
    download
    deb=$(find_deb)
    origin="downloaded in $((SECONDS - begun)) s"
    unpack "$deb"
fi
echo "$package: $(basename "$deb"), $(($(stat -Lc %s "$deb") / 1000000)) MB, $origin, unpacked"
