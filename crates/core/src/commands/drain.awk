# Says whether a request is under way: exit 0 when one is, 1 when none.
#
# Reads a container's /proc/PID/net/tcp{,6}, then `ss -Hnti -O state established` of its network; `ports` are the
# ports it listens on. ss tells for each connection how long ago it last sent, received and was acknowledged, in
# steps of a few milliseconds.
function hex(text,  i, n) {
  for (i = 1; i <= length(text); i++) n = n * 16 + index("0123456789ABCDEF", toupper(substr(text, i, 1))) - 1
  return n
}
function port(address,  parts, n) { n = split(address, parts, ":"); return parts[n] }
BEGIN { n = split(ports, list, " "); for (i = 1; i <= n; i++) open[list[i]] = 1 }
# The kernel's own table, for the acknowledgements: a request that is answered at once is acknowledged by its
# answer; one that waits gets an acknowledgement of its own, and the lowest bit of this field goes out.
$1 ~ /^[0-9]+:$/ { if ($4 == "01") prompt[hex(port($2)) " " hex(port($3))] = $15 % 2; next }
$1 !~ /^[0-9]+$/ { next }
{
  if (!open[port($3)] || $3 ~ /^127\./ || $3 ~ /^\[::1\]/ || $3 ~ /ffff:127\./) next
  split("", field)
  for (i = 5; i <= NF; i++) if (split($i, pair, ":") == 2) field[pair[1]] = pair[2] + 0
  sent = field["lastsnd"]; got = field["lastrcv"]; acked = field["lastack"]
  busy = 0
  if ($1 > 0 || $2 > 0 || got < sent) busy = 1
  # Sent and received within one step: an answer to what came last, or a request right after an answer.
  else if (got == sent) {
    if (got < 300) busy = 1                                                # Not settled: look again.
    else if (acked < got && got - acked < 1000) busy = 0                   # The client acknowledged an answer.
    else if (prompt[port($3) " " port($4)]) busy = 0                       # The last request was answered at once.
    else if (field["data_segs_in"] == field["data_segs_out"]) busy = 0     # As many answers as requests.
    else busy = 1
  }
  if (busy) { found = 1; exit }
}
END { exit !found }
