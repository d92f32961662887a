-- Settle effects and append their outcomes, in one breath. ARGV: bound on uncommitted records, most listed, then for each id, token,
-- state, due ms, whether it counts as an attempt, reason, msgpack of the Outcome or an empty text.
-- Returns per effect 1, or 0 where the token does not hold or the move is not one of the table's; FULL, with nothing done, where
-- the log has no room for the outcomes.
local GONE = {delivered = true, rejected = true, suppressed = true, withdrawn = true, dropped = true}
local LEGAL = {
  c = {rejected = true, deferred = true, dead = true, suppressed = true, withdrawn = true, dropped = true},
  m = {delivered = true, rejected = true, deferred = true, unknown = true, dead = true, suppressed = true, withdrawn = true, dropped = true},
  u = {delivered = true, rejected = true, deferred = true, dead = true, dropped = true},
}
LEGAL.r = LEGAL.m
local now, listed_max = clock(), tonumber(ARGV[2])

local function settle(e, token, state, due, attempted, reason)
  if not e or e.token ~= token or not (LEGAL[e.state] and LEGAL[e.state][state]) then
    return 0
  end
  if GONE[state] then
    drop(e, state)
    return 1
  end
  if attempted then e.attempts = e.attempts + 1 end
  e.reason = reason
  if state == 'unknown' then
    enlist(e, 'u', now, listed_max)
  elseif state == 'dead' then
    e.token = '-'
    enlist(e, 'x', now, listed_max)
  elseif e.flag == '1' then
    drop(e, 'withdrawn')
  else
    defer(e, due)
  end
  return 1
end

local wanted = false
for at = 9, #ARGV, 7 do
  if ARGV[at] ~= '' then wanted = true end
end
if wanted and not has_room(tonumber(ARGV[1])) then
  return redis.error_reply('FULL the log of this partition has no room for outcomes')
end

learn(arguments(3, 7))
local answers, reports = {}, {}
for at = 3, #ARGV, 7 do
  local done = settle(known[ARGV[at]], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] == '1', ARGV[at + 5])
  answers[#answers + 1] = done
  if done == 1 and ARGV[at + 6] ~= '' then
    reports[#reports + 1] = ARGV[at + 6]
  end
end
if #reports > 0 then
  append({#reports, struct.pack('>BH', 0xdc, #reports) .. table.concat(reports)}, 1)
end
flush()
return answers
