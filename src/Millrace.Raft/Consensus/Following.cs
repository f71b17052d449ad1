using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>A member's part towards its leader: taking entries and snapshots, keeping promises, and noticing silence.</summary>
internal sealed class Following
{
    private readonly RaftCore _core;
    private (long Term, long Commit) _told;

    public Following(RaftCore core, long now, bool isRestart)
    {
        _core = core;
        ElectionMicros = core.Options.ElectionMinMicros;
        // What was promised before a restart is forgotten, so the longest promise is kept in its place. It matters for leases only.
        PromisedUntil = isRestart && core.Options.LeaseReads && !core.Faults.ForgetPromiseAtRestart
            ? now + core.Options.ElectionMaxMicros
            : long.MinValue;
        RestartElectionTimer(now);
        if (core.Configuration.Voters is [var only] && only == core.Self && !core.Configuration.IsJoint)
            ElectionDeadline = Math.Max(now, PromisedUntil);
    }

    /// <summary>No vote for another before this time.</summary>
    public long PromisedUntil { get; private set; }

    public long ElectionDeadline { get; private set; }

    /// <summary>The base of election timeouts, as last told by a leader.</summary>
    public long ElectionMicros { get; private set; }

    /// <summary>How much this term's leader has said to be committed, in full: heartbeats tell no more of it than is surely here.</summary>
    public long ToldCommit => _told.Term == _core.Term ? _told.Commit : 0;

    public void RestartElectionTimer(long now) =>
        ElectionDeadline = Math.Max(now + ElectionMicros + _core.Draw(ElectionMicros), PromisedUntil);

    /// <summary>Its connection broke: no need to wait for all of the silence, only by lot, so that not all campaign at once.</summary>
    public void LoseLeader(long now)
    {
        PromisedUntil = Math.Min(PromisedUntil, now);
        ElectionDeadline = Math.Min(ElectionDeadline, now + _core.Draw(ElectionMicros / 2));
    }

    public void Step(long now, Message message)
    {
        RestartElectionTimer(now);
        switch (message)
        {
            case AppendRequest request:
                Append(request);
                break;
            case Heartbeat heartbeat:
                Promise(now, heartbeat);
                break;
            case SnapshotChunk chunk:
                Receive(chunk);
                break;
        }
    }

    public void SnapshotStored(long now, MemberId from, SnapshotInfo snapshot, long nextOffset, bool isComplete)
    {
        var log = _core.Log;
        if (isComplete && snapshot.Index > log.Commit)
        {
            if (log.TermAt(snapshot.Index) == snapshot.Term)
            {
                // The log has all of it already: it was only not known to be committed. What stands behind must stay, also when it is still
                // on its way to the disk, for it may have been acknowledged, or be about to.
                log.CommitTo(snapshot.Index);
            }
            else
            {
                _core.ResetLogTo(snapshot);
            }
            RestartElectionTimer(now);
        }
        if (_core.Role != Role.Follower || from != _core.Leader)
            return;
        if (snapshot.Index <= log.Commit)
            _core.SendAfterWrite(new AppendResponse(_core.Self, from, _core.Term, log.Commit, 0, 0, 0));
        else
            _core.Send(new SnapshotResponse(_core.Self, from, _core.Term, snapshot.Index, nextOffset));
    }

    private void Append(AppendRequest request)
    {
        var log = _core.Log;
        _told = (_core.Term, Math.Max(ToldCommit, request.Commit));
        _core.Fast.LeaderCommitted(request.Commit);
        if (request.PreviousIndex < log.Commit && !_core.Faults.TruncateAgreeingEntries
            && request.PreviousIndex + request.Entries.Count <= log.Commit)
        {
            // All of it is committed here, hence the same as the leader's.
            Acknowledge(request, log.Commit);
            return;
        }
        if (log.TermAt(request.PreviousIndex) != request.PreviousTerm && request.PreviousIndex >= log.Base.Index && !IsChosen(request.PreviousIndex)
            && !(_core.Faults.SkipPreviousCheck && request.PreviousIndex <= log.LastIndex))
        {
            var hint = log.LastWithTermAtMost(request.PreviousIndex, request.PreviousTerm);
            _core.Send(new AppendResponse(
                _core.Self, request.From, _core.Term, 0, request.PreviousIndex, hint, Math.Max(0, log.TermAt(hint))));
            return;
        }
        var last = request.PreviousIndex + request.Entries.Count;
        List<Entry> kept = [];
        foreach (var entry in request.Entries)
        {
            if (entry.Index <= log.LastIndex)
            {
                var agrees = entry.Index <= log.Base.Index || log.TermAt(entry.Index) == entry.Term || IsChosen(entry.Index);
                if (agrees && !(_core.Faults.TruncateAgreeingEntries && entry.Index > log.Commit && entry.Index == last))
                    continue;
                if (_core.Options.IsBySlot && !_core.Faults.ForgetReplaced)
                    kept = log.Reopen(entry.Index, last);
                else
                    log.TruncateFrom(entry.Index);
            }
            log.Append(entry);
        }
        foreach (var entry in kept)
            log.Append(entry);
        log.CommitTo(Math.Min(request.Commit, _core.Faults.CommitBeyondMatch ? log.LastIndex : Math.Max(last, log.Commit)));
        Acknowledge(request, last);
    }

    /// <summary>In Multi-Paxos what is committed is the leader's too, whatever its term: it may have been proposed again since.</summary>
    private bool IsChosen(long index) => _core.Options.IsBySlot && index <= _core.Log.Commit;

    private void Acknowledge(AppendRequest request, long match)
    {
        var response = new AppendResponse(_core.Self, request.From, _core.Term, match, 0, 0, 0);
        if (_core.Faults.AcknowledgeBeforeFlush)
            _core.Send(response);
        else
            _core.SendAfterWrite(response);
    }

    private void Promise(long now, Heartbeat heartbeat)
    {
        ElectionMicros = Math.Clamp(heartbeat.PromiseMicros, 1, _core.Options.ElectionMaxMicros);
        PromisedUntil = Math.Max(PromisedUntil, now + ElectionMicros);
        RestartElectionTimer(now);
        _core.Fast.LeaderCommitted(heartbeat.Commit);
        var log = _core.Log;
        log.CommitTo(_core.Faults.CommitBeyondMatch ? Math.Min(heartbeat.Commit, log.LastIndex) : heartbeat.Commit);
        _core.Send(new HeartbeatResponse(
            _core.Self, heartbeat.From, _core.Term, heartbeat.Round, heartbeat.SentAt, ElectionMicros, _core.Fast.Incarnation, _core.Fast.FurthestVote));
    }

    private void Receive(SnapshotChunk chunk)
    {
        var log = _core.Log;
        if (chunk.Snapshot.Index <= log.Commit)
            _core.SendAfterWrite(new AppendResponse(_core.Self, chunk.From, _core.Term, log.Commit, 0, 0, 0));
        else
            _core.AskSnapshotWrite(chunk);
    }
}
