-- Renew a lease. ARGV: token, ttl ms. Returns 1, or 0 where the token is no longer the current one.
if call('HGET', META, 'token') ~= ARGV[1] then
  return 0
end
call('HSET', META, 'until', clock() + tonumber(ARGV[2]))
return 1
