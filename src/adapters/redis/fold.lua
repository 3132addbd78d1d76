-- One message of a shard's fold (I4, I5). Atomic: Redis runs nothing else meanwhile. If it fails half way (out of
-- memory), it is simply run again: verdicts are written first, then last-seen times, then `through`.
--
-- KEYS[1]  state of the fold; every other key is this name with a suffix, under the same hash tag
-- ARGV[1]  sequence of the message
-- ARGV[2]  its timestamp, whole seconds
-- ARGV[3]  dedup horizon, whole seconds
-- ARGV[4]  the caller's committed floor: verdicts up to it are needed no more
-- ARGV[5]  'count': the caller needs the verdicts; 'warm': it only fills the memory
-- ARGV[6]  records of 21 bytes: identity hash (12), click hash (8), 1 where the content is billable
--
-- Returns {'none'} | {'gone'} | {'behind', through, warm, time} | {'verdicts', letters} | {'done'}
--
-- The memory: identities stand in small hashes ("buckets") of about BUCKET_ENTRIES fields, which Redis keeps packed.
-- Their number grows one by one with the entries (linear hashing), so a message never waits for a big rehash.
--   field  identity hash (12 bytes)
--   value  last-seen time of the identity (4 bytes, 0 = never), then for each click_id: hash (8), last-seen time (4)
-- An identity keeps CLICKS_MAX click_ids this way; further ones (a program that hammers one URL) stand as fields of
-- their own (identity .. click hash -> time), and the identity's value ends with 's' and the newest time of these.

local BUCKET_ENTRIES = 32
local CLICKS_MAX = 8
local SWEEP_RECORDS = 16       -- one bucket is swept for expired entries for so many records folded
local FREED_VERDICTS_MAX = 512 -- for each call
local RECORD = 21

local state_key = KEYS[1]
local sequence = tonumber(ARGV[1])
local counting = ARGV[5] == 'count'
local records = ARGV[6]
-- Half a record would get a verdict, and keep it.
if #records % RECORD ~= 0 then return redis.error_reply('ERR ' .. #records .. ' bytes are no records of ' .. RECORD) end

local state = redis.call('HMGET', state_key, 'generation', 'through', 'warm', 'time', 'buckets', 'entries', 'sweep', 'verdicts_from')
local generation = state[1]
if not generation then return {'none'} end
local through, warm, time = tonumber(state[2]), tonumber(state[3]), tonumber(state[4])
local buckets, entries, sweep, verdicts_from = tonumber(state[5]), tonumber(state[6]), tonumber(state[7]), tonumber(state[8])
local prefix = state_key .. ':' .. generation .. ':'
local verdicts_key = prefix .. 'verdicts'

if counting and sequence <= warm then return {'gone'} end
if sequence <= through then
  if not counting then return {'done'} end
  local stored = redis.call('HGET', verdicts_key, ARGV[1])
  if stored then return {'verdicts', stored} end
  return {'gone'}
end
if sequence > through + 1 then return {'behind', through, warm, time} end

time = math.max(time, tonumber(ARGV[2]))
local oldest = time - tonumber(ARGV[3])
local now = struct.pack('>I4', time)

-- Level: the largest power of two that is not above the number of buckets.
local level = 1
while level * 2 <= buckets do level = level * 2 end

