-- The guard's text: `channel=status` marks joined by spaces, or the word `erased` (the rules are those of engine/core/guard.py).

-- `text` with the mark of one channel replaced or added.
local function with_mark(text, channel, status)
  local marks = {}
  for mark in string.gmatch(text, '%S+') do
    if string.sub(mark, 1, #channel + 1) ~= channel .. '=' then
      marks[#marks + 1] = mark
    end
  end
  marks[#marks + 1] = channel .. '=' .. status
  return table.concat(marks, ' ')
end

-- Why nothing may be sent on `channel`, or an empty text. Without a channel only an erased contact is refused.
local function refusal(text, channel, default, transactional)
  if text == 'erased' then
    return 'contact erased'
  end
  if channel == '' then
    return ''
  end
  local status = default
  for mark in string.gmatch(text, '%S+') do
    local name, value = string.match(mark, '^([^=]*)=(.*)$')
    if name == channel then
      status = value
    end
  end
  if status == 'subscribed' or (transactional and status == 'transactional_only') then
    return ''
  end
  return channel .. ': ' .. status
end
