# Waits until the container $bowline_name came up: it keeps running, or is healthy if it has a health check. A container
# that exited with status 0 is fine, and so is one that is still starting. `wait_for` watches the container $bowline_id and
# prints what it sees.
come_up() {
    bowline_said=$(
        ask_name "$bowline_name" '{{.ID}}' || {
            echo 'the container is gone' >&2
            exit "$bowline_failed"
        }
        bowline_id=$bowline_said
        echo "@id $bowline_id"
        wait_for
    )
    bowline_status=$?
    printf '%s\n' "$bowline_said"
    case ${bowline_said%%@log*} in *'@failed timeout'* | *'@state exited none 0 '*'@failed exited'*) return 0 ;; esac
    return $bowline_status
}
