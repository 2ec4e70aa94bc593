# Replaces the running Traefik. The old one stays next to it, stopped, until it is known whether the new one routes.
put_right
make_next
mv "$bowline_written" "$bowline_env_file" || exit "$bowline_failed"
find_old
stop_old
start_next
sleep 0.5
came_up || back "$bowline_failed"
