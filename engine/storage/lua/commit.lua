-- One partition's commit: all that a batch changed. The owner's token, the number of the last commit, the offset and the types of the
-- keys are checked before anything is written, and the meta hash is written last, so an error half way leaves the old offset.
-- ARGV: token, expected commit, offset, time, snapshot, most set aside, scan; then sections, each its count of values and the values.
local SECTIONS = {
  'contacts', 'contacts_gone', 'due', 'due_gone', 'effects', 'queues', 'later', 'withdrawn', 'posts', 'marks',
  'rows', 'rows_gone', 'guard', 'guard_gone', 'index', 'index_gone', 'parked', 'unparked', 'counters', 'dedupe', 'set_aside',
}
local from, count = {}, {}
local cursor = 8
for _, name in ipairs(SECTIONS) do
  count[name] = tonumber(ARGV[cursor])
  from[name] = cursor + 1
  cursor = cursor + 1 + count[name]
end

-- Calls `visit(head, first, size)` for each group `head…, size, values…` of a section, with `heads` values in its head.
local function groups(name, heads, visit)
  local at = from[name]
  while at < from[name] + count[name] do
    local size = tonumber(ARGV[at + heads])
    visit(at, at + heads + 1, size)
    at = at + heads + 1 + size
  end
end

local meta = call('HMGET', META, 'token', 'commit', 'offset', 'time', 'posted')
if meta[1] ~= ARGV[1] then
  return redis.error_reply('FENCED another owner holds this partition')
end
local commit = tonumber(meta[2] or 0)
if commit ~= tonumber(ARGV[2]) then
  return redis.error_reply('FENCED the last commit is ' .. commit .. ', not ' .. ARGV[2])
end
if tonumber(ARGV[3]) < tonumber(meta[3] or 1) then
  return redis.error_reply('ERR the offset of a commit must not run back')
end

local function check(key, kind)
  local found = call('TYPE', P .. key)['ok']
  if found ~= 'none' and found ~= kind then
    error({err = 'ERR key ' .. P .. key .. ' holds a ' .. found .. ' where a ' .. kind .. ' should be'})
  end
end
local KEYS_USED = {
  contacts = {'cp', 'hash'}, contacts_gone = {'cp', 'hash'}, due = {'due', 'zset'}, due_gone = {'due', 'zset'}, effects = {'fx', 'hash'},
  posts = {'posts', 'stream'}, marks = {'marks', 'hash'}, guard = {'guard', 'hash'}, guard_gone = {'guard', 'hash'},
  index = {'ix', 'zset'}, index_gone = {'ix', 'zset'}, counters = {'n', 'hash'}, set_aside = {'aside', 'list'},
}
for name, used in pairs(KEYS_USED) do
  if count[name] > 0 then check(used[1], used[2]) end
end
if count.effects > 0 or count.withdrawn > 0 or count.parked > 0 or count.unparked > 0 then
  for _, key in ipairs({'fxs', 'fxn', 'lanes', 'depth'}) do check(key, 'hash') end
  check('dead', 'zset')
end
check('held', 'hash')
check('held:at', 'zset')
groups('queues', 4, function(at)
  check('q:' .. ARGV[at], 'list')
  check('ring:' .. ARGV[at + 1] .. ':' .. ARGV[at + 2], 'list')
end)
groups('later', 2, function(at) check('later:' .. ARGV[at], 'zset') end)
groups('rows', 1, function(at) check('t:' .. ARGV[at], 'hash') end)
groups('rows_gone', 1, function(at) check('t:' .. ARGV[at], 'hash') end)
groups('parked', 1, function(at) check('parked:' .. ARGV[at], 'list') end)
groups('unparked', 1, function(at) check('parked:' .. ARGV[at], 'list') end)
if count.dedupe > 0 then
  check('dd', 'zset')
  check('dd:' .. ARGV[from.dedupe], 'string')
end

spread('HSET', P .. 'cp', from.contacts, count.contacts)
spread('HDEL', P .. 'cp', from.contacts_gone, count.contacts_gone)
spread('ZADD', P .. 'due', from.due, count.due)
spread('ZREM', P .. 'due', from.due_gone, count.due_gone)
spread('ZADD', P .. 'ix', from.index, count.index)
spread('ZREM', P .. 'ix', from.index_gone, count.index_gone)

