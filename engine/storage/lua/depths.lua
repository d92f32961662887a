-- How full the outbox of one partition is. ARGV: channels. Returns for each: queued transactional, queued bulk, claimed, deferred,
-- unknown, dead, first ms of the oldest transactional and of the oldest bulk effect (0 for none; looked for at the heads of 64 queues).
local function oldest(channel, lane)
  local least = 0
  for _, queue in ipairs(call('LRANGE', P .. 'ring:' .. channel .. ':' .. lane, 0, 63)) do
    local id = call('LINDEX', P .. 'q:' .. queue, 0)
    if id then learn({id}) end
    local e = id and known[id]
    if e then
      local first = e.since > 0 and e.since or e.first
      if least == 0 or first < least then least = first end
    end
  end
  return least
end

local answer = {}
for _, channel in ipairs(ARGV) do
  local queued = call('HMGET', LANES, channel .. ':t', channel .. ':b')
  local counts = call('HMGET', COUNTS, channel .. ':unknown', channel .. ':dead')
  answer[#answer + 1] = {
    tonumber(queued[1] or 0), tonumber(queued[2] or 0), call('ZCARD', P .. 'lease:' .. channel), call('ZCARD', P .. 'later:' .. channel),
    tonumber(counts[1] or 0), tonumber(counts[2] or 0), oldest(channel, 't'), oldest(channel, 'b'),
  }
end
return answer
