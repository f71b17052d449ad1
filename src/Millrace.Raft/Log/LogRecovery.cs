using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>
/// Reads a log back after a stop or crash. A record that is not whole at the end of the last segment, with no proof that it was ever
/// durable, is a torn tail and cut; anywhere else it is damage, and the log is refused.
/// </summary>
/// <param name="cutsDamage">
/// Damage and all after it is deleted instead, which is for a member alone that votes no more until it has from others what it may have lost.
/// </param>
internal sealed class LogRecovery(IFileSystem files, string folder, RaftLogOptions options, bool cutsDamage = false)
{
    public List<LogSegment> Segments { get; } = [];

    /// <summary>Null when there is no log.</summary>
    public LogHistory? History { get; set; }

    public LogPositions Positions { get; } = new();

    public HardState HardState { get; private set; }

    /// <summary>Fast Paxos: the last vote for each slot.</summary>
    public Dictionary<long, Consensus.FastVote> Votes { get; } = [];

    public bool IsFresh => Segments.Count == 0;

    public void Run()
    {
        if (files.FileExists(PathOf(LogSegment.Unnamed)))
            files.DeleteFile(PathOf(LogSegment.Unnamed));
        var names = files.ListFiles(folder).Where(n => LogSegment.TryParseName(n, out _)).ToArray();
        for (var i = 0; i < names.Length; i++)
        {
            if (!LogSegment.TryParseName(names[i], out var sequence))
                continue;
            try
            {
                if (Segments.Count > 0 && sequence != Segments[^1].Sequence + 1)
                    throw new LogCorruptException(PathOf(names[i]), 0, $"the segment before it, {LogSegment.NameOf(sequence - 1)}, is missing");
                Load(PathOf(names[i]), sequence, isLast: i == names.Length - 1);
            }
            catch (LogCorruptException) when (cutsDamage)
            {
                CutFrom(names[i..]);
                return;
            }
        }
    }

    private void CutFrom(string[] names)
    {
        // The last first, so that what is left is the log of an earlier time whenever this is interrupted.
        foreach (var name in names.Reverse())
        {
            if (LogSegment.TryParseName(name, out var sequence) && (Segments.Count == 0 || sequence > Segments[^1].Sequence))
                files.DeleteFile(PathOf(name));
        }
        files.FlushFolder(folder);
        if (Segments.Count == 0)
            return;
        var last = Segments[^1];
        var size = last.File.Length;
        last.File.SetLength(last.Length);
        last.File.SetLength(size);
        last.File.Flush();
    }

    private string PathOf(string name) => Path.Combine(folder, name);

    private void Load(string path, long sequence, bool isLast)
    {
        var content = DurableFile.ReadAll(files, path, int.MaxValue);
        if (!LogRecord.TryRead(content, sequence, 0, int.MaxValue, out var first) || first.Kind != RecordKind.Start)
            throw new LogCorruptException(path, 0, "the segment's first record is not whole");
        var (previousBytes, state, position) = LogPayloads.ReadStart(content.AsSpan(first.PayloadAt, first.Length));
        if (Segments.Count > 0 && Segments[^1].Length != previousBytes)
        {
            throw new LogCorruptException(
                Segments[^1].File.Path, Segments[^1].Length, $"it had {previousBytes} bytes when the next segment was begun");
        }
        HardState = state;
        if (History is null)
        {
            History = new LogHistory(position, options.IsBySlot);
            Positions.ResetTo(position.Index);
        }
        else if (History.LastIndex != position.Index || History.LastTerm != position.Term)
        {
            throw new LogCorruptException(path, 0, $"it follows entry {position.Index}, but the segment before ends at {History.LastIndex}");
        }
        var segment = new LogSegment(sequence, files.Open(path), position) { Capacity = Math.Max(options.SegmentBytes, content.Length) };
        Segments.Add(segment);
        Replay(segment, content, first.End, isLast);
    }

