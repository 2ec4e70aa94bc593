# Registers the container $bowline_id as $bowline_target with the proxy $bowline_proxy, by the function `register`.
# Watches the container, because one that ends never becomes healthy. Prints what `look` prints once it gets requests.
bowline_files=$(mktemp -d) || exit
trap 'rm -rf "$bowline_files"; kill "$bowline_try" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM PIPE
# Tries again while the proxy or Docker's daemon is restarting.
try() {
    while :; do
        register >"$bowline_files/said" 2>&1
        bowline_status=$?
        [ "$bowline_status" != 0 ] || break
        [ "$(date +%s)" -lt "$bowline_deadline" ] || break
        [ "$bowline_status" -ge 126 ] || grep -q -e 'Cannot connect to the Docker daemon' -e 'is not running' -e 'is restarting' \
            -e '^Error: dial ' "$bowline_files/said" || break
        sleep 0.5
    done
    echo "$bowline_status" >"$bowline_files/status"
    read -r bowline_wait <"$bowline_files/wait" && kill "$bowline_wait"
}
try >/dev/null 2>&1 </dev/null &
bowline_try=$!
while :; do
    docker container wait "$bowline_id" >/dev/null 2>&1 </dev/null &
    echo "$!" >"$bowline_files/wait"
    [ ! -s "$bowline_files/status" ] || kill "$!" 2>/dev/null
    wait "$!" 2>/dev/null
    [ ! -s "$bowline_files/status" ] || break
    # shellcheck disable=SC2034 # look reads it
    bowline_ready=registering
    look
    sleep 0.2
done
read -r bowline_status <"$bowline_files/status"
# shellcheck disable=SC2034 # look reads it
bowline_ready=started
while [ "$bowline_status" = 0 ]; do
    look
    sleep 0.2
done
echo "@said $(tr '\n' ' ' <"$bowline_files/said")"
echo "@probe $(docker container logs --since "$bowline_since" "$bowline_proxy" 2>&1 | grep -F 'Healthcheck failed' | grep -F "$bowline_target" | tail -n 1)"
failed refused
