# Makes sure that Traefik runs. A new container uses the env file $bowline_written, which is renamed to
# $bowline_env_file. Containers that a killed reboot left in $bowline_beside are removed, unless they run.
before_run() { :; }
after_run() {
    mv "$bowline_written" "$bowline_env_file"
    # shellcheck disable=SC2086 # names
    docker container rm $bowline_beside >/dev/null 2>&1
}
ensure
sleep 0.2
came_up || { show; exit "$bowline_failed"; }
