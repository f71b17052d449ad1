using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>Sends the newest snapshot's file in pieces, a few ahead of what is acknowledged, and resumes where the receiver is.</summary>
internal sealed class SnapshotSender(RaftCore core)
{
    public void Begin(long now, Progress progress)
    {
        progress.SendSnapshot(now);
        Ask(progress);
    }

    public void Send(long now, Progress progress, SnapshotInfo snapshot, long offset, ReadOnlyMemory<byte> data)
    {
        if (progress.State != ProgressState.Snapshot)
            return;
        if (progress.Snapshot != snapshot)
        {
            // A newer one has taken its place.
            progress.Snapshot = snapshot;
            progress.SnapshotAcknowledged = progress.SnapshotReported = 0;
            progress.SnapshotRequested = offset == 0 ? data.Length : 0;
            progress.SnapshotMovedAt = now;
            if (offset != 0)
            {
                Ask(progress);
                return;
            }
        }
        core.Send(new SnapshotChunk(core.Self, progress.Id, core.Term, snapshot, offset, data));
        AskAhead(now, progress);
    }

    /// <summary>Time has gone on, so more may be sent.</summary>
    public void Continue(long now, Progress progress)
    {
        if (progress.Snapshot is not null)
            AskAhead(now, progress);
    }

    public void Acknowledged(long now, Progress progress, SnapshotResponse response)
    {
        if (progress.State != ProgressState.Snapshot || progress.Snapshot?.Index != response.SnapshotIndex)
            return;
        progress.SnapshotReported = response.NextOffset;
        if (response.NextOffset > progress.SnapshotAcknowledged)
        {
            if (progress.SnapshotAcknowledged == 0)
                progress.SnapshotPacedFrom = (response.NextOffset, now);
            progress.SnapshotAcknowledged = response.NextOffset;
            progress.SnapshotRequested = Math.Max(progress.SnapshotRequested, response.NextOffset);
            progress.SnapshotMovedAt = now;
        }
        AskAhead(now, progress);
    }

    public void ResumeIfStalled(long now, Progress progress, long patienceMicros)
    {
        if (now - progress.SnapshotMovedAt < patienceMicros)
            return;
        progress.SnapshotMovedAt = now;
        // A receiver that crashed may have less than it once said: it says so at each piece that does not fit.
        progress.SnapshotAcknowledged = Math.Min(progress.SnapshotAcknowledged, progress.SnapshotReported);
        progress.SnapshotRequested = progress.SnapshotAcknowledged;
        Ask(progress);
    }

    private void AskAhead(long now, Progress progress)
    {
        // The first piece goes alone: its answer tells what the receiver has from an earlier attempt.
        if (progress.SnapshotAcknowledged == 0)
            return;
        var window = (long)core.Options.SnapshotChunkBytes * core.Options.SnapshotChunksInFlight;
        var (from, since) = progress.SnapshotPacedFrom;
        // In seconds and a rest, since bytes a second times microseconds may pass a long.
        var (seconds, micros) = Math.DivRem(Math.Max(0, now - since), 1_000_000);
        var paced = from + window + (seconds * core.Options.SnapshotBytesPerSecond) + (micros * core.Options.SnapshotBytesPerSecond / 1_000_000);
        while (progress.SnapshotRequested < Math.Min(progress.Snapshot!.Bytes, paced)
               && progress.SnapshotRequested - progress.SnapshotAcknowledged < window)
            Ask(progress);
    }

    private void Ask(Progress progress)
    {
        var count = core.Options.SnapshotChunkBytes;
        if (progress.Snapshot is { } snapshot)
            count = (int)Math.Min(count, snapshot.Bytes - progress.SnapshotRequested);
        core.AskSnapshotRead(new SnapshotRead(progress.Id, progress.SnapshotRequested, Math.Max(1, count)));
        if (progress.Snapshot is not null)
            progress.SnapshotRequested += count;
    }
}
