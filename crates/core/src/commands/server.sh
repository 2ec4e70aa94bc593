# Installs Docker with $bowline_installer if it is missing. A newly installed daemon gets $bowline_tries tenths of a second
# to respond. Exits before the network is created if the user may use Docker only from the next login on.
refused() {
    echo "@refused $1"
    exit "$bowline_refused"
}
root() { [ "$(id -u)" -eq 0 ]; }
may_install() { root || sudo -nl usermod >/dev/null 2>&1; }
asked() { docker version --format '{{.Server.Version}}' 2>&1; }
mkdir -p .kamal || exit
bowline_installed=
if ! command -v docker >/dev/null 2>&1; then
    echo @installing
    may_install || refused not-root
    if command -v curl >/dev/null 2>&1; then
        bowline_fetched=$(curl -fsSL "$bowline_installer") || refused no-installer
    elif command -v wget >/dev/null 2>&1; then
        bowline_fetched=$(wget -qO- "$bowline_installer") || refused no-installer
    else refused no-tool; fi
    printf '%s\n' "$bowline_fetched" | sh >&2 || refused failed
    command -v docker >/dev/null 2>&1 || refused failed
    bowline_installed=1
    echo @installed
fi
bowline_said=$(asked)
bowline_answer=$?
while [ $bowline_answer != 0 ] && [ -n "$bowline_installed" ] && [ $((bowline_tries -= 1)) -gt 0 ]; do
    case $bowline_said in *'permission denied'*) break ;; esac
    sleep 0.1
    bowline_said=$(asked)
    bowline_answer=$?
done
if [ $bowline_answer != 0 ]; then
    case $bowline_said in
        *'permission denied'*) ;;
        *)
            printf '%s\n' "$bowline_said" >&2
            exit 1
            ;;
    esac
    bowline_me=$(id -un)
    if ! id -nG "$bowline_me" | grep -qw docker; then
        may_install && sudo -n usermod -aG docker "$bowline_me" >&2 || refused not-in-group
    fi
    echo "@joined $bowline_me"
    exit 0
fi
