"""What Redis does in one piece: each script is a transaction, and no one of them is long.

Every script that writes begins at the fence: the owner's token in the `stand`.  It answers with a
word, `ok` where it did what it was asked, and doing it twice is doing it once: an answer that was
lost is asked for again.  Redis refuses a script that would enlarge a full memory only at its first
write, so what shrinks it deletes first.
"""

from typing import Final

from sentinel.connections.redis import Script

FORMAT_VERSION: Final = "1"

_FENCE: Final = """
local stand = KEYS[1]
if redis.call('HGET', stand, 'owner') ~= ARGV[1] then
  return {'fenced', redis.call('HGET', stand, 'epoch') or ''}
end
"""

OPEN: Final = Script("""
local stand, owner, format, log = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local is = redis.call('HMGET', stand, 'format', 'log_id', 'epoch', 'owner', 'outbox_bytes')
local bytes = is[5] or '0'
if is[1] then
  if is[1] ~= format then return {'format', is[1]} end
  if is[2] ~= log then return {'log', is[2]} end
  if is[4] == owner then return {'ok', is[3], bytes} end
end
local epoch = string.format('%d', (tonumber(is[3] or '0') or 0) + 1)
redis.call('HSET', stand, 'format', format, 'log_id', log, 'epoch', epoch, 'owner', owner)
return {'ok', epoch, bytes}
""")
"""KEYS: stand.  ARGV: token, format, log id.  Answers with the epoch, and how much waits."""

SERVER: Final = Script("""
return {redis.call('INFO', 'memory'), redis.call('INFO', 'persistence')}
""")
"""KEYS: any of the state, so that a cluster asks the node that holds it."""

COMMIT: Final = Script(
    _FENCE
    + """
local id, base, next_offset = ARGV[2], ARGV[3], ARGV[4]
local is = redis.call('HMGET', stand, 'next_offset', 'commit', 'outbox_bytes', 'attempt')
local bytes = tonumber(is[3] or '0')
if is[2] == id then return {'ok', bytes} end
local at = 6
local done = false
for _ = 1, tonumber(ARGV[5]) do
  if ARGV[at] == is[2] then done = true end
  at = at + 1
end
if is[1] and ((not done and is[1] ~= base) or tonumber(next_offset) < tonumber(is[1])) then
  return {'gap', is[1]}
end
redis.call('HSET', stand, 'next_offset', next_offset, 'commit', id)
if is[4] and tonumber(is[4]) < tonumber(next_offset) then
  redis.call('HDEL', stand, 'attempt', 'attempt_count', 'attempt_id')
end
while at < #ARGV do
  local place, name, before, blob = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local waiting, bodies = KEYS[place], KEYS[place + 1]
  if not (done and before == '1') and redis.call('HEXISTS', bodies, name) == 0 then
    redis.call('ZADD', waiting, redis.call('HINCRBY', stand, 'told', 1), name)
    redis.call('HSET', bodies, name, blob)
    bytes = bytes + #blob - 4
  end
  at = at + 4
end
redis.call('HSET', stand, 'outbox_bytes', string.format('%d', bytes))
return {'ok', bytes}
"""
)
"""KEYS: stand, then `waiting` and `bodies` of each destination.

ARGV: token, id, base, next offset, how many commits are in doubt, their ids, then for each row: the
place of its keys, its id, whether a commit in doubt held it, checksum and body.  Where the last
commit is one of those in doubt, it was done, and this one goes on from there.
"""

OUTBOX: Final = Script("""
local ids = redis.call('ZRANGE', KEYS[1], 0, ARGV[1])
local found = {}
for _, id in ipairs(ids) do
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', KEYS[2], id) or ''
end
return found
""")
"""KEYS: waiting, bodies.  ARGV: the number of the last row that is wanted, from 0."""

DELIVERED: Final = Script(
    _FENCE
    + """
local removed = 0
for at = 2, #ARGV do
  local size = redis.call('HSTRLEN', KEYS[3], ARGV[at])
  if size > 0 then
    redis.call('ZREM', KEYS[2], ARGV[at])
    redis.call('HDEL', KEYS[3], ARGV[at])
    removed = removed + size - 4
  end
end
return {'ok', redis.call('HINCRBY', stand, 'outbox_bytes', string.format('%d', -removed))}
"""
)
"""KEYS: stand, waiting, bodies.  ARGV: token, ids."""

TAKEN: Final = Script("""
local removed = 0
for at = 1, #ARGV do
  local size = redis.call('HSTRLEN', KEYS[3], ARGV[at])
  if size > 0 then
    redis.call('ZREM', KEYS[2], ARGV[at])
    redis.call('HDEL', KEYS[3], ARGV[at])
    removed = removed + size - 4
  end
end
if removed > 0 then
  redis.call('HINCRBY', KEYS[1], 'outbox_bytes', string.format('%d', -removed))
end
return {'ok'}
""")
"""KEYS: stand, waiting, bodies.  ARGV: ids.  Without a fence: what is safe elsewhere may go."""

