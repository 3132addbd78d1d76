-- One message of a shard's fold (I4, I5). Atomic: Redis runs nothing else meanwhile. If it fails half way (out of
-- memory), it is simply run again: verdicts are written first, then last-seen times, and `through` with the last of these.
--
-- KEYS[1]  the memory; the verdicts stand in the key of this name with a suffix, under the same hash tag
-- ARGV[1]  sequence of the message
-- ARGV[2]  its timestamp, whole seconds
-- ARGV[3]  dedup horizon, whole seconds
-- ARGV[4]  the caller's committed floor: verdicts up to it are needed no more
-- ARGV[5]  'count': the caller needs the verdicts; 'warm': it only fills the memory
-- ARGV[6]  records of 21 bytes: identity hash (12), click hash (8), 1 where the content is billable
--
-- Returns {'none'} | {'gone'} | {'behind', through, warm, time} | {'verdicts', letters} | {'done'}
--
-- The memory is one hash. Besides the state it holds buckets: the field is the bucket's number (4 bytes; no name of the
-- state is so short), the value its entries in order of time, the oldest first, 24 bytes each:
--   12  identity hash, but in a SPILLED entry
--    8  click hash
--    4  last-seen time × 8 + kind; the time is cut to 29 bits (17 years), enough to tell ages up to the horizon
-- A message reads all its buckets by HMGET and writes them by HSET: a call costs more than what it does for one record.
-- The number of buckets grows one by one with the entries (linear hashing), so no message waits for a big rehash.

local RECORD = 21
local ENTRY = 24

-- Kinds of entry.
local REFUSED = 0              -- the click_id was last seen then
local BILLABLE = 1             -- the click_id was last seen then, and so was its identity, as billable
local IDENTITY = 2             -- the identity was seen as billable then; no click_id. One an identity at most
local SPILL_MARK = 3           -- the identity has click_ids elsewhere, the last seen then; no click_id. One at most
local SPILLED = 4              -- a click_id elsewhere: click hash (8), identity hash (12), in the bucket of the first

local BUCKET_ENTRIES = 8
local CLICKS_MAX = 8           -- click_ids in the bucket of their identity; where a URL is hammered, more of them spill
local SWEEP_RECORDS = 16       -- one bucket is swept for expired entries for so many records folded
local FREED_VERDICTS_MAX = 512 -- for each call of this script
local SPLITS_MAX = 1000        -- for each call of this script
local STATE_FIELDS = 8         -- of the memory's hash; what is beyond them are buckets
local READS_MAX = 64           -- for each call of Redis: more do not fit into its buffer for replies to scripts
local WRITES_MAX = 1000        -- for each call of Redis: Lua's stack has room for 8,000 words
local TIME_WRAP = 2 ^ 29
local NO_CLICK = string.rep('\0', 8)

local pack, unpack_bytes, sub, byte, find = struct.pack, struct.unpack, string.sub, string.byte, string.find

local key = KEYS[1]
local verdicts_key = key .. ':verdicts'
local sequence = tonumber(ARGV[1])
local counting = ARGV[5] == 'count'
local records = ARGV[6]
-- Half a record would get a verdict, and keep it.
if #records % RECORD ~= 0 then return redis.error_reply('ERR ' .. #records .. ' bytes are no records of ' .. RECORD) end
local count = #records / RECORD

local state = redis.call('HMGET', key,
  'generation', 'through', 'warm_through', 'stream_time', 'buckets', 'entries', 'sweep', 'verdicts_from')
if not state[1] then return {'none'} end
local through, warm, time = tonumber(state[2]), tonumber(state[3]), tonumber(state[4])
local buckets, entries, sweep, verdicts_from = tonumber(state[5]), tonumber(state[6]), tonumber(state[7]), tonumber(state[8])

if counting and sequence <= warm then return {'gone'} end
if sequence <= through then
  if not counting then return {'done'} end
  local stored = redis.call('HGET', verdicts_key, ARGV[1])
  if stored then return {'verdicts', stored} end
  return {'gone'}
end
if sequence > through + 1 then return {'behind', through, warm, time} end

time = math.max(time, tonumber(ARGV[2]))
local horizon = tonumber(ARGV[3])

-- Nothing is remembered yet: the first message's records would all go to one bucket, each behind all those before it.
if entries == 0 and redis.call('HLEN', key) == STATE_FIELDS then
  buckets = math.max(buckets, math.min(SPLITS_MAX, math.ceil(count / BUCKET_ENTRIES)))
end

-- Level: the largest power of two that is not above the number of buckets.
local level = 1
while level * 2 <= buckets do level = level * 2 end

-- The buckets in hand, each at a place: the number's place, the field, the entries, and whether these are to be written.
local place_of, fields, rows, changed, places = {}, {}, {}, {}, 0

local function place(index)
  local at = place_of[index]
  if not at then
    at = places + 1
    places = at
    place_of[index] = at
    fields[at] = pack('>I4', index)
  end
  return at
