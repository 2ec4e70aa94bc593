# Replaces the running proxy. If the new one doesn't come up with the same services, the old one starts again.
silent() { back "$bowline_failed"; }
put_right
make_next
# shellcheck disable=SC2034 # read by has_services
bowline_services=$(names)
find_old
bowline_stopped=$(uptime_ms)
stop_old
start_next
answers
bowline_gap=$(($(uptime_ms) - bowline_stopped))
has_services || back "$bowline_failed"
docker container rm "$bowline_old" >/dev/null 2>&1
echo "@gap $bowline_gap"
