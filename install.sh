#!/bin/sh
# Installs Bowline from a release archive. Needs a POSIX shell and standard tools (busybox is enough).
#
#   sh install.sh ARCHIVE                  installs for you, in ~/.local
#   sh install.sh --system ARCHIVE         installs for all users, in /usr/local (as root)
#   sh install.sh --prefix DIR ARCHIVE     installs in DIR
#   sh install.sh --uninstall [--system | --prefix DIR]
#
# ARCHIVE is a file or a URL, such as bowline-VERSION-x86_64-linux.tar.gz. Its SHA-256 comes from ARCHIVE.sha256 next to it,
# or from --sha256 HEX. Replaces an existing installation.
set -eu
umask 022

# Every file of an installation is listed here, below the prefix, so that it can be replaced or removed.
LIST=share/doc/bowline/installed-files

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }
say() { printf 'install: %s\n' "$*"; }
die() {
  printf 'install: error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}
misused() { printf 'install: error: %s\n\n' "$1" >&2; usage >&2; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---- what to do ----

prefix='' archive='' expected='' action=install
while [ $# -gt 0 ]; do
  case $1 in
    --system) prefix=/usr/local ;;
    --prefix | --sha256)
      [ $# -gt 1 ] || misused "$1 needs a value"
      if [ "$1" = --prefix ]; then prefix=$2; else expected=$2; fi
      shift ;;
    --uninstall) action=uninstall ;;
    -h | --help) usage; exit 0 ;;
    -*) misused "unknown option $1" ;;
    *) [ -z "$archive" ] || misused "more than one archive: $archive, $1"; archive=$1 ;;
  esac
  shift
done
if [ -z "$prefix" ]; then
  [ -n "${HOME-}" ] || die "HOME is not set, so there is no ~/.local" "fix: use --system or --prefix DIR"
  prefix=$HOME/.local
fi
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac

# ---- the files of an installation ----

