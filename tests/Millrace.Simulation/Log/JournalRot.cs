using Millrace.Log.Storage;
using Millrace.Log.Topics;
using Millrace.Storage.Files.Faults;

namespace Millrace.Simulation.Log;

/// <summary>
/// Draws a byte of the journal where a flipped bit must not go unnoticed: up to the end of the last group whose flush another group bears witness of.
/// What stands behind it cannot be told from a torn tail (docs/design/log.md).
/// </summary>
internal static class JournalRot
{
    private readonly record struct Found(string Path, long Generation, int Before, List<long> Ends, long Proven);

    public static (string Path, long At)? Draw(string folder, SimulatedFileSystem disk, Random random)
    {
        var journals = Path.Combine(folder, "journal");
        if (!disk.FolderExists(journals) || ClusterFile.Load(disk, folder) is not { } cluster)
            return null;
        var found = new List<Found>();
        foreach (var name in disk.ListFiles(journals))
        {
            if (Read(disk, Path.Combine(journals, name), cluster.Salt) is { } file)
                found.Add(file);
        }
        var places = new List<(string Path, long Length)>();
        foreach (var file in found)
        {
            var proven = file.Proven;
            foreach (var next in found)
            {
                if (next.Generation == file.Generation + 1)
                    proven = Math.Max(proven, next.Before);
            }
            if (proven > 0)
                places.Add((file.Path, file.Ends[(int)proven - 1]));
        }
        if (places.Count == 0)
            return null;
        var (path, length) = places[random.Next(places.Count)];
        return (path, random.NextInt64(length));
    }

    private static Found? Read(SimulatedFileSystem disk, string path, uint salt)
    {
        using var file = disk.Open(path);
        var all = new byte[file.Length];
        file.Read(0, all);
        var ends = new List<long>();
        long generation = 0, proven = 0;
        var before = 0;
        for (long at = 0; at < all.Length && JournalFormat.TryReadGroupHeader(all.AsSpan((int)at), salt, out var group); at = ends[^1])
        {
            if (ends.Count == 0)
                (generation, before) = (group.Generation, group.Unflushed);
            if (group.Generation != generation || group.Sequence != ends.Count + 1)
                break;
            if (ends.Count > 0)
                proven = Math.Max(proven, group.Sequence - 1 - group.Unflushed);
            ends.Add(JournalFormat.Align(at + JournalFormat.GroupHeaderBytes + group.Length));
        }
        return ends.Count == 0 ? null : new Found(path, generation, before, ends, Math.Min(proven, ends.Count));
    }
}
