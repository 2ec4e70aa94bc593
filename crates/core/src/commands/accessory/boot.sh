# Makes sure that the container $bowline_name runs: starts the existing one, or creates one from $bowline_image.
case ${bowline_found%% *} in
    '') ;;
    created | dead) docker container rm "$bowline_name" >/dev/null || exit "$bowline_failed" ;;
    exited)
        again
        docker container start "$bowline_name" >/dev/null || exit "$bowline_failed"
        note_start
        echo @started
        come_up
        exit
        ;;
    running)
        docker container inspect --format '@id {{.ID}}' "$bowline_name" && echo @runs
        exit
        ;;
    *)
        come_up && echo @runs
        exit
        ;;
esac
write_env
bowline_have=$(docker images --quiet "$bowline_image") || exit
[ -n "$bowline_have" ] || pull
make_network
note
run >/dev/null || {
    docker container rm "$bowline_name" >/dev/null 2>&1
    exit "$bowline_failed"
}
come_up || {
    bowline_status=$?
    docker container rm --force "$bowline_name" >/dev/null 2>&1
    exit $bowline_status
}
