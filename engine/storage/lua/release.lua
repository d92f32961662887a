-- Give a lease up, so that another can take it at once. ARGV: token. Another's lease is left alone.
if call('HGET', META, 'token') ~= ARGV[1] then
  return 0
end
call('HSET', META, 'owner', '', 'token', '', 'until', 0, 'tries', 0)
return 1
