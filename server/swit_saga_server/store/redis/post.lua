-- Puts an entry into a partition's inbox, once.
--
-- KEYS[1]  any key of the partition
-- ARGV     prefix of the partition's keys, entry id, entry
local p, id, entry = unpack(ARGV, 1, 3)

if redis.call('EXISTS', p .. 'ans:' .. id) == 1 then return 0 end
if redis.call('HSETNX', p .. 'in', id, entry) == 0 then return 0 end
redis.call('ZADD', p .. 'inq', redis.call('INCR', p .. 'inn'), id)
return 1
