# If an interrupted run left no proxy running, starts $bowline_from again. If $bowline_from runs, removes a stopped
# $bowline_to, which would need the same ports when it starts.
runs() { ask_name "$1" '{{.State.Running}}'; }
if runs "$bowline_from" && [ "$bowline_said" = false ]; then
    ask_name "$bowline_to" "$bowline_look" || bowline_said=
    [ "$bowline_said" = 'true ' ] || docker container start "$bowline_from" >/dev/null 2>&1
fi
if runs "$bowline_from" && [ "$bowline_said" = true ] && ask_name "$bowline_to" "$bowline_look" && [ "$bowline_said" = 'false ' ]; then
    docker container rm "$bowline_to" >/dev/null || exit "$bowline_failed"
fi
