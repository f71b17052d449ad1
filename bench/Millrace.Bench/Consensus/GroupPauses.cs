using Millrace.Coordination.Client;
using Millrace.Coordination.Node;

namespace Millrace.Bench.Consensus;

/// <summary>What the garbage collectors of a group's members did: pauses by length and in all, collections by generation.</summary>
internal sealed record GroupPauses(TimeSpan Paused, long[] Pauses, long[] Collections, long ManagedBytes, long ResidentBytes)
{
    /// <summary>Milliseconds that the longest pause surely did not pass.</summary>
    public double Longest
    {
        get
        {
            var at = Array.FindLastIndex(Pauses, static c => c > 0);
            return at < 0 ? 0 : at < CollectorPauses.Bounds.Count ? CollectorPauses.Bounds[at] : double.PositiveInfinity;
        }
    }

    /// <summary>Since the members' start; null for a group of another make.</summary>
    public static async Task<GroupPauses?> SoFarAsync(StoreGroup group, CancellationToken cancellation)
    {
        if (group is not MillraceGroup)
            return null;
        var all = new GroupPauses(TimeSpan.Zero, new long[CollectorPauses.Bounds.Count + 1], new long[GC.MaxGeneration + 1], 0, 0);
        using var client = new ClusterClient(group.Addresses, TimeSpan.FromSeconds(10), tls: group.Tls);
        // A member that joined later may not be up yet.
        foreach (var name in StoreGroup.Names)
        {
            var one = await client.ProcessAsync(group.AddressOf(name), cancellation);
            all = new GroupPauses(
                all.Paused + one.Paused, [.. all.Pauses.Zip(one.Pauses, static (a, b) => a + b)], [.. all.Collections.Zip(one.Collections, static (a, b) => a + b)],
                all.ManagedBytes + one.ManagedBytes, all.ResidentBytes + one.ResidentBytes);
        }
        return all;
    }

    public static GroupPauses? operator -(GroupPauses? later, GroupPauses? earlier) => later is null || earlier is null ? null : later with
    {
        Paused = later.Paused - earlier.Paused, Pauses = [.. later.Pauses.Zip(earlier.Pauses, static (a, b) => a - b)],
        Collections = [.. later.Collections.Zip(earlier.Collections, static (a, b) => a - b)],
    };
}
