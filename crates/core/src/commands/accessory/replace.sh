# Replaces the existing container with a new one.
show() { :; }
put_back() { echo @back; }
image() { docker container inspect --format '{{.Image}}' "$1"; }
write_env
pull
make_network
note
make_next
[ -z "$bowline_found" ] || [ "$(image "$bowline_name")" = "$(image "$bowline_next")" ] || echo @newer
stop_old
start_next
come_up || back $?
docker container rm "$bowline_old" >/dev/null 2>&1 || :
