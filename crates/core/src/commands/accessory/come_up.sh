# Waits until the container $bowline_name came up: it keeps running, or is healthy if it has a check. One that has done its work and
# ended well is fine, and so is one that needs longer. `wait_for` follows the container $bowline_id, and says what it sees.
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
