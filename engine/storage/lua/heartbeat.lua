-- What a process is and measures, until it expires. KEYS[1] is the hash of processes. ARGV: name, value, ttl ms.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], struct.pack('>d', now + tonumber(ARGV[3])) .. ARGV[2])
return 1
