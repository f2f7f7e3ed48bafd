-- Takes, renews or gives up one partition.
--
-- KEYS[1]  the partition's lease
-- ARGV[1]  acquire | renew | release
-- ARGV[2]  acquire: owner; else: the lease's epoch
-- ARGV[3]  the nonce: a fresh one to acquire with, else the lease's
-- ARGV[4]  the term in microseconds
-- returns  acquire: {epoch, expires}, renew: {expires}, as strings; nothing if it cannot be
local key, verb, who, nonce, term = KEYS[1], unpack(ARGV, 1, 4)

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lease = redis.call('HMGET', key, 'epoch', 'nonce', 'owner', 'expires')
local old_epoch, old_nonce, old_owner, old_expires = unpack(lease, 1, 4)
local expires = string.format('%.0f', now + term)

if verb == 'acquire' then
  if old_epoch and old_owner ~= who and tonumber(old_expires) > now then return nil end
  local epoch = string.format('%.0f', math.max(tonumber(old_epoch or '0') + 1, math.floor(now / 1000)))
  redis.call('HSET', key, 'epoch', epoch, 'nonce', nonce, 'owner', who, 'expires', expires)
  return { epoch, expires }
end
if old_epoch ~= who or old_nonce ~= nonce or nonce == '' then return nil end
if verb == 'renew' then
  redis.call('HSET', key, 'expires', expires)
  return { expires }
end
redis.call('HSET', key, 'nonce', '', 'owner', '', 'expires', '0')
return { '0' }
