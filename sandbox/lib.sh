# shellcheck shell=bash disable=SC2034
# Shared by bin/setup and the sandbox's scripts: names, paths, one-line messages. Sourced, not run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SANDBOX_NAME=${SANDBOX_NAME:-bowline}
CACHE=$ROOT/sandbox/.cache
STATE=$CACHE/$SANDBOX_NAME
LABEL=bowline.sandbox
# Docker, the hosts file and container names are per machine, so the locks are outside this copy of the project.
LOCK=/tmp/bowline-sandbox
SUITE=trixie
TRAEFIK_VERSION=3.7
TRAEFIK_IMAGE=bowline-sandbox/traefik:v$TRAEFIK_VERSION
APP_IMAGE=bowline-sandbox/app-base
KAMAL_VERSION=2.11.0
KAMAL=$CACHE/kamal-$KAMAL_VERSION/run
BUILDX=$CACHE/docker-buildx
CODESPELL_VERSION=2.4.3

if [[ ! $SANDBOX_NAME =~ ^[a-z][a-z0-9-]{0,30}$ ]]; then
  echo "SANDBOX_NAME must be lower-case letters, digits and dashes, not '$SANDBOX_NAME'" >&2
  exit 2
fi

say() { printf '%-10s %s\n' "${0##*/}:" "$*"; }
die() { printf '%-10s %s\n' "${0##*/}:" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }
docker_answers() { timeout 20 docker info >/dev/null 2>&1; }
image_exists() { docker image inspect "$1" >/dev/null 2>&1; }

# The first twelve hex digits of a hash of the files' names and contents, as the tag of an image made from them.
hash_of() { (cd "$ROOT" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12); }

# Writing below /etc needs root.
as_root() { if is_root; then "$@"; else sudo "$@"; fi; }

# Another user's file in /tmp can be locked, but not opened for writing.
make_lock() { [ -e "$1" ] || : >>"$1"; }

# Locks setting up the machine and the images. Background processes need 9>&-, or they keep the lock.
lock_setup() {
  make_lock "$LOCK-setup.lock"
  exec 9<"$LOCK-setup.lock"
  flock -n 9 || { say "another setup is running, waiting for it"; flock 9; }
}

# Locks one sandbox, so that sandbox/up and sandbox/down don't run at the same time.
lock_sandbox() {
  mkdir -p "$CACHE"
  make_lock "$LOCK-name-$SANDBOX_NAME.lock"
  exec 8<"$LOCK-name-$SANDBOX_NAME.lock"
  flock -n 8 || { say "another command works on sandbox '$SANDBOX_NAME', waiting for it"; flock 8; }
}

# The tags are hashes of the recipes: a changed recipe gets a new image, and an unchanged one isn't built twice.
base_image() { echo "bowline-sandbox/base:$(hash_of sandbox/server/packages)"; }
server_image() { echo "bowline-sandbox/server:$(hash_of sandbox/server)"; }
app_image() { echo "$APP_IMAGE:$(hash_of sandbox/app/src sandbox/app/Cargo.toml sandbox/app/base)"; }

# ---- one sandbox: names ----

REGISTRY_HOST=registry.$SANDBOX_NAME.sandbox
REGISTRY=$REGISTRY_HOST:5000
REGISTRY_CONTAINER=$SANDBOX_NAME-registry
server_name() { echo "$SANDBOX_NAME-$1"; }

sandbox_containers() { docker ps -a --filter "label=$LABEL=$SANDBOX_NAME" --format '{{.Names}}' | sort; }
server_containers() { sandbox_containers | grep -vx "$REGISTRY_CONTAINER" || true; }
is_running() { [ "$(docker inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }

# Replaces this sandbox's block in /etc/hosts with the lines on standard input, or removes it if there are none.
# Writes the file in place, because a mounted file can't be replaced. The lock is against other sandboxes.
hosts_block() {
  local lines new
  lines=$(cat)
  make_lock "$LOCK-hosts.lock"
  exec 7<"$LOCK-hosts.lock"
  flock 7
  new=$(awk -v b="# BEGIN sandbox $SANDBOX_NAME" -v e="# END sandbox $SANDBOX_NAME" '$0 == b {skip = 1} !skip {print} $0 == e {skip = 0}' /etc/hosts)
  if [ -n "$lines" ]; then
    new=$(printf '%s\n# BEGIN sandbox %s\n%s\n# END sandbox %s' "$new" "$SANDBOX_NAME" "$lines" "$SANDBOX_NAME")
  fi
  if [ "$new" != "$(cat /etc/hosts)" ]; then printf '%s\n' "$new" | as_root tee /etc/hosts >/dev/null; fi
  exec 7>&-
}
