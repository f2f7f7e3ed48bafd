-- Applies a round: everything is looked at before anything is written, because a script that fails keeps what it wrote.
--
-- KEYS[1]  any key of the partition; only says which node (in a Cluster, a script serves one partition)
-- ARGV[1]  prefix of all keys
-- ARGV[2]  how many milliseconds answers are kept
-- ARGV[3]  how many entries a feed keeps, about
-- ARGV[4]  1: creates without a lease
-- ARGV[5+] the writes: msgpack of {partition, epoch, nonce, id, base, version, commit_id, last_seq, events, header,
--          steps, due, in_flight, state, created, updated, definition, labels, expires, stuck, answers, step count,
--          inline definition, its digest};
--          times are strings, since Lua has no 64-bit integers to print
-- returns  a verdict per write: A applied, S already applied (the same), F fenced, C conflict, G events leave a gap
local prefix, keep, feed_length, leaseless = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local leases, writes, verdicts, gap = {}, {}, {}, false

for i = 5, #ARGV do
  local w = cmsgpack.unpack(ARGV[i])
  local p = prefix .. '{' .. w[1] .. '}:'
  local found = redis.call('HMGET', p .. 'saga:' .. w[4], 'v', 'c', 'q', 'st', 'lb')
  local version = tonumber(found[1] or '0')
  local verdict
  if found[2] and found[2] == w[7] then
    verdict = 'S'
  else
    local lease = leases[w[1]]
    if not lease then
      lease = redis.call('HMGET', p .. 'lease', 'epoch', 'nonce')
      leases[w[1]] = lease
    end
    if not leaseless and (lease[1] ~= w[2] or lease[2] ~= w[3] or w[3] == '') then
      verdict = 'F'
    elseif version ~= w[5] then
      verdict = 'C'
    elseif w[6] ~= w[5] and tonumber(found[3] or '0') + #w[9] ~= w[8] then
      verdict, gap = 'G', true
    else
      verdict = 'A'
    end
  end
  verdicts[#verdicts + 1] = verdict
  writes[#writes + 1] = { w, p, found }
end
if gap then return verdicts end

for i, entry in ipairs(writes) do
  if verdicts[i] == 'A' then
    local w, p, found = entry[1], entry[2], entry[3]
    local id, saga = w[4], p .. 'saga:' .. w[4]
    if w[6] == w[5] then
      -- Inbox entries only; the commit id still marks the resubmission.
      if found[1] then redis.call('HSET', saga, 'c', w[7]) end
    else
      local fields = { 'v', w[6], 'c', w[7], 'q', w[8], 'h', w[10], 'st', w[14], 'du', w[12] }
      for _, value in ipairs(w[11]) do fields[#fields + 1] = value end
      if w[5] == 0 then
        for _, value in ipairs({ 'n', w[22], 'cr', w[15], 'de', w[17] }) do fields[#fields + 1] = value end
        redis.call('ZADD', p .. 'all', w[15], id)
        redis.call('ZADD', p .. 'def:' .. w[17], w[15], id)
        if w[23] ~= '' then redis.call('SETNX', p .. 'inl:' .. w[24], w[23]) end
      end
      if (found[5] or '\144') ~= w[18] then
        -- '\144' is msgpack for no labels.
        if found[5] then
          for _, label in ipairs(cmsgpack.unpack(found[5])) do redis.call('ZREM', p .. 'lab:' .. label, id) end
        end
        for _, label in ipairs(cmsgpack.unpack(w[18])) do redis.call('ZADD', p .. 'lab:' .. label, w[15], id) end
        fields[#fields + 1] = 'lb'
        fields[#fields + 1] = w[18]
      end
      redis.call('HSET', saga, unpack(fields))
      redis.call('ZADD', p .. 'upd', w[16], id)
      if found[4] ~= w[14] then
        if found[4] then redis.call('ZREM', p .. 'st:' .. found[4], id) end
        redis.call('ZADD', p .. 'st:' .. w[14], w[15], id)
      end
      if w[12] == '0' then redis.call('ZREM', p .. 'due', id) else redis.call('ZADD', p .. 'due', w[12], id) end
      if w[13] == 1 then redis.call('ZADD', p .. 'fly', 0, id) else redis.call('ZREM', p .. 'fly', id) end
      if w[19] == '0' then
        if w[14] == 'failed' then redis.call('ZREM', p .. 'exp', id) end
      else
        redis.call('ZADD', p .. 'exp', w[19], id)
      end
      if w[20] == 1 then redis.call('ZADD', p .. 'stuck', w[15], id) else redis.call('ZREM', p .. 'stuck', id) end
      if #w[9] > 0 then
        redis.call('RPUSH', p .. 'ev:' .. id, unpack(w[9]))
        local position = redis.call('INCRBY', p .. 'pos', #w[9])
        redis.call('XADD', p .. 'feed', 'MAXLEN', '~', feed_length, string.format('%.0f-0', position),
          'i', id, 'n', #w[9], 'q', w[8])
      end
    end
    for k = 1, #w[21], 2 do
      if redis.call('HDEL', p .. 'in', w[21][k]) == 1 then
        redis.call('ZREM', p .. 'inq', w[21][k])
        redis.call('SET', p .. 'ans:' .. w[21][k], w[21][k + 1], 'PX', keep)
      end
    end
  end
end
return verdicts
