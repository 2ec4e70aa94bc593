# Prints the state of a server, one fact per line, and changes nothing. Reads: $bowline_ports (the ports whose owners to
# find), $bowline_tools (programs that may be missing), $bowline_lock with $bowline_lease, $bowline_spares (containers that
# an unfinished run leaves), $bowline_certificates (a directory in the proxy's container $bowline_proxy), and
# $bowline_registry_login: if set, standard input has a user and a password.
line() { tr '\n\r' '  ' | cut -c 1-600; }
# disk NAME PATH: the space on a disk.
disk() {
    [ -d "$2" ] || return 0
    bowline_blocks=$(df -Pk "$2" 2>/dev/null | awk 'NR == 2 { print $2, $4 }')
    bowline_inodes=$(df -Pi "$2" 2>/dev/null | awk 'NR == 2 { print $2, $4 }')
    printf '@disk %s %s %s %s\n' "$1" "${bowline_blocks:-- -}" "${bowline_inodes:-- -}" "$2"
}
ports() {
    for bowline_port in $bowline_ports; do
        bowline_who=$(whose "$bowline_port" tcp)
        [ -z "$bowline_who" ] && ! held 0.0.0.0 "$bowline_port" tcp || printf '@port %s %s\n' "$bowline_port" "$bowline_who"
    done
}
# Prints the first certificate of a PEM text as one line of base64. It is the server's own, and those of its issuers follow.
first() { awk '/-----END CERTIFICATE-----/ { exit } found { printf "%s", $0 } /-----BEGIN CERTIFICATE-----/ { found = 1 }'; }
# The certificates that kamal-proxy obtained, without their keys.
certificates() {
    docker cp "$bowline_proxy:$bowline_certificates" - 2>/dev/null | tar -tf - 2>/dev/null | grep -v -e '/$' -e '+key$' | head -n 100 |
        while IFS= read -r bowline_file; do
            bowline_text=$(docker cp "$bowline_proxy:${bowline_certificates%/*}/$bowline_file" - 2>/dev/null </dev/null | tar -xOf - 2>/dev/null |
                first)
            [ -z "$bowline_text" ] || printf '@certificate %s %s\n' "${bowline_file##*/}" "$bowline_text"
        done
}
# What unfinished runs left behind.
left() {
    for bowline_name in $bowline_spares; do
        ! docker container inspect "$bowline_name" >/dev/null 2>&1 || printf '@left the container %s\n' "$bowline_name"
    done
    for bowline_name in "$bowline_lock".*; do
        [ ! -e "$bowline_name" ] || printf '@left the directory %s\n' "$bowline_name"
    done
}
locked() {
    [ -d "$bowline_lock" ] || return 0
    if [ ! -f "$bowline_lock/owner" ]; then
        echo '@holder person'
    elif [ -e "$bowline_lock/orphaned" ] || [ $(($(date +%s) - $(stat -c %Y "$bowline_lock/lease" 2>/dev/null || date +%s))) -gt "$bowline_lease" ]; then
        echo '@holder gone'
    else
        echo '@holder run'
    fi
}
# Logs in with a temporary configuration, so that the user's stays unchanged. (The dummy entry stops Docker's client from
# looking for a credential helper to store the login.)
login() {
    IFS= read -r bowline_username && IFS= read -r bowline_password || return 0
    bowline_home=$(mktemp -d) || return 0
    trap 'rm -rf "$bowline_home"' EXIT
    printf '{"auths":{"bowline.invalid":{}}}\n' >"$bowline_home/config.json"
    bowline_limit=
    ! command -v timeout >/dev/null 2>&1 || bowline_limit='timeout 20'
    # shellcheck disable=SC2086 # words
    if bowline_said=$(printf '%s\n' "$bowline_password" | $bowline_limit docker --config "$bowline_home" login --username "$bowline_username" --password-stdin $bowline_server 2>&1); then
        echo '@login ok'
    else
        printf '@login refused %s\n' "$(printf '%s' "$bowline_said" | grep -v '^WARNING' | line)"
    fi
    rm -rf "$bowline_home"
}
printf '@user %s\n' "$(id -un)"
date '+@clock %s'
for bowline_tool in $bowline_tools; do
    command -v "$bowline_tool" >/dev/null 2>&1 || printf '@lacks %s\n' "$bowline_tool"
done
bowline_sshd=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v sshd)
[ -z "$bowline_sshd" ] || "$bowline_sshd" -T 2>/dev/null | awk '$1 == "maxsessions" || $1 == "maxstartups" || $1 == "allowtcpforwarding" { print "@sshd", $1, $2 }'
if [ -d .kamal ]; then disk files "$PWD/.kamal"; else disk files "$PWD"; fi
locked
if ! command -v docker >/dev/null 2>&1; then
    echo '@refused missing'
elif bowline_said=$(docker version --format '{{.Server.Version}} {{.Server.Arch}}' 2>&1); then
    printf '@engine %s\n' "$bowline_said"
    docker info --format '@store {{.Driver}}{{range .DriverStatus}}{{range .}} {{.}}{{end}}{{end}}' 2>/dev/null | line
    echo
    disk images "$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)"
    ports
    certificates
    acme
    [ -z "$bowline_registry_login" ] || login
else
    case $bowline_said in
        *'permission denied'*) printf '@refused denied %s\n' "$(printf '%s' "$bowline_said" | line)" ;;
        *) printf '@refused silent %s\n' "$(printf '%s' "$bowline_said" | line)" ;;
    esac
fi
left
echo @checked
