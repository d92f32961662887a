-- Shared by every script of one partition: KEYS[1] is its meta hash, `{p7}:meta`, and all its keys begin with the same `{p7}:`.
local call = redis.call
local META = KEYS[1]
local P = string.sub(META, 1, -5)

-- Milliseconds of the server's clock.
local function clock()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Runs `command` on ARGV[from .. from + count - 1]; at most 4,000 values at a time, since Lua's stack is bounded.
local function spread(command, key, from, count)
  local last = from + count - 1
  for first = from, last, 4000 do
    call(command, key, unpack(ARGV, first, math.min(first + 3999, last)))
  end
end
