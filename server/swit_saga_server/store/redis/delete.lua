-- Removes a terminal saga with its events and index entries.
--
-- KEYS[1]  any key of the partition
-- ARGV     prefix of the partition's keys, saga id, the lease's epoch and nonce, the terminal states
-- returns  1 if it was removed
local p, id = ARGV[1], ARGV[2]
local lease = redis.call('HMGET', p .. 'lease', 'epoch', 'nonce')
if lease[1] ~= ARGV[3] or lease[2] ~= ARGV[4] or ARGV[4] == '' then return 0 end
local saga = redis.call('HMGET', p .. 'saga:' .. id, 'm', 'de', 'lb')
if not saga[1] then return 0 end
local state = saga[1]:match('^%d+ %S+ %d+ (%S+) ')
local terminal = false
for i = 5, #ARGV do terminal = terminal or state == ARGV[i] end
if not terminal then return 0 end
if saga[3] then
  for _, label in ipairs(cmsgpack.unpack(saga[3])) do redis.call('ZREM', p .. 'lab:' .. label, id) end
end
for _, index in ipairs({ 'all', 'upd', 'due', 'fly', 'exp', 'stuck', 'st:' .. state, 'def:' .. saga[2] }) do
  redis.call('ZREM', p .. index, id)
end
redis.call('DEL', p .. 'saga:' .. id, p .. 'ev:' .. id)
return 1
