-- Numbering the log. An entry's id is `<number of its last record>-<how many it holds>`, so that XRANGE from any number finds the
-- entry that holds it. The stream is written first: an error there leaves the numbers as they were.

-- True while fewer than `bound` records wait to be committed.
local function has_room(bound)
  local meta = call('HMGET', META, 'next', 'offset')
  return tonumber(meta[1] or 1) - tonumber(meta[2] or 1) < bound
end

-- Appends count, blob pairs of `list` from index `from` on; the number of the first record.
local function append(list, from)
  local meta = call('HMGET', META, 'next', 'stamp')
  local first = tonumber(meta[1] or 1)
  local stamp = math.max(tonumber(meta[2] or 0), clock())
  local after = first
  for at = from, #list, 2 do
    local count = tonumber(list[at])
    after = after + count
    call('XADD', P .. 'log', string.format('%.0f-%.0f', after - 1, count), 't', stamp, 'b', list[at + 1])
  end
  call('HSET', META, 'next', after, 'stamp', stamp)
  return first
end
