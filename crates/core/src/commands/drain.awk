# Exits with 0 if a request is open, and with 1 if none is.
#
# Reads a container's /proc/PID/net/tcp{,6}, then `ss -nti state established` in its network namespace. `ports` are the
# ports that it listens on. ss prints for each connection how long ago it last sent, received and was acknowledged, in steps
# of a few milliseconds, on an indented line. (Not every version has `-O`, which prints one line.)
function hex(text,  i, n) {
  for (i = 1; i <= length(text); i++) n = n * 16 + index("0123456789ABCDEF", toupper(substr(text, i, 1))) - 1
  return n
}
function port(address,  parts, n) { n = split(address, parts, ":"); return parts[n] }
# Whether a request is open on a connection, given as its words.
function under_way(connection,  word, n, i, pair, field, sent, got, acked) {
  n = split(connection, word, " ")
  if (word[1] !~ /^[0-9]+$/ || !open[port(word[3])]) return 0
  if (word[3] ~ /^127\./ || word[3] ~ /^\[::1\]/ || word[3] ~ /ffff:127\./) return 0
  for (i = 5; i <= n; i++) if (split(word[i], pair, ":") == 2) field[pair[1]] = pair[2] + 0
  sent = field["lastsnd"]; got = field["lastrcv"]; acked = field["lastack"]
  if (word[1] > 0 || word[2] > 0 || got < sent) return 1
  if (got > sent) return 0
  # Sent and received within one step: either an answer to the last request, or a new request right after an answer.
  if (got < 300) return 1                                                  # Too recent to tell: look again.
  if (acked < got && got - acked < 1000) return 0                          # The client acknowledged an answer.
  if (prompt[port(word[3]) " " port(word[4])]) return 0                    # The last request was answered immediately.
  return field["data_segs_in"] != field["data_segs_out"]                   # Idle after as many answers as requests.
}
BEGIN { n = split(ports, list, " "); for (i = 1; i <= n; i++) open[list[i]] = 1 }
# The kernel's table says how the last request was acknowledged. One that is answered immediately is acknowledged by its
# answer. For any other, the kernel sends a separate acknowledgement and clears the lowest bit of this field.
$1 ~ /^[0-9]+:$/ { if ($4 == "01") prompt[hex(port($2)) " " hex(port($3))] = $15 % 2; next }
$1 == "sl" { next }
/^[ \t]/ { connection = connection " " $0; next }
{ if (under_way(connection)) { found = 1; exit }; connection = $0 }
END { exit !(found || under_way(connection)) }
