-- Note the record that its owner is about to step alone. ARGV: token, offset.
if call('HGET', META, 'token') ~= ARGV[1] then
  return redis.error_reply('FENCED another owner holds this partition')
end
return call('HSET', META, 'attempt', ARGV[2])
