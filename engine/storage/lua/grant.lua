-- Grants of a rate limit by GCRA. KEYS[1] holds the theoretical arrival time in microseconds of the server's clock.
-- ARGV: microseconds per unit, burst, wanted. Returns granted, and ms until the next unit where fewer than wanted were.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local granted = math.max(0, math.min(wanted, math.floor(burst - (arrival - now) / interval + 1e-9)))
if granted > 0 then
  arrival = arrival + granted * interval
  redis.call('SET', KEYS[1], string.format('%.3f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1000)
end
if granted >= wanted then
  return {granted, 0}
end
return {granted, math.max(1, math.ceil((arrival - now - (burst - 1) * interval) / 1000))}
