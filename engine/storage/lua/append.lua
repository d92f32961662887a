-- Append entries to a partition's log, and forbid at once what their records forbid. ARGV: bound on uncommitted records, count of the
-- following values, then index (of the record, from 0), contact, channel, status for each mark; then count, blob for each entry.
-- Returns the number of the first record, or FULL.
if not has_room(tonumber(ARGV[1])) then
  return redis.error_reply('FULL the log of this partition holds as many uncommitted records as it may')
end
local after = 3 + tonumber(ARGV[2])
local first = append(ARGV, after)
for at = 3, after - 1, 4 do
  forbid(first + tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
return first
