-- Append the record of an unsubscribe, and forbid at once. ARGV: contact, channel, status, blob of the record.
local number = append({1, ARGV[4]}, 1)
forbid(number, ARGV[1], ARGV[2], ARGV[3])
return number
