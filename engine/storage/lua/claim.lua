-- Claim effects of one channel. First expired claims and marks are returned, then due deferred ones join their queues, then effects are
-- taken: transactional lane first, then queue by queue in turns of `quantum`. Work is bounded by `sweep`, `visits` and `most`, so that
-- an idle claim costs a few reads. ARGV: channel, token, lease ms, most, quantum, sweep, visits, most listed, count of closed
-- destinations, these, then destination, room pairs. Returns what is still queued, then attempt, guard, first ms, effect for each.
local channel, token = ARGV[1], ARGV[2]
local lease_ms, most, quantum, sweep, visits_max = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now = clock()
local leases, later = P .. 'lease:' .. channel, P .. 'later:' .. channel

for _, id in ipairs(call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, sweep)) do
  local fx, s = open(call('HGET', FX, id)), read_state(call('HGET', FXS, id))
  if s.state == 'm' then
    s.reason = 'no result before the lease of its mark ended'
    enlist(id, fx, s, 'u', now, tonumber(ARGV[8]))
  else
    if s.state == 'r' then s.attempts = s.attempts + 1 end
    enqueue(id, fx, s, true)
  end
end
for _, id in ipairs(call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, sweep)) do
  enqueue(id, open(call('HGET', FX, id)), read_state(call('HGET', FXS, id)), false)
end

local stopped = {}
for _, what in ipairs(call('HKEYS', P .. 'stop')) do stopped[what] = true end
if stopped['*'] or stopped['channel:' .. channel] then most = 0 end
local closed, room = {}, {}
local after = 10 + tonumber(ARGV[9])
for at = 10, after - 1 do closed[ARGV[at]] = true end
for at = after, #ARGV, 2 do room[ARGV[at]] = tonumber(ARGV[at + 1]) end

local found, contacts = {}, {}

local function take(queue, can)
  local ids = call('LPOP', P .. 'q:' .. queue, can) or {}
  if #ids == 0 then return end
  local values, states = call('HMGET', FX, unpack(ids)), call('HMGET', FXS, unpack(ids))
  for index, id in ipairs(ids) do
    if values[index] then
      local fx, s = open(values[index]), read_state(states[index])
      bump(LANES, channel .. ':' .. fx.lane, -1)
      s.state, s.token, s.deadline = 'c', token, now + lease_ms
      call('HSET', FXS, id, state_text(s))
      call('ZADD', leases, s.deadline, id)
      if room[fx.dest] then room[fx.dest] = room[fx.dest] - 1 end
      found[#found + 1] = {s.attempts + 1, s.since > 0 and s.since or fx.first, string.sub(values[index], fx.body)}
      contacts[#contacts + 1] = fx.contact
    end
  end
end

local function serve(lane)
  local ring = P .. 'ring:' .. channel .. ':' .. lane
  local passed = 0
  for _ = 1, visits_max do
    if #found >= most or passed > 0 and passed >= call('LLEN', ring) then return end
    local queue = call('LPOP', ring)
    if not queue then return end
    local dest, map = string.match(queue, '^[^:]*:[^:]*:([^|]*)|(.*)$')
    local can = math.min(quantum, most - #found, room[dest] or quantum)
    if closed[dest] or stopped['map:' .. map] or can <= 0 then
      passed = passed + 1
    else
      passed = 0
      take(queue, can)
    end
    if call('EXISTS', P .. 'q:' .. queue) == 1 then call('RPUSH', ring, queue) end
  end
end

if most > 0 then
  serve('t')
  serve('b')
end
flush()

local queued = call('HMGET', LANES, channel .. ':t', channel .. ':b')
local answer = {tonumber(queued[1] or 0) + tonumber(queued[2] or 0)}
if #found > 0 then
  local guards = call('HMGET', P .. 'guard', unpack(contacts))
  for index, one in ipairs(found) do
    answer[#answer + 1] = one[1]
    answer[#answer + 1] = guards[index] or ''
    answer[#answer + 1] = one[2]
    answer[#answer + 1] = one[3]
  end
end
return answer
