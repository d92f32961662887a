-- Move listed effects on an operator's word. ARGV: state (dead or unknown), into, then ids. Returns how many moved.
-- One that becomes pending again begins anew: no attempts behind it, and its life counts from now.
local letter = ARGV[1] == 'dead' and 'x' or 'u'
local now, moved = clock(), 0
local ids = arguments(3, 1)
learn(ids)
for _, id in ipairs(ids) do
  local e = known[id]
  if e and e.state == letter then
    moved = moved + 1
    if ARGV[2] == 'pending' then
      e.attempts, e.since = 0, now
      enqueue(e, false)
    else
      drop(e, ARGV[2])
    end
  end
end
flush()
return moved
