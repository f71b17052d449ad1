using Millrace.Kafka.Messages;

namespace Millrace.Log.Groups;

/// <summary>What a group wants done. The shell does it in order.</summary>
internal abstract record GroupEffect
{
    private GroupEffect()
    {
    }

    /// <summary>Answers a JoinGroup.</summary>
    public sealed record JoinReply(object Token, JoinResult Result) : GroupEffect;

    /// <summary>Answers a SyncGroup.</summary>
    public sealed record SyncReply(object Token, SyncResult Result) : GroupEffect;

    /// <summary>Answers a ConsumerGroupHeartbeat.</summary>
    public sealed record HeartbeatReply(object Token, Consumers.HeartbeatResult Result) : GroupEffect;

    /// <summary>The group's members and generation have changed and must be durable before the replies that follow are sent.</summary>
    public sealed record Persist : GroupEffect;
}

internal sealed record JoinResult
{
    public ErrorCode Error { get; init; }

    public required string MemberId { get; init; }

    public int Generation { get; init; } = -1;

    public string? ProtocolType { get; init; }

    public string? ProtocolName { get; init; }

    public string Leader { get; init; } = "";

    public bool SkipAssignment { get; init; }

    /// <summary>Everyone, for the leader; empty for the others.</summary>
    public IReadOnlyList<(string Id, string? InstanceId, ReadOnlyMemory<byte> Metadata)> Members { get; init; } = [];

    public static JoinResult Failed(string memberId, ErrorCode error) => new() { MemberId = memberId, Error = error };
}

internal readonly record struct SyncResult(ErrorCode Error, string? ProtocolType, string? ProtocolName, ReadOnlyMemory<byte> Assignment)
{
    public static SyncResult Failed(ErrorCode error) => new(error, null, null, default);
}
