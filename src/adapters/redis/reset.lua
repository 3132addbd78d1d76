-- Starts a shard's fold anew (I5), in one write: a new generation with nothing in it. What was there goes in the
-- background, however much it is.
--
-- KEYS[1]  the memory
-- ARGV[1]  the new generation, a random word
-- ARGV[2]  `through`: the sequence before the first message that is folded now
-- ARGV[3]  `warm`: up to here the memory is only filled, no verdict is given
local key = KEYS[1]
redis.call('UNLINK', key, key .. ':verdicts')
redis.call('HSET', key, 'generation', ARGV[1], 'through', ARGV[2], 'warm_through', ARGV[3], 'stream_time', 0,
  'buckets', 1, 'entries', 0, 'sweep', 0, 'verdicts_from', tonumber(ARGV[3]) + 1)
return 'OK'