-- A click_id of its own goes by its own hash: a hammered identity must not make one bucket that takes seconds to visit.
local function hash_of(field)
  return (struct.unpack('>I4', field, #field == 20 and 13 or 1))
end

local function bucket_of(field)
  local index = hash_of(field) % (level * 2)
  if index >= buckets then index = index - level end
  return prefix .. index
end

local function is_seen(packed_time)
  return packed_time >= oldest and packed_time > 0
end

-- Whether an identity has click_ids in fields of their own: 4 + 12 n + 5 bytes instead of 4 + 12 n.
local function has_spilled(value)
  return #value % 12 == 9
end

-- Whether everything in an entry is older than the horizon.
local function is_expired(value)
  if is_seen((struct.unpack('>I4', value))) then return false end
  for at = 5, #value - 11, 12 do
    if is_seen((struct.unpack('>I4', value, at + 8))) then return false end
  end
  return not (has_spilled(value) and is_seen((struct.unpack('>I4', value, #value - 3))))
end

-- Last-seen times as this message leaves them, written only when all its verdicts are known.
local touched, touched_order = {}, {}

local function read_entry(field)
  local value = touched[field]
  if value == nil then value = redis.call('HGET', bucket_of(field), field) end
  return value or nil
end

local function write_entry(field, value)
  if touched[field] == nil then touched_order[#touched_order + 1] = field end
  touched[field] = value
end

-- Marks the record as seen now; returns whether its identity and its click_id were seen before.
local function see(identity, click, billable)
  local value = read_entry(identity)
  if not value then
    write_entry(identity, (billable and now or '\0\0\0\0') .. click .. now)
    return false, false
  end
  local identity_time = string.sub(value, 1, 4)
  local identity_seen = is_seen((struct.unpack('>I4', identity_time)))
  local spilled = has_spilled(value) and string.sub(value, -5) or ''
  local kept, count, click_seen, listed = {}, 0, false, false
  for at = 5, #value - 11, 12 do
    local click_time = struct.unpack('>I4', value, at + 8)
    if string.sub(value, at, at + 7) == click then
      click_seen = is_seen(click_time)
      listed = true
      count = count + 1
      kept[count] = click .. now
    elseif is_seen(click_time) then
      count = count + 1
      kept[count] = string.sub(value, at, at + 11)
    end
  end
  local own_field = identity .. click
  if not listed and spilled ~= '' then
    local click_time = read_entry(own_field)
    if click_time then
      click_seen = is_seen((struct.unpack('>I4', click_time)))
      listed = true
      spilled = 's' .. now
      write_entry(own_field, now)
    end
  end
  if not listed then
    if count < CLICKS_MAX then
      kept[count + 1] = click .. now
    else
      spilled = 's' .. now
      write_entry(own_field, now)
    end
  end
  write_entry(identity, (billable and now or identity_time) .. table.concat(kept) .. spilled)
  return identity_seen, click_seen
end

local letters = {}
for at = 1, #records, RECORD do
  local billable = string.byte(records, at + 20) == 1
  local identity_seen, click_seen = see(string.sub(records, at, at + 11), string.sub(records, at + 12, at + 19), billable)
  letters[#letters + 1] = click_seen and 'D' or (not billable and 'C') or (identity_seen and 'R') or 'V'
end
letters = table.concat(letters)

-- Verdicts first. What an earlier run of this message wrote stands: its last-seen times may be half written.
if counting then
  local stored = redis.call('HGET', verdicts_key, ARGV[1])
  if stored then
    letters = stored
  else
    redis.call('HSET', verdicts_key, ARGV[1], letters)
  end
end

-- Then last-seen times.
for index = 1, #touched_order do
  local field = touched_order[index]
  entries = entries + redis.call('HSET', bucket_of(field), field, touched[field])
end

-- Visits one bucket: drops what is expired, hands over what belongs to the bucket `moved_to`.
local function tidy(index, moved_to)
  local key = prefix .. index
  local all = redis.call('HGETALL', key)
  local dropped, moved = {}, {}
  for at = 1, #all, 2 do
    local field, value = all[at], all[at + 1]
    if is_expired(value) then
      dropped[#dropped + 1] = field
      entries = entries - 1
    elseif moved_to and hash_of(field) % (level * 2) == moved_to then
      moved[#moved + 1] = field
      moved[#moved + 1] = value
      dropped[#dropped + 1] = field
    end
  end
  -- A bucket may hold more than unpack can take where buckets cannot keep up; portions are always safe.
  for at = 1, #moved, 1000 do redis.call('HSET', prefix .. moved_to, unpack(moved, at, math.min(at + 999, #moved))) end
  for at = 1, #dropped, 1000 do redis.call('HDEL', key, unpack(dropped, at, math.min(at + 999, #dropped))) end
end

while entries > buckets * BUCKET_ENTRIES do
  tidy(buckets - level, buckets)
  buckets = buckets + 1
  if buckets == level * 2 then level = buckets end
end

-- I6: memory is freed by stream time alone. `sweep` counts records; each SWEEP_RECORDS of them pay for one bucket.
local swept_before = math.floor(sweep / SWEEP_RECORDS)
sweep = sweep + #records / RECORD
local swept_now = math.floor(sweep / SWEEP_RECORDS)
for visit = swept_before, math.min(swept_now, swept_before + buckets) - 1 do tidy(visit % buckets) end

-- Verdicts at or below both the committed floor and what is folded.
local freed_to = math.min(tonumber(ARGV[4]), sequence, verdicts_from + FREED_VERDICTS_MAX - 1)
for freed = verdicts_from, freed_to do redis.call('HDEL', verdicts_key, freed) end
verdicts_from = math.max(verdicts_from, freed_to + 1)

-- What a reset left behind, a bounded number of keys at a time.
local garbage = redis.call('LINDEX', state_key .. ':garbage', 0)
if garbage then
  local old_prefix, left = string.match(garbage, '^(.*) (%d+)$')
  left = tonumber(left)
  local keys = {}
  for index = left - 1, math.max(0, left - 64), -1 do keys[#keys + 1] = old_prefix .. index end
  if #keys > 0 then redis.call('UNLINK', unpack(keys)) end
  if left <= 64 then
    redis.call('LPOP', state_key .. ':garbage')
  else
    redis.call('LSET', state_key .. ':garbage', 0, old_prefix .. ' ' .. (left - 64))
  end
end

-- And last of all that this message is folded.
redis.call('HSET', state_key, 'through', sequence, 'time', time, 'buckets', buckets, 'entries', entries, 'sweep', sweep, 'verdicts_from', verdicts_from)
if counting then return {'verdicts', letters} end
return {'done'}
