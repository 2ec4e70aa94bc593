# The host ports that a container publishes, a line each: ADDRESS|PORT|PORT INSIDE/PROTOCOL. Only while it runs, if
# that is asked for.
publishes() {
ports='{{range $inside, $bound := .HostConfig.PortBindings}}{{range $bound}}{{.HostIp}}|{{.HostPort}}|{{$inside}}{{println}}{{end}}{{end}}'
[ "$2" != running ] || ports="{{if .State.Running}}$ports{{end}}"
docker container inspect --format "$ports" "$1" 2>/dev/null
}
# Whether something listens there: ADDRESS PORT PROTOCOL.
held() {
case $1 in
*.*.*.*) address=$(IFS=.; set -- $1; printf '%02X%02X%02X%02X' "$4" "$3" "$2" "$1") ;;
*) address=00000000 ;;
esac
case $3 in tcp) state=0A ;; udp) state=07 ;; *) return 1 ;; esac
cat "/proc/net/$3" "/proc/net/${3}6" 2>/dev/null |
awk -v port="$(printf %04X "$2")" -v address="$address" -v state="$state" '
$4 "" == state "" { split($2, at, ":"); if (at[2] "" == port "" && (address ~ /^0+$/ || at[1] ~ /^0+$/ || at[1] "" == address "")) found = 1 }
END { exit !found }'
}
# Who has it, as far as that can be told: PORT PROTOCOL.
whose() {
name=$(docker container ls --filter "publish=$1/$2" --format '{{.Names}}' 2>/dev/null | head -n 1)
if [ -n "$name" ]; then echo "the container $name"; return; fi
case $2 in tcp) sockets=-Hltnp ;; *) sockets=-Hlunp ;; esac
ss "$sockets" "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | head -n 1
}
# The ports that a container which was made would publish, and somebody else has than the one that makes room for it.
taken() {
given=$(publishes "$2" running)
publishes "$1" | while IFS='|' read -r address port inside; do
case $port in '' | *[!0-9]*) continue ;; esac
! printf '%s\n' "$given" | grep -q "|$port|[0-9]*/${inside#*/}\$" || continue
! held "$address" "$port" "${inside#*/}" || echo "@taken $port/${inside#*/} $(whose "$port" "${inside#*/}")"
done
}
