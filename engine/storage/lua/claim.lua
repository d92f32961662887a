-- Claim effects of one channel. First expired claims and marks are returned, then due deferred ones join their queues, then effects are
-- taken: transactional lane first, then queue by queue in turns of `quantum`. Work is bounded by `sweep`, `visits` and `most`, so that
-- an idle claim costs a few reads. ARGV: channel, token, lease ms, most, quantum, sweep, visits, most listed, count of closed
-- destinations, these, then destination, room pairs. Returns attempt, guard, first ms, effect for each.
local channel, token = ARGV[1], ARGV[2]
local lease_ms, most, quantum, sweep, visits_max = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now = clock()
local leases, later = P .. 'lease:' .. channel, P .. 'later:' .. channel

local expired = call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, sweep)
local due = call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, sweep)
learn(expired)
learn(due)
for _, id in ipairs(expired) do
  local e = known[id]
  if e.state == 'm' then
    e.reason = 'no result before the lease of its mark ended'
    enlist(e, 'u', now, tonumber(ARGV[8]))
  else
    if e.state == 'r' then e.attempts = e.attempts + 1 end
    enqueue(e, true)
  end
end
for _, id in ipairs(due) do
  enqueue(known[id], false)
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
  learn(ids)
  for _, id in ipairs(ids) do
    local e = known[id]
    if e then
      bump(LANES, e.queue.laned, -1)
      e.token = token
      hold(e, 'c', now + lease_ms)
      if room[e.queue.dest] then room[e.queue.dest] = room[e.queue.dest] - 1 end
      found[#found + 1] = e
      contacts[#contacts + 1] = e.contact
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
    local dest, map = queue_of(queue).dest, queue_of(queue).map
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
  if not stopped['promotional:' .. channel] then serve('b') end
end
flush()

local answer = {}
if #found > 0 then
  local guards = call('HMGET', P .. 'guard', unpack(contacts))
  for index, e in ipairs(found) do
    answer[#answer + 1] = e.attempts + 1
    answer[#answer + 1] = guards[index] or ''
    answer[#answer + 1] = e.since > 0 and e.since or e.first
    answer[#answer + 1] = string.sub(e.value, e.body)
  end
end
return answer
