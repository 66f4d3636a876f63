"""How long a driver waits for what, in seconds."""

#: Between two looks for requests, and so between turns while nothing happens. Requests are to be seen within
#: 1 s, on a busy machine too; and each waking has its price, many times as much where neighbours have emptied
#: the processor's caches (``benchmarks/idle.py`` shows what it costs beside a bare loop).
TICK = 0.4
#: Before a failed append, or a failed look at the store, is tried again.
AGAIN = 0.5
#: By which the job counts of a session's index entry may lag behind its history.
INDEX_DELAY = 1.0
#: What the last turn may take, whatever the store does.
LAST_TURN = 30.0
