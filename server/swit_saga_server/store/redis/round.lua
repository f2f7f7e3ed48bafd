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
local leases, writes, again, verdicts, gap = {}, {}, {}, {}, false

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
    if #write[18] > 0 then again[#again + 1] = { p, write[18] } end
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

-- A right that was taken away must not show half-way. Since 7.0 it can be asked for beforehand.
if #writes > 0 and redis.acl_check_cmd then
  local p = writes[1][2]
  for _, needed in ipairs({
    { 'HSET', p .. 'saga:', 'm', '' }, { 'HDEL', p .. 'in', '' }, { 'ZADD', p .. 'due', '0', '' },
    { 'ZREM', p .. 'due', '' }, { 'RPUSH', p .. 'ev:', '' }, { 'LRANGE', p .. 'ev:', '0', '0' },
    { 'DEL', p .. 'feed' }, { 'INCRBY', p .. 'pos', '1' }, { 'XADD', p .. 'feed', '*', 'i', '' },
    { 'SETNX', p .. 'inl:', '' }, { 'SET', p .. 'ans:', '', 'PX', '1' },
  }) do
    if not redis.acl_check_cmd(unpack(needed)) then
      return redis.error_reply("NOPERM this user has no permissions to run the '" .. needed[1]:lower() .. "' command")
    end
  end
end

-- What one write adds to the list of events: all of it or nothing, also where the try before failed half-way.
local function append(key, base, events)
  if redis.call('LRANGE', key, base, base)[1] then
    local kept = base > 0 and redis.call('LRANGE', key, 0, base - 1) or {}
    redis.call('DEL', key)
    for _, event in ipairs(kept) do redis.call('RPUSH', key, event) end
  end
  for k = 1, #events, 1000 do redis.call('RPUSH', key, unpack(events, k, math.min(k + 999, #events))) end
end

local function feed(p, id, events, last_sequence)
  local position = string.format('%.0f-0', redis.call('INCRBY', p .. 'pos', #events))
  local fields = { 'i', id, 'n', #events, 'q', last_sequence }
  local added = redis.pcall('XADD', p .. 'feed', 'MAXLEN', '~', feed_length, position, unpack(fields))
  if type(added) == 'table' and added.err then
    -- Positions went back, or it is no feed: begun anew, it lacks what was before, and its readers read the sagas.
    redis.call('DEL', p .. 'feed')
    redis.call('XADD', p .. 'feed', 'MAXLEN', '~', feed_length, position, unpack(fields))
  end
end

local function answer(p, answers)
  for k = 1, #answers, 2 do
    local entry, reply = answers[k], answers[k + 1]
    if redis.call('HDEL', p .. 'in', entry) == 1 then
      redis.call('ZREM', p .. 'inq', entry)
      redis.call('SET', p .. 'ans:' .. entry, reply, 'PX', keep)
    end
  end
end

-- The saga itself comes last but for the answers: whatever fails before it, the same write is applied again in full.
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
    feed(p, id, events, last_sequence)
    append(p .. 'ev:' .. id, last_sequence - #events, events)
  end
  -- A call takes some thousand words; the first, which has what makes the write one that was applied, is made last.
  for k = #fields - (#fields % 1000) + 1, 1, -1000 do
    if k <= #fields then redis.call('HSET', saga, unpack(fields, k, math.min(k + 999, #fields))) end
  end
  answer(p, answers)
end
for _, pair in ipairs(again) do answer(pair[1], pair[2]) end
return verdicts
