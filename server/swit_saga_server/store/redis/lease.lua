-- Takes, renews or gives up one partition.
--
-- KEYS[1]  the partition's lease
-- ARGV[1]  acquire | renew | release
-- ARGV[2]  acquire: owner; else: the lease's epoch
-- ARGV[3]  the nonce: a fresh one to acquire with, else the lease's
-- ARGV[4]  the term in microseconds
-- returns  acquire: {epoch, expires}, renew: {expires}, as strings; nothing if it cannot be
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lease = redis.call('HMGET', KEYS[1], 'epoch', 'nonce', 'owner', 'expires')
local expires = string.format('%.0f', now + ARGV[4])

if ARGV[1] == 'acquire' then
  if lease[1] and lease[3] ~= ARGV[2] and tonumber(lease[4]) > now then return nil end
  local epoch = string.format('%.0f', math.max(tonumber(lease[1] or '0') + 1, math.floor(now / 1000)))
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'nonce', ARGV[3], 'owner', ARGV[2], 'expires', expires)
  return { epoch, expires }
end
if lease[1] ~= ARGV[2] or lease[2] ~= ARGV[3] or ARGV[3] == '' then return nil end
if ARGV[1] == 'renew' then
  redis.call('HSET', KEYS[1], 'expires', expires)
  return { expires }
end
redis.call('HSET', KEYS[1], 'nonce', '', 'owner', '', 'expires', '0')
return { '0' }
