-- What a new owner must know of those before it. ARGV: token. Returns how many owners, this one among them, loaded the partition since its
-- last commit while records waited, and the record that the last of them was about to step alone.
if call('HGET', META, 'token') ~= ARGV[1] then
  return redis.error_reply('FENCED another owner holds this partition')
end
local meta = call('HMGET', META, 'next', 'offset', 'commit', 'tries', 'tries_at', 'attempt')
local tries = 1
if tonumber(meta[1] or 1) > tonumber(meta[2] or 1) and meta[5] == (meta[3] or '0') then
  tries = tonumber(meta[4] or 0) + 1
end
call('HSET', META, 'tries', tries, 'tries_at', meta[3] or '0')
return {tries, tonumber(meta[6] or 0)}
