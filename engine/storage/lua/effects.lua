-- The table of effects. `fx` holds each unsettled effect: a head (contact, queue, when it first became pending) and its msgpack.
-- `fxs` holds `state token attempts until flag since reason`; an effect without an entry there is pending and was never tried.
--   p pending, in its queue      c claimed      m marked, sent at most once      r marked, may be sent again
--   d deferred, in `later`       u unknown, listed      x dead, listed
-- A queue's name is `channel:lane:dest|map`. A queue that is not empty stands once in the ring of its channel and lane.
-- A withdrawn effect leaves the table at once; its id stays in the queue and is passed over when its turn comes.
local FX, FXS = P .. 'fx', P .. 'fxs'
local COUNTS, LANES, DEPTH = P .. 'fxn', P .. 'lanes', P .. 'depth'
local GAUGE = {p = 'pending', c = 'pending', m = 'pending', r = 'pending', d = 'pending', u = 'unknown', x = 'dead'}

-- Differences of counters, written once at the end of a script.
local bumps = {[COUNTS] = {}, [LANES] = {}, [DEPTH] = {}}

local function bump(key, field, difference)
  bumps[key][field] = (bumps[key][field] or 0) + difference
end

local function flush()
  for key, fields in pairs(bumps) do
    for field, difference in pairs(fields) do
      if difference ~= 0 and call('HINCRBY', key, field, difference) == 0 and key ~= COUNTS then
        call('HDEL', key, field)
      end
    end
  end
end

-- The head of an effect's value, taken apart.
local function open(value)
  local contact_length, queue_length, first = struct.unpack('>HHd', value)
  local queue = string.sub(value, 13 + contact_length, 12 + contact_length + queue_length)
  local channel, lane, dest, map = string.match(queue, '^([^:]*):([^:]*):([^|]*)|(.*)$')
  return {
    contact = string.sub(value, 13, 12 + contact_length), queue = queue, channel = channel, lane = lane, dest = dest, map = map,
    first = first, body = 13 + contact_length + queue_length,
  }
end

local function read_state(text)
  if not text then
    return {state = 'p', token = '-', attempts = 0, deadline = 0, flag = false, since = 0, reason = ''}
  end
  local state, token, attempts, deadline, flag, since, reason = string.match(text, '^(%a) (%S+) (%d+) (%d+) (%d) (%d+) (.*)$')
  return {
    state = state, token = token, attempts = tonumber(attempts), deadline = tonumber(deadline), flag = flag == '1', since = tonumber(since), reason = reason,
  }
end

local function state_text(s)
  return string.format('%s %s %d %d %d %d %s', s.state, s.token, s.attempts, s.deadline, s.flag and 1 or 0, s.since, s.reason)
end

local function recount(fx, from, into)
  if from ~= into then
    bump(COUNTS, fx.channel .. ':' .. from, -1)
    bump(COUNTS, fx.channel .. ':' .. into, 1)
    if from == 'pending' then bump(DEPTH, fx.channel .. '/' .. fx.dest, -1) end
    if into == 'pending' then bump(DEPTH, fx.channel .. '/' .. fx.dest, 1) end
  end
end

-- Takes the effect out of whatever index its state has it in.
local function unlist(id, fx, state)
  if state == 'c' or state == 'm' or state == 'r' then
    call('ZREM', P .. 'lease:' .. fx.channel, id)
  elseif state == 'd' then
    call('ZREM', P .. 'later:' .. fx.channel, id)
  elseif state == 'u' or state == 'x' then
    call('ZREM', P .. GAUGE[state], id)
  else
    bump(LANES, fx.channel .. ':' .. fx.lane, -1)
  end
end

-- Ends an effect: out of the table, counted as `into`.
local function drop(id, fx, s, into)
  unlist(id, fx, s.state)
  call('HDEL', FX, id)
  call('HDEL', FXS, id)
  recount(fx, GAUGE[s.state], into)
end

-- Puts an effect (back) into its queue, unless it was withdrawn in the meantime.
local function enqueue(id, fx, s, front)
  if s.flag then
    return drop(id, fx, s, 'withdrawn')
  end
  unlist(id, fx, s.state)
  recount(fx, GAUGE[s.state], 'pending')
  s.state, s.token, s.deadline, s.reason = 'p', '-', 0, ''
  call('HSET', FXS, id, state_text(s))
  if call(front and 'LPUSH' or 'RPUSH', P .. 'q:' .. fx.queue, id) == 1 then
    call('RPUSH', P .. 'ring:' .. fx.channel .. ':' .. fx.lane, fx.queue)
  end
  bump(LANES, fx.channel .. ':' .. fx.lane, 1)
end

-- Lists an effect as `u` or `x`; beyond `most` listed ones the oldest is dropped.
local function enlist(id, fx, s, state, now, most)
  unlist(id, fx, s.state)
  recount(fx, GAUGE[s.state], GAUGE[state])
  s.state, s.deadline = state, now
  call('HSET', FXS, id, state_text(s))
  local listing = P .. GAUGE[state]
  call('ZADD', listing, now, id)
  if call('ZCARD', listing) > most then
    local oldest = call('ZRANGE', listing, 0, 0)[1]
    drop(oldest, open(call('HGET', FX, oldest)), read_state(call('HGET', FXS, oldest)), 'dropped')
  end
end

-- No provider may be handed this effect any more: gone at once, or, in a pool's hands, not when it would come back.
local function withdraw(id)
  local value = call('HGET', FX, id)
  if not value then
    return
  end
  local fx, s = open(value), read_state(call('HGET', FXS, id))
  if s.state == 'p' or s.state == 'd' or s.state == 'x' then
    drop(id, fx, s, 'withdrawn')
  else
    s.flag = true
    call('HSET', FXS, id, state_text(s))
  end
end
