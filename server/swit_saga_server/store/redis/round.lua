-- Applies a round: everything is looked at before anything is written, because a script that fails keeps what it wrote.
--
-- KEYS[1]  any key of the partition; only says which node (in a Cluster, a script serves one partition)
-- ARGV[1]  prefix of all keys
-- ARGV[2]  how many milliseconds answers are kept
-- ARGV[3]  how many entries a feed keeps, about
-- ARGV[4]  1: creates without a lease
-- ARGV[5+] the writes: msgpack of {partition, epoch, nonce, id, base, version, commit_id, last_seq, events, mutable field,
--          steps, due, in_flight, state, created, updated, expires, stuck, answers,
--          {} or, if it changed, the origin: {header, labels, definition, inline definition, its digest}};
--          times are strings, since Lua has no 64-bit integers to print
-- returns  a verdict per write: A applied, S already applied (the same), F fenced, C conflict, G events leave a gap
local prefix, keep, feed_length, leaseless = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local leases, writes, verdicts, gap = {}, {}, {}, false

-- The words of a saga's mutable field: version, commit, last sequence, state, due, in flight, stuck.
local WORDS = '^(%d+) (%S+) (%d+) (%S+) (%S+) (%d) (%d) '

for i = 5, #ARGV do
  local w = cmsgpack.unpack(ARGV[i])
  local p = prefix .. '{' .. w[1] .. '}:'
  local mutable = redis.call('HGET', p .. 'saga:' .. w[4], 'm')
  local found = mutable and { mutable:match(WORDS) } or {}
  local verdict
  if found[2] == w[7] then
    verdict = 'S'
  else
    local lease = leases[w[1]]
    if not lease then
      lease = redis.call('HMGET', p .. 'lease', 'epoch', 'nonce')
      leases[w[1]] = lease
    end
    if not leaseless and (lease[1] ~= w[2] or lease[2] ~= w[3] or w[3] == '') then
      verdict = 'F'
    elseif tonumber(found[1] or '0') ~= w[5] then
      verdict = 'C'
    elseif w[6] ~= w[5] and tonumber(found[3] or '0') + #w[9] ~= w[8] then
      verdict, gap = 'G', true
    else
      verdict = 'A'
    end
  end
  verdicts[#verdicts + 1] = verdict
  writes[#writes + 1] = { w, p, mutable, found }
end
if gap then return verdicts end

for i, entry in ipairs(writes) do
  if verdicts[i] == 'A' then
    local w, p, mutable, found = entry[1], entry[2], entry[3], entry[4]
    local id, saga = w[4], p .. 'saga:' .. w[4]
    if w[6] == w[5] then
      -- Inbox entries only; the commit id still marks the resubmission.
      if mutable then
        local rest = mutable:sub(#found[1] + #found[2] + 2)
        redis.call('HSET', saga, 'm', found[1] .. ' ' .. w[7] .. rest)
      end
    else
      local fields = { 'm', w[10] }
      for _, value in ipairs(w[11]) do fields[#fields + 1] = value end
      local origin = w[20]
      if #origin > 0 then
        if w[5] == 0 then
          fields[#fields + 1] = 'de'
          fields[#fields + 1] = origin[3]
          redis.call('ZADD', p .. 'all', w[15], id)
          redis.call('ZADD', p .. 'def:' .. origin[3], w[15], id)
          if origin[4] ~= '' then redis.call('SETNX', p .. 'inl:' .. origin[5], origin[4]) end
        end
        local labels = mutable and redis.call('HGET', saga, 'lb')
        if (labels or '\144') ~= origin[2] then
          -- '\144' is msgpack for no labels.
          if labels then
            for _, label in ipairs(cmsgpack.unpack(labels)) do redis.call('ZREM', p .. 'lab:' .. label, id) end
          end
          for _, label in ipairs(cmsgpack.unpack(origin[2])) do redis.call('ZADD', p .. 'lab:' .. label, w[15], id) end
          fields[#fields + 1] = 'lb'
          fields[#fields + 1] = origin[2]
        end
        fields[#fields + 1] = 'h'
        fields[#fields + 1] = origin[1]
      end
      redis.call('HSET', saga, unpack(fields))
      redis.call('ZADD', p .. 'upd', w[16], id)
      if found[4] ~= w[14] then
        if found[4] then redis.call('ZREM', p .. 'st:' .. found[4], id) end
        redis.call('ZADD', p .. 'st:' .. w[14], w[15], id)
      end
      if w[12] == '0' then redis.call('ZREM', p .. 'due', id) else redis.call('ZADD', p .. 'due', w[12], id) end
      if (found[6] == '1') ~= (w[13] == 1) then
        if w[13] == 1 then redis.call('ZADD', p .. 'fly', 0, id) else redis.call('ZREM', p .. 'fly', id) end
      end
      if w[17] ~= '0' then
        redis.call('ZADD', p .. 'exp', w[17], id)
      elseif w[14] == 'failed' then
        redis.call('ZREM', p .. 'exp', id)
      end
      if (found[7] == '1') ~= (w[18] == 1) then
        if w[18] == 1 then redis.call('ZADD', p .. 'stuck', w[15], id) else redis.call('ZREM', p .. 'stuck', id) end
      end
      if #w[9] > 0 then
        redis.call('RPUSH', p .. 'ev:' .. id, unpack(w[9]))
        local position = redis.call('INCRBY', p .. 'pos', #w[9])
        redis.call('XADD', p .. 'feed', 'MAXLEN', '~', feed_length, string.format('%.0f-0', position),
          'i', id, 'n', #w[9], 'q', w[8])
      end
    end
    for k = 1, #w[19], 2 do
      if redis.call('HDEL', p .. 'in', w[19][k]) == 1 then
        redis.call('ZREM', p .. 'inq', w[19][k])
        redis.call('SET', p .. 'ans:' .. w[19][k], w[19][k + 1], 'PX', keep)
      end
    end
  end
end
return verdicts
