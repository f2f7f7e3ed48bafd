-- Claims a coordinator's name for one instance of it, or gives it up.
--
-- KEYS[1]  the name
-- ARGV     the instance, for how many milliseconds (0: no longer)
-- returns  who has it: the instance, or the other one that had it before
local name, instance, term = KEYS[1], ARGV[1], tonumber(ARGV[2])

local holder = redis.call('GET', name)
if holder and holder ~= instance then return holder end
if term > 0 then redis.call('SET', name, instance, 'PX', term) else redis.call('DEL', name) end
return instance
