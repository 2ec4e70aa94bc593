# Says whether a request is under way: exit 0 when one is, 1 when none.
#
# Reads a container's /proc/PID/net/tcp{,6}, then `ss -nti state established` of its network; `ports` are the
# ports it listens on. ss tells for each connection how long ago it last sent, received and was acknowledged, in
# steps of a few milliseconds: on an indented line of its own (`-O` for one line is not in every version).
function hex(text,  i, n) {
  for (i = 1; i <= length(text); i++) n = n * 16 + index("0123456789ABCDEF", toupper(substr(text, i, 1))) - 1
  return n
}
function port(address,  parts, n) { n = split(address, parts, ":"); return parts[n] }
# Whether a request is under way on a connection, given as its words.
function under_way(connection,  word, n, i, pair, field, sent, got, acked) {
  n = split(connection, word, " ")
  if (word[1] !~ /^[0-9]+$/ || !open[port(word[3])]) return 0
  if (word[3] ~ /^127\./ || word[3] ~ /^\[::1\]/ || word[3] ~ /ffff:127\./) return 0
  for (i = 5; i <= n; i++) if (split(word[i], pair, ":") == 2) field[pair[1]] = pair[2] + 0
  sent = field["lastsnd"]; got = field["lastrcv"]; acked = field["lastack"]
  if (word[1] > 0 || word[2] > 0 || got < sent) return 1
  if (got > sent) return 0
  # Sent and received within one step: an answer to what came last, or a request right after an answer.
  if (got < 300) return 1                                                  # Not settled: look again.
  if (acked < got && got - acked < 1000) return 0                          # The client acknowledged an answer.
  if (prompt[port(word[3]) " " port(word[4])]) return 0                    # The last request was answered at once.
  return field["data_segs_in"] != field["data_segs_out"]                   # As many answers as requests.
}
BEGIN { n = split(ports, list, " "); for (i = 1; i <= n; i++) open[list[i]] = 1 }
# The kernel's own table, for the acknowledgements: a request that is answered at once is acknowledged by its
# answer; one that waits gets an acknowledgement of its own, and the lowest bit of this field goes out.
$1 ~ /^[0-9]+:$/ { if ($4 == "01") prompt[hex(port($2)) " " hex(port($3))] = $15 % 2; next }
$1 == "sl" { next }
/^[ \t]/ { connection = connection " " $0; next }
{ if (under_way(connection)) { found = 1; exit }; connection = $0 }
END { exit !(found || under_way(connection)) }
