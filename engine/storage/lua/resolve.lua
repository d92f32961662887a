-- Move listed effects on an operator's word. ARGV: state (dead or unknown), into, then ids. Returns how many moved.
-- One that becomes pending again begins anew: no attempts behind it, and its life counts from now.
local letter = ARGV[1] == 'dead' and 'x' or 'u'
local now, moved = clock(), 0
for at = 3, #ARGV do
  local id = ARGV[at]
  local value = call('HGET', FX, id)
  local s = read_state(value and call('HGET', FXS, id))
  if value and s.state == letter then
    moved = moved + 1
    if ARGV[2] == 'pending' then
      s.attempts, s.since = 0, now
      enqueue(id, open(value), s, false)
    else
      drop(id, open(value), s, ARGV[2])
    end
  end
end
flush()
return moved
