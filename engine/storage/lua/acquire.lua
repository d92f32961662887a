-- Take a free or expired lease. ARGV: owner, token, ttl ms. Returns the new epoch, or 0 where another holds it.
local lease = call('HMGET', META, 'token', 'until')
local now = clock()
if lease[1] and lease[1] ~= '' and tonumber(lease[2] or 0) > now then
  return 0
end
local epoch = call('HINCRBY', META, 'epoch', 1)
call('HSET', META, 'owner', ARGV[1], 'token', ARGV[2], 'until', now + tonumber(ARGV[3]))
return epoch
