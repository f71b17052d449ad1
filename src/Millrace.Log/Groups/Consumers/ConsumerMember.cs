using Millrace.Log.Storage;

namespace Millrace.Log.Groups.Consumers;

/// <summary>Where a member is on its way to its target assignment (KIP-848).</summary>
internal enum MemberState : sbyte
{
    /// <summary>Has what it shall have.</summary>
    Stable = 0,

    /// <summary>Must give up partitions first.</summary>
    Unrevoked = 1,

    /// <summary>Waits for partitions that others still have.</summary>
    Unreleased = 2,
}

/// <summary>A member of a consumer group.</summary>
internal sealed class ConsumerMember
{
    /// <summary>The epoch of a static member that has left for a while.</summary>
    public const int AwayEpoch = -2;

    public required string Id { get; set; }

    public string? InstanceId { get; init; }

    public string? RackId { get; set; }

    public string ClientId { get; set; } = "";

    public string ClientHost { get; set; } = "";

    public int RebalanceTimeoutMs { get; set; }

    public int SessionTimeoutMs { get; set; }

    public List<string> Topics { get; set; } = [];

    public string? Regex { get; set; }

    /// <summary>Which topics its regular expression may find; null before its first heartbeat since the start, and where everyone may see all.</summary>
    public Func<string, bool>? MayDescribe { get; set; }

    public string? Assignor { get; set; }

    /// <summary>What it can follow when it still speaks the classic protocol; null when it speaks the new one.</summary>
    public IReadOnlyList<GroupProtocol>? Classic { get; set; }

    public int Epoch { get; set; }

    /// <summary>The epoch before, which a member may still name when an answer was lost.</summary>
    public int PreviousEpoch { get; set; }

    public MemberState State { get; set; }

    /// <summary>What it may read.</summary>
    public HashSet<(string Topic, int Partition)> Assigned { get; set; } = [];

    /// <summary>What it must give up and may still be reading.</summary>
    public HashSet<(string Topic, int Partition)> Revoking { get; set; } = [];

    /// <summary>What it shall have in the end.</summary>
    public HashSet<(string Topic, int Partition)> Target { get; set; } = [];

    public long SessionDeadline { get; set; }

    /// <summary>When it must have given up <see cref="Revoking"/>.</summary>
    public long RevocationDeadline { get; set; } = long.MaxValue;

    public void Seen(long now) => SessionDeadline = now + SessionTimeoutMs;
}

/// <summary>A topic as groups see it.</summary>
internal sealed record TopicShape(string Name, Guid Id, int Partitions);

/// <summary>The topics that there are.</summary>
internal interface ITopicCatalog
{
    /// <summary>Rises with every change.</summary>
    long Version { get; }

    TopicShape? Find(string name);

    TopicShape? Find(Guid id);

    IEnumerable<TopicShape> All { get; }
}

/// <param name="HeartbeatIntervalMs">What members are told.</param>
/// <param name="SessionTimeoutMs">A member without a heartbeat for so long is gone.</param>
/// <param name="MaxSize">Members of one group.</param>
/// <param name="HidesTopics">Whether there are topics that not everyone may learn of.</param>
internal sealed record ConsumerGroupRules(int HeartbeatIntervalMs, int SessionTimeoutMs, int MaxSize, bool HidesTopics = false)
{
    public LogFaults Faults { get; init; } = LogFaults.None;
}

/// <summary>A member's sign of life; null means unchanged since the last one.</summary>
internal sealed record ConsumerHeartbeat
{
    public required string MemberId { get; init; }

    public required int Epoch { get; init; }

    public string? InstanceId { get; init; }

    public string? RackId { get; init; }

    public int RebalanceTimeoutMs { get; init; } = -1;

    public List<string>? Topics { get; init; }

    public string? Regex { get; init; }

    /// <summary>Which topics the sender may learn of; null for all.</summary>
    public Func<string, bool>? MayDescribe { get; init; }

    public string? Assignor { get; init; }

    public List<(string Topic, int Partition)>? Owned { get; init; }

    public string ClientId { get; init; } = "";

    public string ClientHost { get; init; } = "";
}
