using Millrace.Kafka.Records;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>What replaying the journal gives back, entry by entry.</summary>
internal delegate void JournalReplay(JournalEntryKind kind, Guid topicId, int partition, ReadOnlySpan<byte> body);

/// <summary>Reads back the groups that were acknowledged and are not in a checkpoint.</summary>
internal static class JournalReader
{
    /// <summary>Replays all generations from one on, in order.</summary>
    /// <returns>The highest generation seen in any file, 0 when there is none.</returns>
    /// <exception cref="SegmentDamagedException">A group is broken and an acknowledged one stands behind it.</exception>
    public static long Replay(IFileSystem files, string folder, uint salt, long fromGeneration, JournalReplay replay, LogFaults? faults = null)
    {
        var found = new List<(long Generation, string Path)>();
        long highest = 0;
        foreach (var name in files.ListFiles(folder))
        {
            if (!name.StartsWith(Journal.FilePrefix, StringComparison.Ordinal))
                continue;
            var path = Path.Combine(folder, name);
            var (generation, isFree) = NewestGeneration(files, path, salt);
            highest = Math.Max(highest, generation);
            // A file without any group was made and not used yet.
            if (generation > 0 && generation >= fromGeneration && (!isFree || fromGeneration > 0))
                found.Add((generation, path));
        }
        found.Sort();
        // Without a checkpoint all segments have been read, and the newest generations only add to that; behind a gap stand files that were free.
        if (fromGeneration == 0)
        {
            for (var i = found.Count - 1; i > 0; i--)
            {
                if (found[i].Generation == found[i - 1].Generation + 1)
                    continue;
                found.RemoveRange(0, i);
                break;
            }
        }
        var expected = fromGeneration > 0 || found.Count == 0 ? fromGeneration : found[0].Generation;
        var before = default(JournalEnd?);
        foreach (var (generation, path) in found)
        {
            // A generation begins only when the one before it holds groups, so none may be missing.
            if (generation != expected)
                throw new SegmentDamagedException(path, 0, $"it continues journal generation {expected}, which is in no file");
            expected++;
            before = ReplayFile(files, path, salt, generation, replay, before, faults ?? LogFaults.None);
        }
        return highest;
    }

    /// <summary>The offsets of each partition that <see cref="Replay"/> without a checkpoint will give, from the first to behind the last.</summary>
    public static Dictionary<(Guid TopicId, int Partition), (long From, long End)> Held(IFileSystem files, string folder, uint salt, LogFaults faults)
    {
        var held = new Dictionary<(Guid, int), (long From, long End)>();
        Replay(files, folder, salt, 0, Note, faults);
        return held;

        void Note(JournalEntryKind kind, Guid topicId, int partition, ReadOnlySpan<byte> body)
        {
            if (kind != JournalEntryKind.Batch)
                return;
            var batch = new RecordBatch(body);
            var from = held.TryGetValue((topicId, partition), out var known) ? known.From : batch.BaseOffset;
            held[(topicId, partition)] = (from, batch.LastOffset + 1);
        }
    }

    /// <summary>The generation in use is the highest in the file: what an earlier use left behind is lower. Zeros before it: the file was free.</summary>
    private static (long Generation, bool IsFree) NewestGeneration(IFileSystem files, string path, uint salt)
    {
        using var file = files.Open(path);
        long newest = 0;
        ForEachGroup(file, salt, 0, group => newest = Math.Max(newest, group.Generation));
        var first = new byte[JournalFormat.Alignment];
        file.Read(0, first);
        return (newest, !first.AsSpan().ContainsAnyExcept((byte)0));
    }

    /// <summary>Looks at every place where a group may begin, also behind damaged ones.</summary>
    private static void ForEachGroup(IFile file, uint salt, long from, Action<JournalGroup> seen)
    {
        var chunk = new byte[1 << 20];
        while (true)
        {
            var read = file.Read(from, chunk);
            for (var at = 0; at + JournalFormat.GroupHeaderBytes <= read; at += JournalFormat.Alignment)
            {
                if (JournalFormat.TryReadGroupHeader(chunk.AsSpan(at), salt, out var group))
                    seen(group);
            }
            if (read < chunk.Length)
                return;
            from += read;
        }
    }

    /// <param name="Path">Of the file.</param>
    /// <param name="Position">Where its last whole group ends.</param>
    /// <param name="Groups">How many it has.</param>
    private readonly record struct JournalEnd(string Path, long Position, long Groups);

    private static JournalEnd ReplayFile(
        IFileSystem files, string path, uint salt, long generation, JournalReplay replay, JournalEnd? before, LogFaults faults)
    {
        using var file = files.Open(path);
        var length = file.Length;
        long position = 0;
        long sequence = 0;
        var body = Array.Empty<byte>();
        var header = new byte[JournalFormat.GroupHeaderBytes];
        while (true)
        {
            if (position + JournalFormat.GroupHeaderBytes > length
                || file.Read(position, header) < header.Length
                || !JournalFormat.TryReadGroupHeader(header, salt, out var group)
                || group.Generation != generation
                || group.Sequence != sequence + 1)
            {
                break;
            }
            // The file before has been gone on from, so all of it was flushed: none of it can be a torn tail, also when this group is one.
            if (sequence == 0 && before is { } end && end.Groups < group.Unflushed && !faults.TakeDamageForTorn)
                throw new SegmentDamagedException(end.Path, end.Position, $"acknowledged group {end.Groups + 1} of the journal is broken, {group.Unflushed} there were");
            if (position + JournalFormat.GroupHeaderBytes + group.Length > length)
                break;
            if (body.Length < group.Length)
                body = new byte[Math.Max(group.Length, Math.Min(body.Length * 2L, 1 << 26))];
            var bytes = body.AsSpan(0, (int)group.Length);
            if (file.Read(position + JournalFormat.GroupHeaderBytes, bytes) < bytes.Length || !IsSound(bytes, group.Entries))
                break;
            ReplayGroup(bytes, replay);
            sequence = group.Sequence;
            position = JournalFormat.Align(position + JournalFormat.GroupHeaderBytes + group.Length);
        }
        if (!faults.TakeDamageForTorn)
            RefuseDamage(file, salt, position, generation, sequence);
        return new JournalEnd(path, position, sequence);
    }

    private static bool IsSound(ReadOnlySpan<byte> bytes, int entries)
    {
        for (var i = 0; i < entries; i++)
        {
            if (!JournalFormat.TryReadEntry(bytes, out _, out _, out _, out var body))
                return false;
            bytes = bytes[(JournalFormat.EntryHeaderBytes + body.Length)..];
        }
        return bytes.IsEmpty;
    }

    private static void ReplayGroup(ReadOnlySpan<byte> bytes, JournalReplay replay)
    {
        while (JournalFormat.TryReadEntry(bytes, out var kind, out var topicId, out var partition, out var body))
        {
            replay(kind, topicId, partition, body);
            bytes = bytes[(JournalFormat.EntryHeaderBytes + body.Length)..];
        }
    }

    /// <summary>
    /// Each group says how many right before it were not flushed yet: none, unless topics say that they need no flush. So when the journal ends
    /// before group n, and a group behind it says that n had been flushed, then n has been damaged since; without one, n is the torn tail of
    /// what was never flushed.
    /// </summary>
    private static void RefuseDamage(IFile file, uint salt, long end, long generation, long lastSequence) =>
        ForEachGroup(file, salt, end, group =>
        {
            if (group.Generation == generation && group.Sequence - 1 - group.Unflushed > lastSequence)
                throw new SegmentDamagedException(file.Path, end, $"acknowledged group {lastSequence + 1} of the journal is broken");
        });
}
