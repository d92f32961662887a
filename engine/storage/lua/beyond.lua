-- One write that may go beyond `maxmemory`: what operates a deployment must work on a full server. ARGV: the command without its key.
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
