# Copies the program of version $bowline_version from the image $bowline_image into the container of the proxy
# $bowline_proxy, and has the running program hand its listeners to it. $bowline_next names a temporary container to
# copy from. Exits with $bowline_elsewhere if files can't be copied to the proxy's container, and with 1 if the running
# program keeps running.
bowline_files=$(mktemp -d) || exit 1
trap 'rm -rf "$bowline_files"; docker container rm --force "$bowline_next" >/dev/null 2>&1' EXIT
trap 'exit 1' HUP INT TERM PIPE
bowline_directory=opt/bowline-proxy
bowline_program=/$bowline_directory/$bowline_version
inside() { docker exec "$@" </dev/null; }
if [ "$(inside "$bowline_proxy" kamal-proxy version 2>/dev/null)" != "bowline-proxy $bowline_version" ]; then
    docker container rm --force "$bowline_next" >/dev/null 2>&1
    docker container create --name "$bowline_next" "$bowline_image" >/dev/null || exit 1
    # Only root may write the copied file: the proxy refuses to start a program that others can write.
    (umask 022 && mkdir -p "$bowline_files/$bowline_directory") || exit 1
    docker container cp "$bowline_next:/usr/local/bin/bowline-proxy" "$bowline_files/$bowline_directory/$bowline_version" >/dev/null || exit 1
    docker container rm --force "$bowline_next" >/dev/null 2>&1
    docker container cp "$bowline_files/opt" "$bowline_proxy:/" >/dev/null || exit "$bowline_elsewhere"
    inside "$bowline_proxy" kamal-proxy upgrade "$bowline_program" || exit 1
fi
mkdir -p .kamal/proxy && echo "$(docker container inspect --format '{{.ID}}' "$bowline_proxy") $bowline_version" >"$bowline_upgraded" || exit 1
# The new program serves, so a restart may now start it.
inside --user 0 "$bowline_proxy" "$bowline_program" install "/$bowline_directory/bowline-proxy" || exit 1
