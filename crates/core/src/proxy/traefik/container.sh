# Prints the address of a Traefik that was just started, if it still runs.
came_up() {
    ask_name "$bowline_name" "{{.State.Running}} {{.RestartCount}} $bowline_address" || return
    case $bowline_said in
        'true 0 '*) echo "@address ${bowline_said#true 0 }" ;;
        *) return 1 ;;
    esac
}
