-- Drop committed entries below ARGV[1], and committed ones older than ARGV[2] ms (at most 64 of those a call).
-- Returns how many records were dropped.
local log = P .. 'log'
local meta = call('HMGET', META, 'next', 'offset', 'tail')
local after, offset, tail = tonumber(meta[1] or 1), tonumber(meta[2] or 1), tonumber(meta[3] or 1)
local cutoff = clock() - tonumber(ARGV[2])

call('XTRIM', log, 'MINID', '=', string.format('%.0f-0', math.max(0, math.min(tonumber(ARGV[1]), offset))))
local first = after
for _ = 1, 64 do
  local entry = call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  if not entry then
    first = after
    break
  end
  local last, count = string.match(entry[1], '^(%d+)-(%d+)$')
  first = last - count + 1
  if tonumber(last) >= offset or tonumber(entry[2][2]) >= cutoff then
    break
  end
  call('XDEL', log, entry[1])
  first = last + 1
end
call('HSET', META, 'tail', first)
return first - tail
