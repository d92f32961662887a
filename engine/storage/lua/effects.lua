-- The table of effects. `fx` holds each unsettled effect: a head (contact, queue, when it first became pending) and its msgpack.
-- `fxs` holds `state token attempts deadline flag since reason`; an effect without an entry there is pending and was never tried.
--   p pending, in its queue      c claimed      m marked, sent at most once      r marked, may be sent again
--   d deferred, in `later`       u unknown, listed      x dead, listed
-- A queue's name is `channel:lane:dest|map`. A queue that is not empty stands once in the ring of its channel and lane.
-- A withdrawn effect leaves the table at once; its id stays in the queue and is passed over when its turn comes.
-- A script reads effects in bulk with `learn`, changes them here in Lua, and writes all changes in bulk with `flush`.
local FX, FXS = P .. 'fx', P .. 'fxs'
local COUNTS, LANES, DEPTH = P .. 'fxn', P .. 'lanes', P .. 'depth'
local GAUGE = {p = 'pending', c = 'pending', m = 'pending', r = 'pending', d = 'pending', u = 'unknown', x = 'dead'}

local known = {} -- id → effect, false where there is none (any more)
local changed, gone = {}, {} -- ids whose state is to be written; ids to be deleted
local joining, leaving = {}, {} -- sorted sets: key → score, id, …; key → id, …
local bumps = {[COUNTS] = {}, [LANES] = {}, [DEPTH] = {}} -- differences of counters
local queues = {} -- a queue's name, taken apart

local function bump(key, field, difference)
  bumps[key][field] = (bumps[key][field] or 0) + difference
end

local function list_of(lists, key)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  return list
end

local function join(key, score, id)
  local list = list_of(joining, key)
  local size = #list
  list[size + 1], list[size + 2] = score, id
end