BEGIN: Final = Script(
    _FENCE
    + """
if redis.call('HEXISTS', stand, 'pending') == 1 then return {'pending'} end
redis.call('UNLINK', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[2], '', ARGV[2])
return {'ok'}
"""
)
"""KEYS: stand, staged, staged shared.  ARGV: token, id of the sweep."""

STAGE: Final = Script(
    _FENCE
    + """
if redis.call('HGET', KEYS[2], '') ~= ARGV[2] then return {'lost'} end
for at = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1]) end
return {'ok'}
"""
)
"""KEYS: stand, staged.  ARGV: token, id of the sweep, names with records; a series that is gone has
an empty one."""

STAGE_SHARED: Final = Script(
    _FENCE
    + """
redis.call('SETRANGE', KEYS[2], ARGV[2], ARGV[3])
return {'ok'}
"""
)
"""KEYS: stand, staged shared.  ARGV: token, where the bytes begin, the bytes."""

SWITCH: Final = Script(
    _FENCE
    + """
local id, count, size, ahead = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local is = redis.call('HMGET', stand, 'next_offset', 'sweep')
if is[2] == id then return {'ok'} end
if ahead > tonumber(is[1] or '0') then return {'gap', is[1] or ''} end
if redis.call('HGET', KEYS[2], '') ~= id or redis.call('HLEN', KEYS[2]) ~= count + 1
    or redis.call('STRLEN', KEYS[3]) ~= size then
  return {'lost'}
end
redis.call('HSET', stand, 'sweep', id, 'pending', id)
if size > 0 then redis.call('RENAME', KEYS[3], KEYS[4]) end
return {'ok'}
"""
)
"""KEYS: stand, staged, staged shared, shared.  ARGV: token, id of the sweep, how many series are
staged, bytes of the staged shared state, the furthest offset of a record.  From here on the sweep
is what holds."""

APPLY: Final = Script(
    _FENCE
    + """
if redis.call('HEXISTS', stand, 'pending') == 0 then return {'ok', '0'} end
local found = redis.call('HSCAN', KEYS[2], ARGV[2], 'COUNT', ARGV[3])
local rows = found[2]
for at = 1, #rows, 2 do
  local name, record = rows[at], rows[at + 1]
  if name ~= '' then
    redis.call('HDEL', KEYS[2], name)
    if record == '' then
      redis.call('HDEL', KEYS[3], name)
      redis.call('ZREM', KEYS[4], name)
    else
      redis.call('HSET', KEYS[3], name, record)
      redis.call('ZADD', KEYS[4], 0, name)
    end
  end
end
if found[1] == '0' and redis.call('HLEN', KEYS[2]) <= 1 then
  redis.call('UNLINK', KEYS[2])
  redis.call('HDEL', stand, 'pending')
  return {'ok', '0'}
end
return {'more', found[1]}
"""
)
"""KEYS: stand, staged, series, names.  ARGV: token, cursor, how many at once.  What was staged
takes its place piece by piece; whoever stops in between leaves the rest for the next to move."""

SERIES: Final = Script("""
local names = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local found = {}
for _, name in ipairs(names) do
  found[#found + 1] = name
  found[#found + 1] = redis.call('HGET', KEYS[2], name) or ''
end
return found
""")
"""KEYS: names, series.  ARGV: after which name, how many at most."""

STAGED: Final = Script("""
return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
""")
"""KEYS: staged.  ARGV: cursor, how many at once."""

STAND: Final = Script("""
return redis.call('HMGET', KEYS[1], 'next_offset', 'epoch', 'sweep', 'pending')
""")
"""KEYS: stand."""

SHARED: Final = Script("""
return redis.call('GETRANGE', KEYS[1], ARGV[1], ARGV[2])
""")
"""KEYS: shared.  ARGV: first and last byte."""

ATTEMPT: Final = Script(
    _FENCE
    + """
local is = redis.call('HMGET', stand, 'attempt', 'attempt_count', 'attempt_id')
local count = 1
if is[1] == ARGV[3] then
  if is[3] == ARGV[2] then return {'ok', is[2]} end
  count = tonumber(is[2]) + 1
end
redis.call('HSET', stand, 'attempt', ARGV[3], 'attempt_count', count, 'attempt_id', ARGV[2])
return {'ok', count}
"""
)
"""KEYS: stand.  ARGV: token, id of the attempt, offset.  Answers with the count."""

ATTEMPTED: Final = Script("""
return redis.call('HMGET', KEYS[1], 'attempt', 'attempt_count')
""")
"""KEYS: stand."""
