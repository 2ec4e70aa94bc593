# Follows a log, which `show` prints, until the log or standard input ends. The connection keeps standard input open.
# Without this, Docker's client would stay until it writes the next line.
exec 3<&0
follow() {
    show </dev/null 3<&- 2>&1 &
    bowline_docker=$!
    {
        # shellcheck disable=SC2034 # the content doesn't matter
        while IFS= read -r bowline_line; do :; done
        kill $bowline_docker
    } <&3 >/dev/null 2>&1 &
    bowline_listener=$!
    wait $bowline_docker
    kill $bowline_listener 2>/dev/null
}
