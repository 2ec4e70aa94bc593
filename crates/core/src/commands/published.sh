# publishes CONTAINER [running]: prints the host ports that a container publishes, one per line: ADDRESS|PORT|PORT
# INSIDE/PROTOCOL. With `running`, prints them only if the container runs.
publishes() {
    # shellcheck disable=SC2016 # a Docker template
    bowline_ports='{{range $inside, $bound := .HostConfig.PortBindings}}{{range $bound}}{{.HostIp}}|{{.HostPort}}|{{$inside}}{{println}}{{end}}{{end}}'
    [ "$2" != running ] || bowline_ports="{{if .State.Running}}$bowline_ports{{end}}"
    ! ask_name "$1" "$bowline_ports" || printf '%s\n' "$bowline_said"
}
# held ADDRESS PORT PROTOCOL: whether something listens on it.
held() {
    # shellcheck disable=SC2086 # words
    case $1 in
        *.*.*.*) bowline_address=$(IFS=.; set -- $1; printf '%02X%02X%02X%02X' "$4" "$3" "$2" "$1") ;;
        *) bowline_address=00000000 ;;
    esac
    case $3 in
        tcp) bowline_state=0A ;;
        udp) bowline_state=07 ;;
        *) return 1 ;;
    esac
    cat "/proc/net/$3" "/proc/net/${3}6" 2>/dev/null |
        awk -v port="$(printf %04X "$2")" -v address="$bowline_address" -v state="$bowline_state" '
            $4 "" == state "" { split($2, at, ":"); if (at[2] "" == port "" && (address ~ /^0+$/ || at[1] ~ /^0+$/ || at[1] "" == address "")) found = 1 }
            END { exit !found }'
}
# whose PORT PROTOCOL: prints the owner of a port, if it can be found.
whose() {
    bowline_name=$(docker container ls --filter "publish=$1/$2" --format '{{.Names}}' 2>/dev/null | head -n 1)
    if [ -n "$bowline_name" ]; then
        echo "the container $bowline_name"
        return
    fi
    case $2 in
        tcp) bowline_sockets=-Hltnp ;;
        *) bowline_sockets=-Hlunp ;;
    esac
    ss "$bowline_sockets" "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | head -n 1
}
# taken NEXT OLD: prints the ports that the new container would publish and that are taken by anything but the old container.
taken() {
    bowline_given=$(publishes "$2" running) && bowline_wanted=$(publishes "$1") || exit
    printf '%s\n' "$bowline_wanted" | while IFS='|' read -r bowline_address bowline_port bowline_inside; do
        case $bowline_port in '' | *[!0-9]*) continue ;; esac
        ! printf '%s\n' "$bowline_given" | grep -q "|$bowline_port|[0-9]*/${bowline_inside#*/}\$" || continue
        ! held "$bowline_address" "$bowline_port" "${bowline_inside#*/}" || echo "@taken $bowline_port/${bowline_inside#*/} $(whose "$bowline_port" "${bowline_inside#*/}")"
    done
}
