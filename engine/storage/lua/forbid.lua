-- Marks in the guard that a record makes before it is read. Each is held, with its record's number, until a commit has passed that
-- number: a commit of older records must not undo it. It only makes stricter; what the record allows comes with its commit.
local NOTHING = {unsubscribed = true, bounced = true, complained = true}

local function forbid(number, contact, channel, status)
  local text = call('HGET', P .. 'guard', contact) or ''
  for mark in string.gmatch(text, '%S+') do
    local name, stands = string.match(mark, '^([^=]*)=(.*)$')
    if name == channel and NOTHING[stands] and not NOTHING[status] then status = stands end
  end
  if text ~= 'erased' then
    call('HSET', P .. 'guard', contact, with_mark(text, channel, status))
  end
  local held = string.match(call('HGET', P .. 'held', contact) or '', '^%d+ (.*)$') or ''
  call('HSET', P .. 'held', contact, string.format('%.0f ', number) .. with_mark(held, channel, status))
  call('ZADD', P .. 'held:at', number, contact)
end
