# Cuts the cord $bowline_cord of the container $bowline_id. `look` reports its health for $bowline_timeout seconds.
bowline_was=
bowline_at=
see() {
    ask "$bowline_id" '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' || {
        echo @gone
        exit 0
    }
    # shellcheck disable=SC2086 # words
    set -- $bowline_said
    bowline_state="$1 $2"
    shift 2
    [ -z "$*" ] || [ "$*" = "$bowline_at" ] || {
        bowline_at=$*
        echo "@address $bowline_at"
    }
}
# The file may belong to another SSH user. Root in the container can delete it even then.
if ! bowline_why=$(rm -f "$bowline_cord/cord" 2>&1); then
    ask "$bowline_id" "$bowline_inside" || {
        echo @gone
        exit 0
    }
    { [ -n "$bowline_said" ] && docker exec --user 0 "$bowline_id" rm -f "$bowline_said/cord" >/dev/null 2>&1; } || {
        echo "@uncut $bowline_why"
        exit 0
    }
fi
bowline_deadline=$(($(date +%s) + bowline_timeout))
# These events say enough to skip the inspection.
look() {
    case $1 in 'health_status: unhealthy' | die)
        echo @unhealthy
        exit 0
        ;;
    esac
    see
    [ "$bowline_state" = 'running healthy' ] || {
        echo @unhealthy
        exit 0
    }
    [ -n "$bowline_was" ] || {
        echo @healthy
        bowline_was=1
    }
    [ "$(date +%s)" -lt "$bowline_deadline" ] || {
        echo @still-healthy
        exit 0
    }
}
