-- Removes a terminal saga with its events and index entries.
--
-- KEYS[1]  any key of the partition
-- ARGV     prefix of the partition's keys, saga id, the lease's epoch and nonce, the terminal states
-- returns  1 if it was removed
local p, id, epoch, nonce = unpack(ARGV, 1, 4)

local lease = redis.call('HMGET', p .. 'lease', 'epoch', 'nonce')
if lease[1] ~= epoch or lease[2] ~= nonce or nonce == '' then return 0 end
local saga = redis.call('HMGET', p .. 'saga:' .. id, 'm', 'de', 'lb')
local mutable, definition, labels = saga[1], saga[2], saga[3]
if not mutable then return 0 end
-- The fourth word is the state (see round.lua). A state that this version does not know is not terminal to it.
local state = mutable:match('^%d+ %S+ %d+ (%S+) ')
local terminal = false
for i = 5, #ARGV do terminal = terminal or state == ARGV[i] end
if not terminal then return 0 end
if labels then
  for _, label in ipairs(cmsgpack.unpack(labels)) do redis.call('ZREM', p .. 'lab:' .. label, id) end
end
for _, index in ipairs({ 'all', 'upd', 'due', 'fly', 'exp', 'stuck', 'st:' .. state, 'def:' .. definition }) do
  redis.call('ZREM', p .. index, id)
end
redis.call('DEL', p .. 'saga:' .. id, p .. 'ev:' .. id)
return 1
