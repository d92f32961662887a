-- Give unmarked claims back to the front of their queues, the first of them foremost. ARGV: id, token for each.
for at = #ARGV - 1, 1, -2 do
  local id = ARGV[at]
  local value = call('HGET', FX, id)
  local s = read_state(value and call('HGET', FXS, id))
  if value and s.state == 'c' and s.token == ARGV[at + 1] then
    enqueue(id, open(value), s, true)
  end
end
flush()
return 1
