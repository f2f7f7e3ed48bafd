-- Gives a definition its version: the one it has, else the next.
--
-- KEYS[1]  the hash of its id
-- KEYS[2]  the ids of all definitions
-- ARGV     id, digest, record
-- returns  {version, record, disabled, created}
local version = redis.call('HGET', KEYS[1], 'd' .. ARGV[2])
if version then
  local found = redis.call('HMGET', KEYS[1], 'v' .. version, 'x' .. version)
  return { version, found[1], found[2] or '0', 0 }
end
version = redis.call('HINCRBY', KEYS[1], 'max', 1)
redis.call('HSET', KEYS[1], 'd' .. ARGV[2], version, 'v' .. version, ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return { tostring(version), ARGV[3], '0', 1 }
