-- Give unmarked claims back to the front of their queues, the first of them foremost. ARGV: id, token for each.
learn(arguments(1, 2))
for at = #ARGV - 1, 1, -2 do
  local e = known[ARGV[at]]
  if e and e.state == 'c' and e.token == ARGV[at + 1] then
    enqueue(e, true)
  end
end
flush()
return 1
