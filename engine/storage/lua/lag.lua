-- How far the commits are behind: records not yet committed, and the age in ms of the oldest.
local meta = call('HMGET', META, 'next', 'offset')
local offset = tonumber(meta[2] or 1)
local behind = tonumber(meta[1] or 1) - offset
if behind <= 0 then
  return {0, 0}
end
local entry = call('XRANGE', P .. 'log', string.format('%.0f-0', offset), '+', 'COUNT', 1)[1]
return {behind, entry and math.max(0, clock() - tonumber(entry[2][2])) or 0}
