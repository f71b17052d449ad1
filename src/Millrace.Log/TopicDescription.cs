namespace Millrace.Log;

/// <summary>A topic as it stood when it was asked for.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Id">Another one when a topic of this name is created again.</param>
/// <param name="IsInternal">Kept by the broker for itself.</param>
/// <param name="Partitions">In order of their numbers.</param>
/// <param name="Configs">What has been set on the topic itself.</param>
public sealed record TopicDescription(
    string Name, Guid Id, bool IsInternal, IReadOnlyList<PartitionDescription> Partitions, IReadOnlyDictionary<string, string> Configs)
{
    public long Bytes => Partitions.Sum(p => p.Bytes);

    /// <summary>Offsets between start and end; records that compaction removed count too.</summary>
    public long Records => Partitions.Sum(p => p.EndOffset - p.LogStart);
}

/// <param name="Index">Its number.</param>
/// <param name="LogStart">The first offset that can be read.</param>
/// <param name="EndOffset">The offset behind the last durable record.</param>
/// <param name="Bytes">Of the record batches on disk.</param>
public sealed record PartitionDescription(int Index, long LogStart, long EndOffset, long Bytes);

/// <summary>A group as it stood when it was asked for.</summary>
/// <param name="Id">Its id.</param>
/// <param name="State">By the names of Kafka's tools: Empty, Stable, PreparingRebalance, Reconciling ...</param>
/// <param name="Members">How many there are.</param>
/// <param name="Partitions">What it has committed and what its members read, by topic and partition.</param>
public sealed record GroupDescription(string Id, string State, int Members, IReadOnlyList<GroupLag> Partitions);

/// <summary>How far a group is behind in one partition.</summary>
/// <param name="Group">The group's id.</param>
/// <param name="Topic">The topic.</param>
/// <param name="Partition">The partition.</param>
/// <param name="CommittedOffset">Where the group goes on; -1 when it has committed nothing.</param>
/// <param name="EndOffset">The offset behind the last durable record.</param>
/// <param name="Member">The client id of who reads it now, or null.</param>
public sealed record GroupLag(string Group, string Topic, int Partition, long CommittedOffset, long EndOffset, string? Member)
{
    /// <summary>Records still to be read; 0 where nothing was committed, for nobody knows where the group will begin.</summary>
    public long Lag => CommittedOffset < 0 ? 0 : Math.Max(0, EndOffset - CommittedOffset);
}
