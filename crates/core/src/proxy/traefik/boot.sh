# Has Traefik run. One that is made gets the env file $bowline_written, which becomes $bowline_env_file. What a killed reboot left in
# $bowline_beside is removed, unless it runs.
before_run() { :; }
after_run() {
    mv "$bowline_written" "$bowline_env_file"
    # shellcheck disable=SC2086 # names
    docker container rm $bowline_beside >/dev/null 2>&1
}
ensure
sleep 0.2
came_up || { show; exit "$bowline_failed"; }
