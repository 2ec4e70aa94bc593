# Makes sure that the proxy runs, and waits until it responds.
run() {
    make "$bowline_name" >/dev/null || return
    docker container start "$bowline_name" || {
        docker container rm "$bowline_name" >/dev/null 2>&1
        return 1
    }
}
again() { :; }
after_run() { :; }
silent() {
    show
    exit "$bowline_failed"
}
ensure
answers
