# keep_stopped CONTAINER POLICY: keeps a container stopped which is stopped next, though Docker be restarted.
keep_stopped() {
    case $2 in
        always | on-failure*) docker update --restart unless-stopped "$1" >/dev/null || echo "@returns $2" ;;
    esac
}