# Removes the files that the list names, except those that $1 lists too, and directories of Bowline's own.
remove_listed() {
  while IFS= read -r file; do
    # A list that was changed must not lead out of the prefix.
    case $file in '' | /* | *..*) continue ;; esac
    if [ -n "$1" ] && grep -Fqx -- "$file" "$1"; then continue; fi
    rm -f -- "$prefix/$file"
  done <"$prefix/$LIST"
}

uninstall() {
  [ -z "$archive" ] || misused "--uninstall takes no archive"
  [ -f "$prefix/$LIST" ] || die "this script did not install Bowline in $prefix: there is no $prefix/$LIST" \
    "fix: give the --system or --prefix that you installed with"
  for directory in bin share/doc/bowline; do
    [ -w "$prefix/$directory" ] || cannot_write "no permission to write to $prefix/$directory"
  done
  remove_listed ''
  rm -f -- "$prefix/$LIST"
  rmdir -- "$prefix/share/doc/bowline" 2>/dev/null || :
  say "removed Bowline from $prefix"
}

# What a program said about a file below the prefix.
cannot_write() {
  case $1 in
    *ermission*) die "can't write below $prefix" "$1" "fix: run as root (sudo), or install in your home directory, without --system" ;;
    *) die "can't write below $prefix" "$1" ;;
  esac
}

# ---- the archive ----

fetch() {
  if have curl; then
    curl -fsSL --retry 2 --connect-timeout 20 -o "$2" "$1" 2>"$work/error" || return 1
  else
    wget -q -T 60 -O "$2" "$1" 2>"$work/error" || return 1
  fi
}

get_archive() {
  case $archive in
    http://* | https://*)
      have curl || have wget || die "neither curl nor wget is installed, so $archive can't be downloaded" \
        "fix: install one of them, or download the archive and its .sha256 yourself and give the file's name"
      say "downloading $archive"
      fetch "$archive" "$work/archive" || die "the download of $archive failed" "$(tail -n 1 "$work/error")" \
        "fix: check the address and your network"
      if [ -z "$expected" ]; then
        fetch "$archive.sha256" "$work/sha256" || die "the download of $archive.sha256 failed" "$(tail -n 1 "$work/error")" \
          "fix: give the archive's SHA-256: --sha256 HEX"
      fi
      file=$work/archive sums=$work/sha256 ;;
    *)
      [ -f "$archive" ] || die "there is no file $archive"
      [ -r "$archive" ] || die "no permission to read $archive"
      [ -n "$expected" ] || [ -f "$archive.sha256" ] || die "there is no $archive.sha256" \
        "fix: download it too, or give the archive's SHA-256: --sha256 HEX"
      file=$archive sums=$archive.sha256 ;;
  esac
}

sha256_of() {
  if have sha256sum; then
    sha256sum <"$1"
  elif have shasum; then
    shasum -a 256 <"$1"
  elif have openssl; then
    openssl dgst -r -sha256 <"$1"
  else
    die "there is no program to compute a SHA-256" "fix: install sha256sum (coreutils), shasum or openssl"
  fi
}

verify() {
  [ -n "$expected" ] || read -r expected rest <"$sums" || [ -n "$expected" ] || die "$archive.sha256 is empty"
  found=$(sha256_of "$file")
  found=${found%% *}
  [ "$found" = "$expected" ] || die "$archive is damaged or was replaced: its SHA-256 is wrong" \
    "expected $expected" "found    $found" "fix: download it again"
}

# ---- this machine ----

this_machine() {
  system=$(uname -s) machine=$(uname -m)
  case $system in Linux) system=linux ;; Darwin) system=macos ;; esac
  case $machine in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; esac
  echo "$machine-$system"
}

unpack() {
  mkdir "$work/unpacked"
  gzip -dc <"$file" >"$work/archive.tar" 2>"$work/error" || die "$archive can't be unpacked" "$(tail -n 1 "$work/error")"
  tar -xf "$work/archive.tar" -C "$work/unpacked" 2>"$work/error" || die "$archive can't be unpacked" "$(tail -n 1 "$work/error")"
  rm -f "$work/archive.tar"
  for root in "$work"/unpacked/bowline-*; do break; done
  [ -f "$root/bin/bowline" ] || die "$archive is not a release of Bowline: it has no bin/bowline"
  case ${root##*/} in
    *-"$(this_machine)") ;;
    *) die "${root##*/} is for another machine; this one is $(this_machine)" "fix: use the archive for $(this_machine)" ;;
  esac
  version=$("$root/bin/bowline" version 2>"$work/error") || die "bowline does not run on this machine" "$(tail -n 1 "$work/error")"
}

# ---- installing ----

install_file() {
  mkdir -p "$prefix/${1%/*}" 2>"$work/error" || cannot_write "$(tail -n 1 "$work/error")"
  # Written under another name, then moved: a bowline that is running keeps its file.
  if ! cp "$root/$1" "$prefix/$1.new" 2>"$work/error"; then
    rm -f "$prefix/$1.new"
    cannot_write "$(tail -n 1 "$work/error")"
  fi
  mode=644
  case $1 in bin/*) mode=755 ;; esac
  chmod "$mode" "$prefix/$1.new"
  mv -f "$prefix/$1.new" "$prefix/$1"
}

install() {
  [ -n "$archive" ] || misused "no archive given"
  work=$(mktemp -d "${TMPDIR:-/tmp}/bowline-install.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' HUP INT TERM
  get_archive
  verify
  unpack
  (cd "$root" && find bin share -type f | LC_ALL=C sort) >"$work/list"
  while IFS= read -r name; do install_file "$name"; done <"$work/list"
  if [ -f "$prefix/$LIST" ]; then remove_listed "$work/list"; fi
  cp "$work/list" "$prefix/$LIST"
  installed
}

installed() {
  say "installed bowline $version in $prefix"
  case ":$PATH:" in
    *":$prefix/bin:"*) ;;
    *) say "$prefix/bin is not in your PATH; add this to your shell's start-up file: export PATH=\"$prefix/bin:\$PATH\"" ;;
  esac
  case $prefix in
    /usr/local) how=' --system' ;;
    "${HOME-}"/.local) how='' ;;
    *) how=" --prefix $prefix" ;;
  esac
  say "manual pages and shell completions are in $prefix/share"
  say "to remove it: sh install.sh --uninstall$how"
  say "next: bowline help"
}

"$action"
