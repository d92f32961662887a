-- Store a snapshot under its number, if `expected` is still the newest. KEYS[1] is the hash of snapshots. ARGV: number, expected, blob.
-- Returns 1, or 0 where another was first. The same snapshot again is no other: whoever lost the reply may repeat it.
local newest = tonumber(redis.call('HGET', KEYS[1], 'newest') or 0)
if newest == tonumber(ARGV[1]) and redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[3] then
  return 1
end
if newest ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], 'newest', ARGV[1])
return 1
