-- Take the lease away from an owner that is known to be dead. ARGV: owner. Another's lease is left alone.
if call('HGET', META, 'owner') ~= ARGV[1] then
  return 0
end
call('HSET', META, 'owner', '', 'token', '', 'until', 0)
return 1