    private void Replay(LogSegment segment, byte[] content, int offset, bool isLast)
    {
        var proven = 0;
        while (LogRecord.TryRead(content, segment.Sequence, offset, options.MaxEntryBytes + 64, out var record))
        {
            try
            {
                Apply(segment, content.AsSpan(record.PayloadAt, record.Length), record.Kind, offset);
            }
            catch (Exception error) when (error is InvalidDataException or ArgumentException or Consensus.RaftInvariantException)
            {
                segment.Length = segment.Durable = offset;
                throw new LogCorruptException(segment.File.Path, offset, error.Message);
            }
            offset = record.End;
            proven = Math.Max(proven, record.Durable);
        }
        segment.Length = segment.Durable = offset;
        if (!isLast)
            return; // The next segment knows how long this one was.
        if (ProvesDurable(content, segment.Sequence, offset))
            throw new LogCorruptException(segment.File.Path, offset, "the record there was durable, as later ones prove, and is not whole");
        // What was read may be in memory only, even after an fsync that fails and then seems to succeed (Rebello and others: Can
        // Applications Recover from fsync Failures?, 2020); so what is not proven durable is written again.
        if (proven < offset)
            segment.File.Write(proven, content.AsSpan(proven, offset - proven));
        if (content.AsSpan(offset).IndexOfAnyExcept((byte)0) >= 0)
        {
            // Leftovers of a torn batch must never be read as records behind the next ones.
            segment.File.SetLength(offset);
            segment.File.SetLength(content.Length);
        }
        segment.File.Flush();
    }

    private void Apply(LogSegment segment, ReadOnlySpan<byte> payload, RecordKind kind, int offset)
    {
        switch (kind)
        {
            case RecordKind.Entry:
                var entry = LogPayloads.ReadEntry(payload);
                // In place of one that is compacted away there is nothing to keep, but in what term the last of these was accepted.
                if (options.IsBySlot && entry.Index <= History!.Base.Index)
                {
                    if (entry.Index == History.Base.Index)
                        History.ReplaceBase(entry.Term);
                    break;
                }
                if (options.IsBySlot && entry.Index <= History!.LastIndex)
                {
                    History.Replace(entry);
                    Positions.Replace(entry.Index, segment.Sequence, offset);
                }
                else
                {
                    History!.Append(entry);
                    Positions.Add(entry.Index, segment.Sequence, offset);
                }
                segment.LargestIndex = Math.Max(segment.LargestIndex, entry.Index);
                break;
            case RecordKind.HardState:
                HardState = LogPayloads.ReadHardState(payload);
                break;
            case RecordKind.Rewind:
                Rewind(LogPayloads.ReadPosition(payload));
                break;
            case RecordKind.Vote:
                var vote = LogPayloads.ReadVote(payload);
                Votes[vote.Slot] = vote;
                segment.LargestIndex = Math.Max(segment.LargestIndex, vote.Slot);
                break;
            case RecordKind.Start:
                throw new InvalidDataException("a segment begins within a segment");
        }
    }

    private void Rewind(SnapshotInfo position)
    {
        // Accepted one by one, what was behind it stayed, so the log may have been compacted further since.
        if (options.IsBySlot && position.Index < History!.Base.Index)
            return;
        if (!options.IsBySlot && position.Index >= History!.Base.Index && History.TermAt(position.Index) == position.Term)
        {
            History.TruncateFrom(position.Index + 1);
            Positions.TruncateFrom(position.Index + 1);
        }
        else if (History!.ResetTo(position))
        {
            Positions.DropTo(position.Index);
        }
        else
        {
            Positions.ResetTo(position.Index);
        }
    }

    /// <summary>Whether some whole record after an offset says that more than that was durable when it was written.</summary>
    private bool ProvesDurable(byte[] content, long sequence, int offset)
    {
        for (var at = (offset + LogRecord.Alignment) & ~(LogRecord.Alignment - 1); at < content.Length; at += LogRecord.Alignment)
        {
            if (LogRecord.TryRead(content, sequence, at, options.MaxEntryBytes + 64, out var record) && record.Durable > offset)
                return true;
        }
        return false;
    }
}
