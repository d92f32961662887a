-- Mark claimed effects, the point of no return: the token, a withdrawal, the red button and the guard are asked once more.
-- ARGV: lease ms, state letter (m: once, r: may be sent again), then for each id, token, consent channel, its default, lane.
-- Returns per effect an empty text, or why it must not be sent; the refused are settled here.
local now = clock()
local deadline = now + tonumber(ARGV[1])
local stopped = {}
for _, what in ipairs(call('HKEYS', P .. 'stop')) do stopped[what] = true end

local function mark(id, token, consent, default, lane)
  local value = call('HGET', FX, id)
  local s = read_state(value and call('HGET', FXS, id))
  if not value or s.token ~= token or not (s.state == 'c' or s.state == 'm' or s.state == 'r') then
    return 'lost'
  end
  local fx = open(value)
  if s.state == 'c' then
    if s.flag then
      drop(id, fx, s, 'withdrawn')
      return 'withdrawn'
    end
    if stopped['*'] or stopped['channel:' .. fx.channel] or stopped['map:' .. fx.map] then
      enqueue(id, fx, s, true)
      return 'stopped'
    end
    local why = refusal(call('HGET', P .. 'guard', fx.contact) or '', consent, default, lane == 't')
    if why ~= '' then
      drop(id, fx, s, 'suppressed')
      return why
    end
    s.state = ARGV[2]
  end
  s.deadline = deadline
  call('HSET', FXS, id, state_text(s))
  call('ZADD', P .. 'lease:' .. fx.channel, deadline, id)
  return ''
end

local answers = {}
for at = 3, #ARGV, 5 do
  answers[#answers + 1] = mark(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
end
flush()
return answers
