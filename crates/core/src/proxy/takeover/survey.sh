# Starts the proxy $bowline_from again if a run that was cut off has left the server without any, and removes one that has stopped and
# would want its ports with its start.
runs() { ask_name "$1" '{{.State.Running}}'; }
if runs "$bowline_from" && [ "$bowline_said" = false ]; then
    ask_name "$bowline_to" "$bowline_look" || bowline_said=
    [ "$bowline_said" = 'true ' ] || docker container start "$bowline_from" >/dev/null 2>&1
fi
if runs "$bowline_from" && [ "$bowline_said" = true ] && ask_name "$bowline_to" "$bowline_look" && [ "$bowline_said" = 'false ' ]; then
    docker container rm "$bowline_to" >/dev/null || exit "$bowline_failed"
fi
