-- Starts a shard's fold anew (I5), in one write: a new generation with nothing in it.
--
-- KEYS[1]  state of the fold
-- ARGV[1]  the new generation, a random word
-- ARGV[2]  `through`: the sequence before the first message that is folded now
-- ARGV[3]  `warm`: up to here the memory is only filled, no verdict is given
local state_key = KEYS[1]
local old = redis.call('HMGET', state_key, 'generation', 'buckets')
if old[1] then
  local old_prefix = state_key .. ':' .. old[1] .. ':'
  redis.call('RPUSH', state_key .. ':garbage', old_prefix .. ' ' .. old[2])
  redis.call('UNLINK', old_prefix .. 'verdicts')
end
redis.call('HSET', state_key, 'generation', ARGV[1], 'through', ARGV[2], 'warm', ARGV[3], 'time', 0,
  'buckets', 1, 'entries', 0, 'sweep', 0, 'verdicts_from', tonumber(ARGV[3]) + 1)
return 'OK'
