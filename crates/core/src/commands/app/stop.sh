# Stops the container $bowline_id, and deletes its cord $bowline_cord if it has one. If $bowline_if_healthy is "leave", a
# healthy container keeps running. Stops again if Docker restarts meanwhile.
stop() {
    # shellcheck disable=SC2086 # nothing, or two words
    docker stop ${bowline_stop_wait:+-t $bowline_stop_wait} "$bowline_id" >/dev/null
}
if ask "$bowline_id" '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.HostConfig.RestartPolicy.Name}}'; then
    case "$bowline_if_healthy $bowline_said" in 'leave running healthy '*) exit "$bowline_healthy" ;; esac
    keep_stopped "$bowline_id" "${bowline_said##* }"
    stop || { ask "$bowline_id" '{{.ID}}' && { stop || exit; }; }
fi
if [ -n "$bowline_cord" ]; then
    rm -rf "$bowline_cord" 2>/dev/null || echo "@left $bowline_cord"
fi