spread('HSET', FX, from.effects, count.effects)
groups('queues', 4, function(at, first, size)
  local queue, channel, lane = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local was = call('LLEN', P .. 'q:' .. queue)
  spread('RPUSH', P .. 'q:' .. queue, first, size)
  if was == 0 then
    call('RPUSH', P .. 'ring:' .. channel .. ':' .. lane, queue)
  end
  bump(LANES, channel .. ':' .. lane, size)
  bump(COUNTS, channel .. ':decided', size)
  bump(COUNTS, channel .. ':pending', size)
  bump(DEPTH, channel .. '/' .. ARGV[at + 3], size)
end)
groups('later', 2, function(at, first, size)
  local channel = ARGV[at]
  spread('ZADD', P .. 'later:' .. channel, first, size)
  for index = first + 1, first + size, 2 do
    call('HSET', FXS, ARGV[index], 'd - 0 0 0 0 ')
  end
  bump(COUNTS, channel .. ':decided', size / 2)
  bump(COUNTS, channel .. ':pending', size / 2)
  bump(DEPTH, channel .. '/' .. ARGV[at + 1], size / 2)
end)
if count.withdrawn > 0 then
  local ids = {}
  for at = from.withdrawn, from.withdrawn + count.withdrawn - 1 do ids[#ids + 1] = ARGV[at] end
  learn(ids)
  for _, id in ipairs(ids) do
    if known[id] then withdraw(known[id]) end
  end
end

local posted = tonumber(meta[5] or 0)
for at = from.posts, from.posts + count.posts - 1 do
  posted = posted + 1
  call('XADD', P .. 'posts', string.format('%.0f-0', posted), 'b', ARGV[at])
end
spread('HSET', P .. 'marks', from.marks, count.marks)
groups('rows', 1, function(at, first, size) spread('HSET', P .. 't:' .. ARGV[at], first, size) end)
groups('rows_gone', 1, function(at, first, size) spread('HDEL', P .. 't:' .. ARGV[at], first, size) end)

-- Marks that an unsubscribe made and whose record this commit has not reached stand over what the commit says.
spread('HSET', P .. 'guard', from.guard, count.guard)
spread('HDEL', P .. 'guard', from.guard_gone, count.guard_gone)
if call('EXISTS', P .. 'held') == 1 then
  local function uphold(contact, text)
    local number, marks = string.match(call('HGET', P .. 'held', contact) or '', '^(%d+) (.*)$')
    if number and tonumber(number) >= tonumber(ARGV[3]) and text ~= 'erased' then
      for channel, status in string.gmatch(marks, '([^= ]+)=(%S+)') do
        text = with_mark(text, channel, status)
      end
      call('HSET', P .. 'guard', contact, text)
    end
  end
  for at = from.guard, from.guard + count.guard - 1, 2 do uphold(ARGV[at], ARGV[at + 1]) end
  for at = from.guard_gone, from.guard_gone + count.guard_gone - 1 do uphold(ARGV[at], '') end
  local passed = call('ZRANGEBYSCORE', P .. 'held:at', '-inf', '(' .. ARGV[3], 'LIMIT', 0, 1000)
  if #passed > 0 then
    call('HDEL', P .. 'held', unpack(passed))
    call('ZREM', P .. 'held:at', unpack(passed))
  end
end

groups('parked', 1, function(at, first, size)
  spread('RPUSH', P .. 'parked:' .. ARGV[at], first, size)
  bump(DEPTH, 'parked:' .. ARGV[at], size)
end)
groups('unparked', 1, function(at, first)
  local taken = call('LPOP', P .. 'parked:' .. ARGV[at], ARGV[first])
  bump(DEPTH, 'parked:' .. ARGV[at], -#(taken or {}))
end)
for at = from.counters, from.counters + count.counters - 1, 2 do
  call('HINCRBY', P .. 'n', ARGV[at], ARGV[at + 1])
end

-- Dedupe keys: bucket, keys joined, lifetime ms, most buckets.
if count.dedupe > 0 then
  local bucket, keys = ARGV[from.dedupe], ARGV[from.dedupe + 1]
  local key = P .. 'dd:' .. bucket
  if call('APPEND', key, keys) == #keys then
    call('ZADD', P .. 'dd', bucket, bucket)
    while call('ZCARD', P .. 'dd') > tonumber(ARGV[from.dedupe + 3]) do
      call('DEL', P .. 'dd:' .. call('ZPOPMIN', P .. 'dd')[1])
    end
  end
  call('PEXPIRE', key, ARGV[from.dedupe + 2])
end
if count.set_aside > 0 then
  spread('RPUSH', P .. 'aside', from.set_aside, count.set_aside)
  call('LTRIM', P .. 'aside', -ARGV[6], -1)
end

flush()
call('HSET', META, 'commit', commit + 1, 'offset', ARGV[3], 'time', math.max(tonumber(ARGV[4]), tonumber(meta[4] or 0)), 'snapshot', ARGV[5], 'posted', posted, 'scan', ARGV[7], 'attempt', 0)
return commit + 1
