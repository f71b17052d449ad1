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
    public static long Replay(IFileSystem files, string folder, uint salt, long fromGeneration, JournalReplay replay)
    {
        var found = new List<(long Generation, string Path)>();
        long highest = 0;
        foreach (var name in files.ListFiles(folder))
        {
            if (!name.StartsWith(Journal.FilePrefix, StringComparison.Ordinal))
                continue;
            var path = Path.Combine(folder, name);
            var (generation, hasFirst) = NewestGeneration(files, path, salt);
            highest = Math.Max(highest, generation);
            // A file without any group was made and not used yet. One without its first is being prepared or begun anew, so it was free; only
            // a checkpoint says otherwise. Had it been damaged instead, its batches would be missed where the next generation goes on.
            if (generation > 0 && generation >= fromGeneration && (hasFirst || fromGeneration > 0))
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
        foreach (var (generation, path) in found)
        {
            // A generation begins only when the one before it holds groups, so none may be missing.
            if (generation != expected)
                throw new SegmentDamagedException(path, 0, $"it continues journal generation {expected}, which is in no file");
            expected++;
            ReplayFile(files, path, salt, generation, replay);
        }
        return highest;
    }

    /// <summary>The generation in use is the highest in the file: what an earlier use left behind is lower.</summary>
    private static (long Generation, bool HasFirst) NewestGeneration(IFileSystem files, string path, uint salt)
    {
        using var file = files.Open(path);
        long newest = 0;
        var hasFirst = false;
        ForEachGroup(file, salt, 0, group =>
        {
            if (group.Generation < newest)
                return;
            hasFirst = (hasFirst && group.Generation == newest) || group.Sequence == 1;
            newest = group.Generation;
        });
        return (newest, hasFirst);
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

    private static void ReplayFile(IFileSystem files, string path, uint salt, long generation, JournalReplay replay)
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
                || group.Sequence != sequence + 1
                || position + JournalFormat.GroupHeaderBytes + group.Length > length)
            {
                break;
            }
            if (body.Length < group.Length)
                body = new byte[Math.Max(group.Length, Math.Min(body.Length * 2L, 1 << 26))];
            var bytes = body.AsSpan(0, (int)group.Length);
            if (file.Read(position + JournalFormat.GroupHeaderBytes, bytes) < bytes.Length || !IsSound(bytes, group.Entries))
                break;
            ReplayGroup(bytes, replay);
            sequence = group.Sequence;
            position = JournalFormat.Align(position + JournalFormat.GroupHeaderBytes + group.Length);
        }
        RefuseDamage(file, salt, position, generation, sequence);
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
