# Prints the names of the proxy's services.
names() { services 2>/dev/null | awk '{ print $1 }' | tr '\n' ' '; }
# Waits until the proxy responds, or calls `silent`.
answers() {
    bowline_tries=100
    until docker exec "$bowline_name" kamal-proxy list >/dev/null 2>&1; do
        [ $((bowline_tries -= 1)) -gt 0 ] || silent
        sleep 0.1
    done
}
