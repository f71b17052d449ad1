namespace Millrace.Log.Groups.Consumers;

/// <summary>Who shall read what. Pure.</summary>
/// <param name="Id">Of the member.</param>
/// <param name="Topics">That it wants and that there are, by name.</param>
/// <param name="Before">What it was to have so far.</param>
internal sealed record AssignorMember(string Id, IReadOnlyCollection<TopicShape> Topics, IReadOnlySet<(string Topic, int Partition)> Before);

/// <summary>The assignors that run in the broker (KIP-848).</summary>
internal static class Assignor
{
    public const string Uniform = "uniform";
    public const string Range = "range";

    public static IReadOnlyList<string> Names { get; } = [Uniform, Range];

    public static Dictionary<string, HashSet<(string Topic, int Partition)>> Assign(string name, IReadOnlyList<AssignorMember> members) =>
        name == Range ? AssignRanges(members) : AssignUniformly(members);

    /// <summary>
    /// As even as the subscriptions allow, moving as little as possible: everyone keeps what it had up to its share, the rest goes to whoever
    /// has least, and while someone who could read a partition has two fewer than who has it, it moves.
    /// </summary>
    private static Dictionary<string, HashSet<(string Topic, int Partition)>> AssignUniformly(IReadOnlyList<AssignorMember> members)
    {
        var given = new Dictionary<string, HashSet<(string, int)>>();
        var subscribers = new Dictionary<string, List<string>>();
        var shapes = new Dictionary<string, TopicShape>();
        foreach (var member in members.OrderBy(m => m.Id, StringComparer.Ordinal))
        {
            given[member.Id] = [];
            foreach (var topic in member.Topics)
            {
                shapes[topic.Name] = topic;
                if (!subscribers.TryGetValue(topic.Name, out var list))
                    subscribers[topic.Name] = list = [];
                list.Add(member.Id);
            }
        }
        var taken = new HashSet<(string, int)>();
        foreach (var member in members)
        {
            foreach (var (topic, partition) in member.Before)
            {
                if (shapes.TryGetValue(topic, out var shape) && partition < shape.Partitions && subscribers[topic].Contains(member.Id) && taken.Add((topic, partition)))
                    given[member.Id].Add((topic, partition));
            }
        }
        foreach (var shape in shapes.Values.OrderBy(s => s.Name, StringComparer.Ordinal))
        {
            for (var partition = 0; partition < shape.Partitions; partition++)
            {
                if (taken.Add((shape.Name, partition)))
                    given[Least(subscribers[shape.Name], given)].Add((shape.Name, partition));
            }
        }
        Balance(given, subscribers);
        return given;
    }

    /// <summary>One partition at a time, from whoever has most and can give: so only those move that must.</summary>
    private static void Balance(Dictionary<string, HashSet<(string Topic, int Partition)>> given, Dictionary<string, List<string>> subscribers)
    {
        while (true)
        {
            string? from = null;
            var moved = (Topic: "", Partition: 0);
            foreach (var (owner, partitions) in given)
            {
                if (from is not null && partitions.Count <= given[from].Count)
                    continue;
                foreach (var topic in partitions.Select(p => p.Topic).Distinct())
                {
                    if (given[Least(subscribers[topic], given)].Count + 1 >= partitions.Count)
                        continue;
                    from = owner;
                    moved = (topic, partitions.Where(p => p.Topic == topic).Max(p => p.Partition));
                    break;
                }
            }
            if (from is null)
                return;
            given[from].Remove(moved);
            given[Least(subscribers[moved.Topic], given)].Add(moved);
        }
    }

    private static string Least(List<string> candidates, Dictionary<string, HashSet<(string, int)>> given)
    {
        var least = candidates[0];
        foreach (var candidate in candidates)
        {
            if (given[candidate].Count < given[least].Count)
                least = candidate;
        }
        return least;
    }

    /// <summary>Neighbouring partitions of each topic, the first members one more where it does not come out even: topics of equal size are read by the same members.</summary>
    private static Dictionary<string, HashSet<(string Topic, int Partition)>> AssignRanges(IReadOnlyList<AssignorMember> members)
    {
        var given = members.ToDictionary(m => m.Id, _ => new HashSet<(string, int)>());
        foreach (var topic in members.SelectMany(m => m.Topics).DistinctBy(t => t.Name))
        {
            var readers = members.Where(m => m.Topics.Any(t => t.Name == topic.Name)).Select(m => m.Id).Order(StringComparer.Ordinal).ToArray();
            var (each, more) = Math.DivRem(topic.Partitions, readers.Length);
            var next = 0;
            for (var i = 0; i < readers.Length; i++)
            {
                for (var end = next + each + (i < more ? 1 : 0); next < end; next++)
                    given[readers[i]].Add((topic.Name, next));
            }
        }
        return given;
    }
}
