-- Grants out of a calendar day's allowance. KEYS[1] counts what was granted; it outlives its day in every time zone.
-- ARGV: allowance, wanted. Returns granted.
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
local granted = math.max(0, math.min(tonumber(ARGV[2]), tonumber(ARGV[1]) - used))
if granted > 0 then
  redis.call('SET', KEYS[1], used + granted, 'PX', 3 * 86400000)
end
return granted