local function leave(key, id)
  local list = list_of(leaving, key)
  list[#list + 1] = id
end

local function apply(command, key, list)
  for first = 1, #list, 4000 do
    call(command, key, unpack(list, first, math.min(first + 3999, #list)))
  end
end

local function queue_of(name)
  local queue = queues[name]
  if not queue then
    queue = {name = name}
    queue.channel, queue.lane, queue.dest, queue.map = string.match(name, '^([^:]*):([^:]*):([^|]*)|(.*)$')
    queue.laned, queue.place = queue.channel .. ':' .. queue.lane, queue.channel .. '/' .. queue.dest
    queues[name] = queue
  end
  return queue
end

local function effect_from(id, value, text)
  local contact_length, queue_length, first = struct.unpack('>HHd', value)
  local e = {
    id = id, value = value, first = first, body = 13 + contact_length + queue_length, contact = string.sub(value, 13, 12 + contact_length),
    queue = queue_of(string.sub(value, 13 + contact_length, 12 + contact_length + queue_length)),
    state = 'p', token = '-', attempts = 0, deadline = 0, flag = '0', since = 0, reason = '',
  }
  if text then
    e.state, e.token, e.attempts, e.deadline, e.flag, e.since, e.reason = string.match(text, '^(%a) (%S+) (%d+) (%d+) (%d) (%d+) (.*)$')
    e.attempts, e.since = tonumber(e.attempts), tonumber(e.since)
  end
  return e
end

-- Reads effects that are not known yet.
local function learn(ids)
  for first = 1, #ids, 4000 do
    local last = math.min(first + 3999, #ids)
    local values, texts = call('HMGET', FX, unpack(ids, first, last)), call('HMGET', FXS, unpack(ids, first, last))
    for index, value in ipairs(values) do
      local id = ids[first + index - 1]
      if known[id] == nil then
        known[id] = value and effect_from(id, value, texts[index])
      end
    end
  end
end

-- ARGV[from], ARGV[from + step], …
local function arguments(from, step)
  local found = {}
  for at = from, #ARGV, step do found[#found + 1] = ARGV[at] end
  return found
end

local function change(e)
  if not e.changed then
    e.changed = true
    changed[#changed + 1] = e
  end
end

-- Writes what was changed. Nothing may be learned after it.
local function flush()
  local texts = {}
  for _, e in ipairs(changed) do
    if known[e.id] then
      texts[#texts + 1] = e.id
      texts[#texts + 1] = string.format('%s %s %d %.0f %s %.0f %s', e.state, e.token, e.attempts, e.deadline, e.flag, e.since, e.reason)
    end
  end
  apply('HSET', FXS, texts)
  apply('HDEL', FX, gone)
  apply('HDEL', FXS, gone)
  for key, ids in pairs(leaving) do apply('ZREM', key, ids) end
  for key, pairs_joining in pairs(joining) do apply('ZADD', key, pairs_joining) end
  for key, fields in pairs(bumps) do
    for field, difference in pairs(fields) do
      if difference ~= 0 and call('HINCRBY', key, field, difference) == 0 and key ~= COUNTS then
        call('HDEL', key, field)
      end
    end
  end
end

local function recount(e, from, into)
  if from ~= into then
    bump(COUNTS, e.queue.channel .. ':' .. from, -1)
    bump(COUNTS, e.queue.channel .. ':' .. into, 1)
    if from == 'pending' then bump(DEPTH, e.queue.place, -1) end
    if into == 'pending' then bump(DEPTH, e.queue.place, 1) end
  end
end

-- Takes the effect out of whatever index its state has it in.
local function unlist(e)
  if e.state == 'p' then
    bump(LANES, e.queue.laned, -1)
  elseif e.state == 'd' then
    leave(P .. 'later:' .. e.queue.channel, e.id)
  elseif e.state == 'u' or e.state == 'x' then
    call('ZREM', P .. GAUGE[e.state], e.id)
  else
    leave(P .. 'lease:' .. e.queue.channel, e.id)
  end
end

-- Ends an effect: out of the table, counted as `into`.
local function drop(e, into)
  unlist(e)
  recount(e, GAUGE[e.state], into)
  known[e.id] = false
  gone[#gone + 1] = e.id
end

-- Puts an effect (back) into its queue, unless it was withdrawn in the meantime.
local function enqueue(e, front)
  if e.flag == '1' then
    return drop(e, 'withdrawn')
  end
  unlist(e)
  recount(e, GAUGE[e.state], 'pending')
  e.state, e.token, e.deadline, e.reason = 'p', '-', 0, ''
  change(e)
  if call(front and 'LPUSH' or 'RPUSH', P .. 'q:' .. e.queue.name, e.id) == 1 then
    call('RPUSH', P .. 'ring:' .. e.queue.laned, e.queue.name)
  end
  bump(LANES, e.queue.laned, 1)
end

-- Into a pool's hands until `deadline`: claimed, or marked.
local function hold(e, state, deadline)
  e.state, e.deadline = state, deadline
  change(e)
  join(P .. 'lease:' .. e.queue.channel, deadline, e.id)
end

-- Lets an effect wait until a time.
local function defer(e, due)
  unlist(e)
  recount(e, GAUGE[e.state], 'pending')
  e.state, e.token, e.deadline = 'd', '-', due
  change(e)
  join(P .. 'later:' .. e.queue.channel, due, e.id)
end

-- Lists an effect as `u` or `x`; beyond `most` listed ones the oldest is dropped.
local function enlist(e, state, now, most)
  unlist(e)
  recount(e, GAUGE[e.state], GAUGE[state])
  e.state, e.deadline = state, now
  change(e)
  local listing = P .. GAUGE[state]
  call('ZADD', listing, now, e.id)
  if call('ZCARD', listing) > most then
    local oldest = call('ZRANGE', listing, 0, 0)
    learn(oldest)
    drop(known[oldest[1]], 'dropped')
  end
end

-- No provider may be handed this effect any more: gone at once, or, in a pool's hands, not when it would come back.
local function withdraw(e)
  if e.state == 'p' or e.state == 'd' or e.state == 'x' then
    drop(e, 'withdrawn')
  else
    e.flag = '1'
    change(e)
  end
end
