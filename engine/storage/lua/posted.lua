-- Forget posts up to a seq, which stand in their targets' logs. ARGV: token, seq.
if call('HGET', META, 'token') ~= ARGV[1] then
  return redis.error_reply('FENCED another owner holds this partition')
end
return call('XTRIM', P .. 'posts', 'MINID', '=', string.format('%.0f-0', ARGV[2] + 1))
