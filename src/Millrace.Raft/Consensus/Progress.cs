namespace Millrace.Raft.Consensus;

internal enum ProgressState
{
    /// <summary>Where the logs agree is not known: one message at a time.</summary>
    Probe,

    /// <summary>Entries are sent ahead without waiting.</summary>
    Replicate,

    /// <summary>The follower needs entries that are gone, so it gets a snapshot.</summary>
    Snapshot,
}

/// <summary>What the leader knows of one member, and what is on the way to it.</summary>
internal sealed class Progress(MemberId id, long next, long now)
{
    private readonly Queue<(long LastIndex, long Bytes)> _inFlight = new();
    private long _bytesInFlight;

    public MemberId Id => id;

    public ProgressState State { get; private set; } = ProgressState.Probe;

    /// <summary>The member has this much, durably.</summary>
    public long Match { get; private set; }

    /// <summary>The next entry to send.</summary>
    public long Next { get; private set; } = next;

    /// <summary>The commit index that it was told.</summary>
    public long ToldCommit { get; set; }

    /// <summary>It waits to hear that this much is committed.</summary>
    public long WantedCommit { get; set; }

    /// <summary>A probe was sent and not answered.</summary>
    public bool IsPaused { get; set; }

    /// <summary>A message is due even without entries, to learn whether earlier ones came through.</summary>
    public bool MustProbe { get; set; }

    public long LastHeard { get; set; } = now;

    /// <summary>Fast Paxos: of its present life; 0 when unknown.</summary>
    public long Incarnation { get; set; }

    /// <summary>Fast Paxos: the last slot that it said to have voted for.</summary>
    public long FurthestVote { get; set; }

    /// <summary>The newest round of heartbeats that it answered.</summary>
    public long AnsweredRound { get; set; }

    /// <summary>Until when, by this clock, it will vote for no other.</summary>
    public long PromisedUntil { get; set; } = long.MinValue;

    public RoundTrip RoundTrip { get; } = new();

    /// <summary>The snapshot being sent; null when none was read yet.</summary>
    public SnapshotInfo? Snapshot { get; set; }

    public long SnapshotAcknowledged { get; set; }

    /// <summary>What the member last said to have, which is less than it once said when it lost some.</summary>
    public long SnapshotReported { get; set; }

    public long SnapshotRequested { get; set; }

    public long SnapshotMovedAt { get; set; }

    /// <summary>Of the entries that it lacks none are sent before this time, so that catching up hurts clients little.</summary>
    public long RestsUntil { get; set; } = long.MinValue;

    /// <summary>From which byte and when the sending of the snapshot is measured, to keep to its rate.</summary>
    public (long Offset, long At) SnapshotPacedFrom { get; set; }

    public bool IsFull(RaftOptions options) =>
        _inFlight.Count >= (RoundTrip.IsKnown && RoundTrip.ShortestMicros <= options.ShortRoundTripMicros ? 1 : options.MaxAppendsInFlight) || _bytesInFlight >= options.MaxBytesInFlight;

    public void Sent(long lastIndex, long bytes)
    {
        if (State == ProgressState.Replicate)
        {
            Next = lastIndex + 1;
            _inFlight.Enqueue((lastIndex, bytes));
            _bytesInFlight += bytes;
        }
        else
        {
            IsPaused = true;
        }
    }

    /// <summary>Returns whether this was news.</summary>
    public bool Acknowledge(long match)
    {
        while (_inFlight.TryPeek(out var sent) && sent.LastIndex <= match)
        {
            _inFlight.Dequeue();
            _bytesInFlight -= sent.Bytes;
        }
        Next = Math.Max(Next, match + 1);
        IsPaused = false;
        if (match <= Match)
            return false;
        Match = match;
        return true;
    }

    /// <summary>A heartbeat's answer may stand for lost acknowledgements.</summary>
    public void FreeOne()
    {
        if (_inFlight.TryDequeue(out var sent))
            _bytesInFlight -= sent.Bytes;
    }

    public void Probe(long next)
    {
        Clear();
        State = ProgressState.Probe;
        Next = Math.Max(Match + 1, next);
    }

    public void Replicate()
    {
        Clear();
        State = ProgressState.Replicate;
        Next = Match + 1;
    }

    public void SendSnapshot(long now)
    {
        Clear();
        State = ProgressState.Snapshot;
        Snapshot = null;
        SnapshotAcknowledged = SnapshotReported = SnapshotRequested = 0;
        SnapshotMovedAt = now;
    }

    private void Clear()
    {
        _inFlight.Clear();
        _bytesInFlight = 0;
        IsPaused = false;
    }
}

/// <summary>Mean and deviation of round trips by exponentially weighted averages (Jacobson: Congestion Avoidance and Control, 1988).</summary>
internal sealed class RoundTrip
{
    public long MeanMicros { get; private set; }

    public long DeviationMicros { get; private set; }

    /// <summary>About the shortest of late: of the network, without what waiting for processors and disks adds.</summary>
    public long ShortestMicros { get; private set; } = long.MaxValue;

    public bool IsKnown { get; private set; }

    public void Sample(long micros)
    {
        micros = Math.Max(0, micros);
        ShortestMicros = micros <= ShortestMicros ? micros : ShortestMicros + ((micros - ShortestMicros) / 256);
        if (!IsKnown)
        {
            MeanMicros = micros;
            DeviationMicros = micros / 2;
            IsKnown = true;
            return;
        }
        var difference = micros - MeanMicros;
        MeanMicros += difference / 8;
        DeviationMicros += (Math.Abs(difference) - DeviationMicros) / 4;
    }
}
