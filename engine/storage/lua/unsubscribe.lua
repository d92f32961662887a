-- Write a consent mark into the guard and append the record that says so. ARGV: contact, channel, status, blob of the record.
-- The mark is held, with the record's number, until a commit has passed that number: a commit of older records must not undo it.
local contact, channel, status = ARGV[1], ARGV[2], ARGV[3]
local number = append({1, ARGV[4]}, 1)
local text = call('HGET', P .. 'guard', contact) or ''
if text ~= 'erased' then
  call('HSET', P .. 'guard', contact, with_mark(text, channel, status))
end
local held = string.match(call('HGET', P .. 'held', contact) or '', '^%d+ (.*)$') or ''
call('HSET', P .. 'held', contact, string.format('%.0f ', number) .. with_mark(held, channel, status))
call('ZADD', P .. 'held:at', number, contact)
return number
