-- Answers inbox entries that changed nothing; no saga is written.
--
-- KEYS[1]  any key of the partition; only says which node
-- ARGV     prefix of the partition's keys, how many milliseconds answers are kept, saga id, the version that the answers
--          rest on (empty: on none), the lease's epoch and nonce, then entry id and answer of each
-- returns  A applied, F fenced, C conflict
local p, keep, id, base, epoch, nonce = unpack(ARGV, 1, 6)

local lease = redis.call('HMGET', p .. 'lease', 'epoch', 'nonce')
if lease[1] ~= epoch or lease[2] ~= nonce or nonce == '' then return 'F' end
local mutable = redis.call('HGET', p .. 'saga:' .. id, 'm')
local version = mutable and mutable:match('^(%d+) ') or '0'
if base ~= '' and version ~= base then return 'C' end
for k = 7, #ARGV, 2 do
  local entry, answer = ARGV[k], ARGV[k + 1]
  if redis.call('HDEL', p .. 'in', entry) == 1 then
    redis.call('ZREM', p .. 'inq', entry)
    redis.call('SET', p .. 'ans:' .. entry, answer, 'PX', keep)
  end
end
return 'A'
