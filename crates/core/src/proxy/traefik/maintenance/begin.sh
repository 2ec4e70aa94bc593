# Makes an image of Traefik with the plugin and the page (standard input), runs it, and prints its address when it is ready.
ask_name "$bowline_traefik" '{{.Image}}' || {
    echo 'there is no Traefik' >&2
    exit "$bowline_no_page"
}
bowline_image=$bowline_said
bowline_files=$(mktemp -d) || exit "$bowline_no_page"
trap 'rm -rf "$bowline_files"; docker container rm --force "$bowline_build" >/dev/null 2>&1' EXIT
trap 'exit 129' HUP TERM INT
chmod 755 "$bowline_files"
bowline_source=$bowline_files/plugins-local/src/$bowline_module
mkdir -p "$bowline_source" "$bowline_files/maintenance" &&
    cat >"$bowline_files/maintenance/routes.yml" &&
    printf '%s' "$bowline_plugin" >"$bowline_source/maintenance.go" &&
    printf '%s' "$bowline_manifest" >"$bowline_source/.traefik.yml" &&
    printf '%s' "$bowline_go_mod" >"$bowline_source/go.mod" &&
    create >/dev/null &&
    docker container cp "$bowline_files/." "$bowline_build:/" >/dev/null || exit "$bowline_no_page"
# shellcheck disable=SC2034 # read by run
bowline_image=$(commit) || exit "$bowline_no_page"
bowline_id=$(run) || exit "$bowline_no_page"
bowline_deadline=$(($(date +%s) + bowline_ready))
until ask "$bowline_id" '{{.State.Health.Status}}' && [ "$bowline_said" = healthy ]; do
    [ "$(date +%s)" -lt "$bowline_deadline" ] || {
        docker container logs --tail 20 "$bowline_id" >&2
        docker container rm --force "$bowline_id" >/dev/null
        pages_gone
        exit "$bowline_no_page"
    }
    sleep 0.1
done
ask "$bowline_id" "$bowline_address"
echo "@address $bowline_said"
