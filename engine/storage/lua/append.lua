-- Append entries to a partition's log. ARGV: bound on uncommitted records, then count, blob for each entry.
-- Returns the number of the first record, or FULL.
if not has_room(tonumber(ARGV[1])) then
  return redis.error_reply('FULL the log of this partition holds as many uncommitted records as it may')
end
return append(ARGV, 2)
