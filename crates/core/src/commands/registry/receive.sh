# Pulls an image from the run that is at the other end of this connection, and gives it its own name. Set in front:
# bowline_port, bowline_from (its name there), bowline_image (its own), bowline_stale (what such names look like),
# bowline_fits (the architectures of servers it can run on), and bowline_auth, which is secret.
#
# Docker's client reads the password from a configuration that lives as long as this: in no command line, where every user of
# the server would see it, and not among the logins of this user. Contexts are part of a configuration, too.
bowline_arch=$(docker version --format '{{.Server.Arch}}') || exit
# Docker takes an image for another platform without a word, and its programs then don't start.
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
# In the background, so that a signal is heard meanwhile.
docker --config "$bowline_config" pull --quiet "$bowline_from" >/dev/null &
bowline_pull=$!
wait "$bowline_pull"
bowline_status=$?
bowline_pull=
[ $bowline_status = 0 ] || exit "$bowline_failed"
docker tag "$bowline_from" "$bowline_image" || exit
# With the names that runs left here which were killed.
bowline_names=$(docker image ls --filter "reference=$bowline_stale" --format '{{.Repository}}:{{.Tag}}')
# shellcheck disable=SC2086 # a list of words
[ -z "$bowline_names" ] || docker rmi $bowline_names >/dev/null 2>&1
