-- Applies a round: everything is looked at before anything is written, because a script that fails keeps what it wrote.
--
-- KEYS[1]  any key of the partition; only says which node (in a Cluster, a script serves one partition)
-- ARGV[1]  prefix of all keys
-- ARGV[2]  how many milliseconds answers are kept
-- ARGV[3]  how many entries a feed keeps, about
-- ARGV[4]  1: creates without a lease
-- ARGV[5+] the writes: msgpack of the values named below, in that order (encode.py makes them, of the same version: a
--          script and its arguments travel together); times are strings, since Lua has no 64-bit integers to print
-- returns  a verdict per write: A applied, S already applied (the same), F fenced, C conflict, G events leave a gap
local prefix, keep, feed_length, leaseless = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local leases, writes, verdicts, gap = {}, {}, {}, false

-- The words of a saga's mutable field: version, commit, last sequence, state, due, in flight, stuck. They are stored:
-- scripts of other versions read them, too. New words are only ever appended, before the line's end (see keys.py).
local WORDS = '^(%d+) (%S+) (%d+) (%S+) (%S+) (%d) (%d) '

for i = 5, #ARGV do
  local write = cmsgpack.unpack(ARGV[i])
  local partition, epoch, nonce, id, base, commit, last_sequence, events = unpack(write, 1, 8)
  local p = prefix .. '{' .. partition .. '}:'
  local mutable = redis.call('HGET', p .. 'saga:' .. id, 'm')
  local old_version, old_commit, old_sequence, old_state, _, old_in_flight, old_stuck
  if mutable then
    old_version, old_commit, old_sequence, old_state, _, old_in_flight, old_stuck = mutable:match(WORDS)
  end
  local verdict
  if old_commit == commit then
    verdict = 'S'
  else
    local lease = leases[partition]
    if not lease then
      lease = redis.call('HMGET', p .. 'lease', 'epoch', 'nonce')
      leases[partition] = lease
    end
    if not leaseless and (lease[1] ~= epoch or lease[2] ~= nonce or nonce == '') then
      verdict = 'F'
    elseif tonumber(old_version or '0') ~= base then
      verdict = 'C'
    elseif tonumber(old_sequence or '0') + #events ~= last_sequence then
      verdict, gap = 'G', true
    else
      verdict = 'A'
      writes[#writes + 1] = { write, p, old_state, old_in_flight, old_stuck }
    end
  end
  verdicts[#verdicts + 1] = verdict
end
if gap then return verdicts end

for _, taken in ipairs(writes) do
  local write, p, old_state, old_in_flight, old_stuck = unpack(taken, 1, 5)
  local _, _, _, id, base, _, last_sequence, events,
    mutable, steps, due, in_flight, state, created, updated, expires, stuck, answers, origin = unpack(write, 1, 19)
  local saga = p .. 'saga:' .. id
  local fields = { 'm', mutable }
  for _, value in ipairs(steps) do fields[#fields + 1] = value end
  if #origin > 0 then
    local started_with, labels, definition, inline, inline_digest = unpack(origin, 1, 5)
    if base == 0 then
      fields[#fields + 1] = 'de'
      fields[#fields + 1] = definition
      redis.call('ZADD', p .. 'all', created, id)
      redis.call('ZADD', p .. 'def:' .. definition, created, id)
      if inline ~= '' then redis.call('SETNX', p .. 'inl:' .. inline_digest, inline) end
    end
    local old_labels = base ~= 0 and redis.call('HGET', saga, 'lb')
    if (old_labels or '\144') ~= labels then
      -- '\144' is msgpack for no labels.
      if old_labels then
        for _, label in ipairs(cmsgpack.unpack(old_labels)) do redis.call('ZREM', p .. 'lab:' .. label, id) end
      end
      for _, label in ipairs(cmsgpack.unpack(labels)) do redis.call('ZADD', p .. 'lab:' .. label, created, id) end
      fields[#fields + 1] = 'lb'
      fields[#fields + 1] = labels
    end
    fields[#fields + 1] = 'o'
    fields[#fields + 1] = started_with
  end
  redis.call('HSET', saga, unpack(fields))
  redis.call('ZADD', p .. 'upd', updated, id)
  if old_state ~= state then
    if old_state then redis.call('ZREM', p .. 'st:' .. old_state, id) end
    redis.call('ZADD', p .. 'st:' .. state, created, id)
  end
  if due == '0' then redis.call('ZREM', p .. 'due', id) else redis.call('ZADD', p .. 'due', due, id) end
  if (old_in_flight == '1') ~= (in_flight == 1) then
    if in_flight == 1 then redis.call('ZADD', p .. 'fly', 0, id) else redis.call('ZREM', p .. 'fly', id) end
  end
  if expires ~= '0' then
    redis.call('ZADD', p .. 'exp', expires, id)
  elseif state == 'failed' then
    redis.call('ZREM', p .. 'exp', id)
  end
  if (old_stuck == '1') ~= (stuck == 1) then
    if stuck == 1 then redis.call('ZADD', p .. 'stuck', created, id) else redis.call('ZREM', p .. 'stuck', id) end
  end
  if #events > 0 then
    redis.call('RPUSH', p .. 'ev:' .. id, unpack(events))
    local position = redis.call('INCRBY', p .. 'pos', #events)
    redis.call('XADD', p .. 'feed', 'MAXLEN', '~', feed_length, string.format('%.0f-0', position),
      'i', id, 'n', #events, 'q', last_sequence)
  end
  for k = 1, #answers, 2 do
    local entry, answer = answers[k], answers[k + 1]
    if redis.call('HDEL', p .. 'in', entry) == 1 then
      redis.call('ZREM', p .. 'inq', entry)
      redis.call('SET', p .. 'ans:' .. entry, answer, 'PX', keep)
    end
  end
end
return verdicts
