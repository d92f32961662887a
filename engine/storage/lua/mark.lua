-- Mark claimed effects, the point of no return: the token, a withdrawal, the red button and the guard are asked once more.
-- ARGV: lease ms, state letter (m: once, r: may be sent again), then for each id, token, consent channel, its default, lane.
-- Returns per effect an empty text, or why it must not be sent; the refused are settled here.
local now = clock()
local deadline = now + tonumber(ARGV[1])
local stopped = {}
for _, what in ipairs(call('HKEYS', P .. 'stop')) do stopped[what] = true end

local ids = arguments(3, 5)
learn(ids)
local contacts = {}
for index, id in ipairs(ids) do contacts[index] = known[id] and known[id].contact or '' end
local guards = call('HMGET', P .. 'guard', unpack(contacts))

local function mark(index, id, token, consent, default, lane)
  local e = known[id]
  if not e or e.token ~= token or not (e.state == 'c' or e.state == 'm' or e.state == 'r') then
    return 'lost'
  end
  if e.state == 'c' then
    if e.flag == '1' then
      drop(e, 'withdrawn')
      return 'withdrawn'
    end
    local promotional = lane ~= 't' and stopped['promotional:' .. e.queue.channel]
    if stopped['*'] or stopped['channel:' .. e.queue.channel] or promotional or stopped['map:' .. e.queue.map] then
      enqueue(e, true)
      return 'stopped'
    end
    local why = refusal(guards[index] or '', consent, default, lane == 't')
    if why ~= '' then
      drop(e, 'suppressed')
      return why
    end
    e.state = ARGV[2]
  end
  hold(e, e.state, deadline)
  return ''
end

local answers = {}
for index, id in ipairs(ids) do
  local at = 3 + (index - 1) * 5
  answers[index] = mark(index, id, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
end
flush()
return answers
