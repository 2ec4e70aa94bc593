# Pulls an image from the run at the other end of this connection, and tags it with its own name. Expects these variables:
# bowline_port, bowline_from (the image's name in the run's registry), bowline_image (its own name), bowline_stale (a
# pattern for such names), bowline_fits (the architectures of servers that can run it), and the secret bowline_auth.
#
# Docker's client reads the password from a temporary configuration. So it isn't in a command line, which every user of the
# server could see, nor among this user's logins. Contexts are part of a configuration, too.
bowline_arch=$(docker version --format '{{.Server.Arch}}') || exit
# Docker silently accepts an image for another platform, whose programs then don't start.
case " $bowline_fits " in
*" $bowline_arch "*) ;;
*)
  echo "it is for $bowline_fits, and this server is $bowline_arch" >&2
  exit "$bowline_unfit"
  ;;
esac
bowline_config=$(mktemp -d) || exit 1
bowline_pull=
ended() { [ -z "$bowline_pull" ] || kill "$bowline_pull" 2>/dev/null; }
trap 'ended; rm -rf "$bowline_config"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
bowline_usual=${DOCKER_CONFIG:-$HOME/.docker}
[ ! -d "$bowline_usual/contexts" ] || ln -s "$bowline_usual/contexts" "$bowline_config/contexts" || exit 1
bowline_context=$(docker context inspect --format '{{.Name}}' 2>/dev/null)
(umask 077 && printf '{"auths":{"localhost:%s":{"auth":"%s"}},"currentContext":"%s"}\n' "$bowline_port" "$bowline_auth" "$bowline_context" \
  >"$bowline_config/config.json") || exit 1
# In the background, so that traps run immediately.
docker --config "$bowline_config" pull --quiet "$bowline_from" >/dev/null &
bowline_pull=$!
wait "$bowline_pull"
bowline_status=$?
bowline_pull=
[ $bowline_status = 0 ] || exit "$bowline_failed"
docker tag "$bowline_from" "$bowline_image" || exit
# Removes this name, and those left behind by runs that were killed.
bowline_names=$(docker image ls --filter "reference=$bowline_stale" --format '{{.Repository}}:{{.Tag}}')
# shellcheck disable=SC2086 # a list of words
[ -z "$bowline_names" ] || docker rmi $bowline_names >/dev/null 2>&1
