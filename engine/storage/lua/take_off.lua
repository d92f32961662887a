-- Take contacts off a fulfillment list whose rows are still the ones of an export; whoever was put on it again meanwhile stays.
-- ARGV: table of the list, table of the export, its scheduled time, contacts. Returns how many were taken off, -1 where the export is gone.
local list, export = P .. 't:' .. ARGV[1], P .. 't:' .. ARGV[2]
if call('HGET', export, '\0') ~= ARGV[3] then
  return -1
end
local contacts = {unpack(ARGV, 4)}
local rows, sent, gone = call('HMGET', list, unpack(contacts)), call('HMGET', export, unpack(contacts)), {}
for index, contact in ipairs(contacts) do
  if rows[index] and rows[index] == sent[index] then gone[#gone + 1] = contact end
end
if #gone > 0 then
  call('HDEL', list, unpack(gone))
end
return #gone
