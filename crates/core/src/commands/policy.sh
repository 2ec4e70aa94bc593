# keep_stopped CONTAINER POLICY: makes sure that a container that is about to be stopped stays stopped when Docker restarts.
keep_stopped() {
    case $2 in
        always | on-failure*) docker update --restart unless-stopped "$1" >/dev/null || echo "@returns $2" ;;
    esac
}
