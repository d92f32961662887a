-- Adds to counts over a sliding window and says what the window holds. KEYS[1] is a hash of `start of a bucket:what`, with the window's length
-- under `window`. ARGV: window ms (0: the one that stands), its default, buckets, then what and count pairs. Returns what, sum pairs.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window = tonumber(ARGV[1])
if window == 0 then
  window = tonumber(redis.call('HGET', KEYS[1], 'window') or ARGV[2])
end
redis.call('HSET', KEYS[1], 'window', window)
local width = math.ceil(window / tonumber(ARGV[3]))
local start = string.format('%.0f', now - now % width)
for at = 4, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], start .. ':' .. ARGV[at], ARGV[at + 1])
end

local entries = redis.call('HGETALL', KEYS[1])
local sums, names, old = {}, {}, {}
for at = 1, #entries, 2 do
  local began, what = string.match(entries[at], '^(%d+):(.*)$')
  if began and tonumber(began) <= now - window then
    old[#old + 1] = entries[at]
  elseif began then
    if not sums[what] then names[#names + 1] = what end
    sums[what] = (sums[what] or 0) + tonumber(entries[at + 1])
  end
end
for first = 1, #old, 4000 do
  redis.call('HDEL', KEYS[1], unpack(old, first, math.min(first + 3999, #old)))
end
redis.call('PEXPIRE', KEYS[1], 2 * window)
local answer = {}
for _, what in ipairs(names) do
  answer[#answer + 1] = what
  answer[#answer + 1] = sums[what]
end
return answer