end

local function index_of(a, b, c, d)
  local hash = ((a * 256 + b) * 256 + c) * 256 + d
  local index = hash % (level * 2)
  if index >= buckets then index = index - level end
  return index
end

-- Those of the records,
local where = {}
for record = 1, count do
  local at = record * RECORD - RECORD + 1
  where[record] = place(index_of(byte(records, at, at + 3)))
end
-- those that may have to be split,
local splits_max = math.min(SPLITS_MAX, math.ceil((entries + count) / BUCKET_ENTRIES) - buckets)
local split_level = level
for index = buckets, buckets + splits_max - 1 do
  if index == split_level * 2 then split_level = index end
  if index - split_level < buckets then place(index - split_level) end
end
-- and some whose turn it is to be swept.
local sweep_from = math.floor(sweep / SWEEP_RECORDS)
sweep = sweep + count
for visit = sweep_from, math.min(math.floor(sweep / SWEEP_RECORDS), sweep_from + buckets) - 1 do place(visit % buckets) end

for from = 1, places, READS_MAX do
  local to = math.min(from + READS_MAX - 1, places)
  local values = redis.call('HMGET', key, unpack(fields, from, to))
  for at = from, to do rows[at] = values[at - from + 1] or '' end
end

-- The buckets of spilled click_ids are read when they are needed: there are none where no URL is hammered.
local function place_read(index)
  local at = place(index)
  if not rows[at] then rows[at] = redis.call('HGET', key, fields[at]) or '' end
  return at
end

-- The last 4 bytes of an entry that is seen now.
local now = {}
for kind = REFUSED, SPILLED do now[kind] = pack('>I4', time % TIME_WRAP * 8 + kind) end

-- The kind of the entry that begins at `at`, and whether it is within the horizon.
local function kind_of(row, at)
  local a, b, c, d = byte(row, at + 20, at + 23)
  local kind = d % 8
  return kind, (time - (((a * 256 + b) * 256 + c) * 256 + d - kind) / 8) % TIME_WRAP <= horizon
end

local function append(bucket, name, kind)
  rows[bucket] = rows[bucket] .. name .. now[kind]
  changed[bucket] = true
  entries = entries + 1
end

local function remove(bucket, at)
  local row = rows[bucket]
  rows[bucket] = sub(row, 1, at - 1) .. sub(row, at + ENTRY)
  changed[bucket] = true
  entries = entries - 1
end

-- Where the next entry that begins with `name` stands, from `at` on.
local function next_entry(row, name, at)
  at = find(row, name, at, true)
  while at and (at - 1) % ENTRY ~= 0 do at = find(row, name, at + 1, true) end
  return at
end

local function entry_of_kind(row, name, kind, from)
  local at = next_entry(row, name, from)
  while at and kind_of(row, at) ~= kind do at = next_entry(row, name, at + ENTRY) end
  return at
end

-- Moves the one entry of this name and kind to now, or makes it.
local function renew(bucket, name, kind)
  local at = entry_of_kind(rows[bucket], name, kind, 1)
  if at then remove(bucket, at) end
  append(bucket, name, kind)
end

-- Marks a record as seen now, whose identity may be known; returns whether its identity and its click_id were seen before.
local function see(bucket, identity, click, kind)
  local row = rows[bucket]
  local clicks, identity_seen, has_spilled = 0, false, false
  local click_at, click_kind, click_seen
  local at = next_entry(row, identity, 1)
  while at do
    local entry_kind, is_seen = kind_of(row, at)
    if is_seen and (entry_kind == BILLABLE or entry_kind == IDENTITY) then identity_seen = true end
    if entry_kind == SPILL_MARK then has_spilled = true end
    if entry_kind == BILLABLE or entry_kind == REFUSED then
      if is_seen then clicks = clicks + 1 end
      if sub(row, at + 12, at + 19) == click then click_at, click_kind, click_seen = at, entry_kind, is_seen end
    end
    at = next_entry(row, identity, at + ENTRY)
  end
  if click_at then
    if sub(row, click_at + 20, click_at + 23) == now[kind] then return identity_seen, true end
    if click_seen and click_kind == BILLABLE and kind == REFUSED then
      -- The identity was seen as billable then, and still was: that stays, unless it was so later too.
      local kept = pack('>I4', unpack_bytes('>I4', row, click_at + 20) - BILLABLE + IDENTITY)
      rows[bucket] = sub(row, 1, click_at + 11) .. NO_CLICK .. kept .. sub(row, click_at + ENTRY)
      local older = entry_of_kind(rows[bucket], identity, IDENTITY, 1)
      if entry_of_kind(rows[bucket], identity, IDENTITY, older + ENTRY) then remove(bucket, older) end
    else
      remove(bucket, click_at)
    end
    append(bucket, identity .. click, kind)
    return identity_seen, click_seen
  end
  if clicks < CLICKS_MAX and not has_spilled then
    append(bucket, identity .. click, kind)
    return identity_seen, false
  end
  -- It goes by its own hash: a hammered identity must not make one bucket that takes seconds to visit.
  local own, name = place_read(index_of(byte(click, 1, 4))), click .. identity
  local own_at = entry_of_kind(rows[own], name, SPILLED, 1)
  if own_at then
    local _
    _, click_seen = kind_of(rows[own], own_at)
  end
  if clicks < CLICKS_MAX and not click_seen then
    append(bucket, identity .. click, kind)
    return identity_seen, false
  end
  renew(own, name, SPILLED)
  renew(bucket, identity .. NO_CLICK, SPILL_MARK)
  if kind == BILLABLE then renew(bucket, identity .. NO_CLICK, IDENTITY) end
  return identity_seen, click_seen
