-- Copy the rows of a fulfillment list into an export of it, once: an export that stands is never changed by this, however often it is asked
-- for, and an older one never takes the place of a newer one. ARGV: table of the list, table of the export, its scheduled time, its life in ms.
-- Returns how many rows the export has, -1 where a newer one stands. The field that is one zero byte holds the export's time.
local list, export, due = P .. 't:' .. ARGV[1], P .. 't:' .. ARGV[2], tonumber(ARGV[3])
local stands = tonumber(call('HGET', export, '\0') or 0)
if stands > due then
  return -1
end
if stands < due then
  call('UNLINK', export)
  call('COPY', list, export)
  call('HSET', export, '\0', ARGV[3])
  call('PEXPIRE', export, ARGV[4])
end
return call('HLEN', export) - 1
