-- Gives a definition its version: the one it has, else the next.
--
-- KEYS[1]  the hash of its id
-- KEYS[2]  the ids of all definitions
-- ARGV     id, digest, record
-- returns  {version, record, disabled, created}
local versions, ids = KEYS[1], KEYS[2]
local id, digest, record = unpack(ARGV, 1, 3)

local version = redis.call('HGET', versions, 'd' .. digest)
if version then
  local found = redis.call('HMGET', versions, 'v' .. version, 'x' .. version)
  return { version, found[1], found[2] or '0', 0 }
end
version = redis.call('HINCRBY', versions, 'max', 1)
redis.call('HSET', versions, 'd' .. digest, version, 'v' .. version, record)
redis.call('ZADD', ids, 0, id)
return { tostring(version), record, '0', 1 }