end

local letters = {}
for record = 1, count do
  local at = record * RECORD - RECORD + 1
  local bucket = where[record]
  local row = rows[bucket]
  local identity = sub(records, at, at + 11)
  local kind = byte(records, at + 20) == 1 and BILLABLE or REFUSED
  if find(row, identity, 1, true) then
    local identity_seen, click_seen = see(bucket, identity, sub(records, at + 12, at + 19), kind)
    letters[record] = click_seen and 'D' or (kind == REFUSED and 'C') or (identity_seen and 'R') or 'V'
  else
    -- Most records are the first of their identity.
    rows[bucket] = row .. sub(records, at, at + 19) .. now[kind]
    changed[bucket] = true
    entries = entries + 1
    letters[record] = kind == REFUSED and 'C' or 'V'
  end
end
letters = table.concat(letters)

-- Verdicts first. What an earlier run of this message wrote stands: its last-seen times may be half written.
if counting and redis.call('HSETNX', verdicts_key, ARGV[1], letters) == 0 then
  letters = redis.call('HGET', verdicts_key, ARGV[1])
end

-- One bucket is split for every BUCKET_ENTRIES entries more.
local halves, is_half = {}, {}
local function halve(at, row)
  rows[at] = row
  if not is_half[at] then halves[#halves + 1] = at end
  is_half[at] = true
end
while entries > buckets * BUCKET_ENTRIES and splits_max > 0 do
  local from = place_read(buckets - level)
  local row, stays, moves = rows[from], {}, {}
  for at = 1, #row, ENTRY do
    local a, b, c, d = byte(row, at, at + 3)
    local half = (((a * 256 + b) * 256 + c) * 256 + d) % (level * 2) == buckets and moves or stays
    half[#half + 1] = sub(row, at, at + ENTRY - 1)
  end
  halve(from, table.concat(stays))
  halve(place(buckets), table.concat(moves))
  buckets = buckets + 1
  if buckets == level * 2 then level = buckets end
  splits_max = splits_max - 1
end

-- I6: memory is freed by stream time alone. The beginning of a bucket is what expires first.
local function is_to_write(at)
  local row, from = rows[at], 1
  while from < #row do
    local _, is_seen = kind_of(row, from)
    if is_seen then break end
    from = from + ENTRY
  end
  if from == 1 then return changed[at] or is_half[at] end
  entries = entries - (from - 1) / ENTRY
  rows[at] = sub(row, from)
  return true
end

-- Then last-seen times; those of split buckets with the number of buckets, or they would not be found again.
local values, written, emptied = {}, 0, {}
local function give(at)
  values[written + 1], values[written + 2] = fields[at], rows[at]
  written = written + 2
  if rows[at] == '' then emptied[#emptied + 1] = fields[at] end
end
for at = 1, places do
  if is_to_write(at) and not is_half[at] then
    give(at)
    if written == WRITES_MAX * 2 then
      redis.call('HSET', key, unpack(values, 1, written))
      written = 0
    end
  end
end
for index = 1, #halves do give(halves[index]) end

-- Verdicts at or below both the committed floor and what is folded.
local freed_to = math.min(tonumber(ARGV[4]), sequence, verdicts_from + FREED_VERDICTS_MAX - 1)
if freed_to >= verdicts_from then
  local freed = {}
  for old = verdicts_from, freed_to do freed[#freed + 1] = old end
  redis.call('HDEL', verdicts_key, unpack(freed))
  verdicts_from = freed_to + 1
end

-- And with the last of them that this message is folded.
local after = {'through', sequence, 'stream_time', time, 'buckets', buckets, 'entries', entries, 'sweep', sweep,
  'verdicts_from', verdicts_from}
for index = 1, #after do values[written + index] = after[index] end
redis.call('HSET', key, unpack(values, 1, written + #after))
-- A bucket without entries is no bucket; were it left, it would be one all the same.
for from = 1, #emptied, WRITES_MAX do redis.call('HDEL', key, unpack(emptied, from, math.min(from + WRITES_MAX - 1, #emptied))) end
if counting then return {'verdicts', letters} end
return {'done'}
